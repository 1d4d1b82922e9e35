//! The suite of the port.

use std::sync::Arc;

use async_trait::async_trait;
use nautilus_mutation_log::conformance::LogUnderTest;
use nautilus_mutation_log::{MutationLog, mutation_log_conformance};
use nautilus_mutation_log_kafka::KafkaConfig;

use crate::world::{config, new_log, open, shared};

struct TopicLog {
    config: KafkaConfig,
    log: Arc<dyn MutationLog>,
}

impl TopicLog {
    async fn new() -> Option<Self> {
        let config = config(shared().await?);
        let log = Arc::new(new_log(&config).await);
        Some(Self { config, log })
    }
}

#[async_trait]
impl LogUnderTest for TopicLog {
    fn log(&self) -> Arc<dyn MutationLog> {
        Arc::clone(&self.log)
    }

    async fn reopen(&mut self) -> Arc<dyn MutationLog> {
        self.log.close().await.expect("closed");
        self.log = Arc::new(open(&self.config).await);
        self.log()
    }
}

mutation_log_conformance!({
    let Some(log) = TopicLog::new().await else { return };
    log
});
