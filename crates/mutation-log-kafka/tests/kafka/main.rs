//! The log on real Apache Kafka: the port's suite, and what is particular to Kafka.

#![allow(clippy::disallowed_methods, reason = "tasks of a test, which joins them itself")]

mod conformance;
mod faults;
mod identity;
mod mock;
mod security;
mod topics;
mod world;
