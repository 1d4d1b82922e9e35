//! The mutation log on Apache Kafka: one topic, a topic partition per partition.
//!
//! ```text
//! append ──► stamp ──► producer (idempotent, acks=all) ──► topic partition
//!                                                              │ fetch
//! read, wait_beyond ◄── source of the partition ◄── reader thread (one consumer, one queue a partition)
//!                 guard: topic id and number of partitions, regularly ──► the log ends when either changed
//! ```
//!
//! There are no consumer groups and no committed offsets: whoever reads says from where. Every record carries a
//! [stamp](Stamp) of the log it was written to, and a record with another one is never handed out; what that
//! covers and what it does not stands in `docs/adr/2026-11-22-kafka.md`.

mod appender;
mod config;
mod context;
mod errors;
mod guard;
mod log;
#[allow(unsafe_code, reason = "two calls of librdkafka that rdkafka does not wrap")]
mod native;
mod properties;
mod reader;
mod shared;
mod source;
mod stamp;
mod topic;

pub use config::{
    KafkaClientCertificate, KafkaConfig, KafkaSasl, KafkaTls, SaslMechanism, TopicSettings,
};
pub use log::KafkaLog;
pub use stamp::Stamp;
pub use topic::{TopicId, create};
