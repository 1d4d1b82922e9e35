//! The driver on an embedded registry: leaves that are only registrations, and time that passes by itself.

mod acting;
mod faults;
mod operate;
mod people;
mod world;
