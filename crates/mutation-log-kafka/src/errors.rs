//! Kafka's errors, by what the caller of the log should do.

use std::io;
use std::sync::Arc;

use nautilus_mutation_log::LogError;
use nautilus_types::PartitionId;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::context::Context;

/// Nothing happened; trying again may help.
pub(crate) fn unavailable(
    action: impl Into<String>,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> LogError {
    LogError::Io { action: action.into(), source: Arc::new(io::Error::other(why)) }
}

/// Nothing happened; trying again does not help.
pub(crate) fn refused(
    action: impl Into<String>,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> LogError {
    LogError::Refused { action: action.into(), source: Arc::new(io::Error::other(why)) }
}

/// It did not end in time.
pub(crate) fn timed_out(action: impl Into<String>, context: &Context) -> LogError {
    let why = context.last_error();
    let why = why.unwrap_or_else(|| "no answer in time".into());
    let source = Arc::new(io::Error::new(io::ErrorKind::TimedOut, why));
    LogError::Io { action: action.into(), source }
}

/// The append may have happened.
pub(crate) fn unknown_outcome(
    partition: PartitionId,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> LogError {
    LogError::UnknownOutcome { partition, source: Some(Arc::new(io::Error::other(why))) }
}

/// An error of a call that changed nothing.
pub(crate) fn of_call(action: String, error: &KafkaError, context: &Context) -> LogError {
    match error.rdkafka_error_code() {
        Some(code) => of_code(action, code, context),
        None => unavailable(action, error.to_string()),
    }
}

/// As [`of_call`], from the code alone.
pub(crate) fn of_code(action: String, code: RDKafkaErrorCode, context: &Context) -> LogError {
    if is_final(code) {
        return refused(action, code.to_string());
    }
    if matches!(
        code,
        RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
    ) && let Some(why) = context.last_error()
    {
        return unavailable(action, format!("{code}: {why}"));
    }
    unavailable(action, code.to_string())
}

/// Whether the same request meets the same answer until somebody steps in.
fn is_final(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::InvalidConfig
            | RDKafkaErrorCode::InvalidMessageSize
            | RDKafkaErrorCode::InvalidPartitions
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::InvalidReplicationFactor
            | RDKafkaErrorCode::InvalidRequest
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::SecurityDisabled
            | RDKafkaErrorCode::TopicAlreadyExists
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::UnsupportedVersion
    )
}

/// Whether fetched bytes were not what the broker stored or the producer sent.
pub(crate) fn is_corruption(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::InvalidMessage)
}

/// Whether the topic is not there, perhaps only as yet.
pub(crate) fn is_no_topic(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopicOrPartition
    )
}

/// Whether the partition has no leader, or another one than asked, which passes.
pub(crate) fn is_no_leader(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::UnknownLeaderEpoch
    )
}
