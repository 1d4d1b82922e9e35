//! The suite of the port, on the embedded registry and on the wrapper around it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::HandClock;
use crate::conformance::RegistryUnderTest;
use crate::{EmbeddedConfig, EmbeddedRegistry, FaultPlan, Faulty, Registry};

type Wrap = fn(EmbeddedRegistry) -> Arc<dyn Registry>;

/// A registry on a real file in a folder of its own, with a clock set by hand.
struct TempRegistry {
    dir: tempfile::TempDir,
    clock: HandClock,
    history_changes_max: usize,
    wrap: Wrap,
    registry: Arc<dyn Registry>,
}

impl TempRegistry {
    async fn open(history_changes_max: usize, wrap: Wrap) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = HandClock::new();
        let registry = open(&dir, &clock, history_changes_max, wrap).await;
        Self { dir, clock, history_changes_max, wrap, registry }
    }
}

async fn open(
    dir: &tempfile::TempDir,
    clock: &HandClock,
    history_changes_max: usize,
    wrap: Wrap,
) -> Arc<dyn Registry> {
    let file = dir.path().join("made/registry.sqlite");
    let config =
        EmbeddedConfig { history_changes_max, ..EmbeddedConfig::new(file, clock.as_clock()) };
    wrap(EmbeddedRegistry::open(config).await.expect("opened"))
}

#[async_trait]
impl RegistryUnderTest for TempRegistry {
    fn registry(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.registry)
    }

    async fn reopen(&mut self) -> Arc<dyn Registry> {
        self.registry.close().await;
        self.registry = open(&self.dir, &self.clock, self.history_changes_max, self.wrap).await;
        self.registry()
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }

    async fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }
}

mod embedded {
    use super::*;

    crate::registry_conformance!(
        TempRegistry::open(EmbeddedConfig::HISTORY_CHANGES_MAX, |registry| Arc::new(registry))
            .await
    );
}

mod wrapped {
    use super::*;

    fn wrap(registry: EmbeddedRegistry) -> Arc<dyn Registry> {
        Arc::new(Faulty::new(Arc::new(registry), FaultPlan::default()))
    }

    // With a history that the suite outruns.
    crate::registry_conformance!(TempRegistry::open(150, wrap).await);
}
