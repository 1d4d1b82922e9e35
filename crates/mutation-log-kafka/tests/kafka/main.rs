//! The log on real Apache Kafka: the port's suite, and what is particular to Kafka.

mod conformance;
mod faults;
mod identity;
mod mock;
mod security;
mod topics;
mod world;
