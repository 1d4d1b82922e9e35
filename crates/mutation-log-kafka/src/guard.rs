//! The guard: looks regularly whether the topic is still the one that was opened.

use std::sync::Arc;

use nautilus_mutation_log::LogError;
use rdkafka::consumer::Consumer as _;

use crate::errors;
use crate::native::TopicFacts;
use crate::reader::LogConsumer;
use crate::shared::Shared;
use crate::topic::{blocking, describe};

/// Ends the log where the topic is another one or has another number of partitions. Runs until dropped.
pub(crate) async fn run(shared: Arc<Shared>, consumer: Arc<LogConsumer>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.config.guard_interval) => {}
            () = shared.suspicion.notified() => {}
        }
        let (asked_for, client) = (Arc::clone(&shared), Arc::clone(&consumer));
        let facts = blocking(move || describe(client.client(), &asked_for.config)).await;
        match facts {
            Ok(Ok(facts)) => {
                if let Err(error) = check(&shared, facts) {
                    shared.end(error);
                }
            }
            // A topic that is not there may be coming back as another one; calls fail by themselves meanwhile.
            Ok(Err(code)) if errors::is_no_topic(code) => {
                tracing::warn!(topic = shared.config.topic, "the topic of the log is not there");
            }
            Ok(Err(code)) => tracing::debug!(%code, "the topic could not be looked at"),
            Err(error) => tracing::debug!(%error, "the topic could not be looked at"),
        }
    }
}

/// Whether the topic is the one that `shared` stands for.
pub(crate) fn check(shared: &Shared, facts: TopicFacts) -> Result<(), LogError> {
    if facts.id != shared.topic_id {
        return Err(LogError::OtherLog {
            place: format!("topic {}", shared.config.topic),
            wanted: format!("topic id {}", shared.topic_id),
            found: format!("topic id {}", facts.id),
        });
    }
    check_partitions(shared.config.partitions, facts)
}

/// Whether it has as many partitions as the configuration says.
pub(crate) fn check_partitions(wanted: u32, facts: TopicFacts) -> Result<(), LogError> {
    let found = u32::try_from(facts.partitions).unwrap_or(u32::MAX);
    if found == wanted { Ok(()) } else { Err(LogError::OtherPartitions { found, wanted }) }
}
