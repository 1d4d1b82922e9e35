//! The suite of the port, on the embedded log and on the wrappers around it.

use std::sync::Arc;

use async_trait::async_trait;

use super::config;
use crate::conformance::LogUnderTest;
use crate::{EmbeddedLog, FaultPlan, Faulty, Metered, MutationLog};

type Wrap = fn(EmbeddedLog) -> Arc<dyn MutationLog>;

/// A log on real files in a folder of its own.
struct TempLog {
    dir: tempfile::TempDir,
    wrap: Wrap,
    log: Arc<dyn MutationLog>,
}

impl TempLog {
    async fn open(wrap: Wrap) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let log = EmbeddedLog::open(config(dir.path(), 16 * 1024)).await.expect("opened");
        Self { dir, wrap, log: wrap(log) }
    }
}

#[async_trait]
impl LogUnderTest for TempLog {
    fn log(&self) -> Arc<dyn MutationLog> {
        Arc::clone(&self.log)
    }

    async fn reopen(&mut self) -> Arc<dyn MutationLog> {
        self.log.close().await.expect("closed");
        let log = EmbeddedLog::open(config(self.dir.path(), 16 * 1024)).await.expect("opened");
        self.log = (self.wrap)(log);
        self.log()
    }
}

mod embedded {
    use super::*;
    crate::mutation_log_conformance!(TempLog::open(|log| Arc::new(log)).await);
}

mod wrapped {
    use super::*;

    fn wrap(log: EmbeddedLog) -> Arc<dyn MutationLog> {
        let faultless = Faulty::new(Arc::new(log), FaultPlan::default());
        Arc::new(Metered::new(Arc::new(faultless)))
    }

    crate::mutation_log_conformance!(TempLog::open(wrap).await);
}
