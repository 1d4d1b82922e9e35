//! The coordinator as a whole: built, then run as a task.

use std::sync::Arc;

use nautilus_registry::Registry;
use nautilus_service::{Clock, TaskGroup};

use crate::driver::Driver;
use crate::{Config, CoordinatorError, CoordinatorMetrics};

/// One coordinator of one replica group. It has no port: all it sees and says stands in the registry.
pub struct Coordinator {
    driver: Driver,
}

impl Coordinator {
    /// One that does nothing yet. `Config` where the settings contradict each other.
    pub fn build(
        config: Config,
        registry: Arc<dyn Registry>,
        clock: Clock,
    ) -> Result<Self, CoordinatorError> {
        if config.wanted.partitions == 0 {
            let problem = "is 0".to_owned();
            return Err(CoordinatorError::Config { key: "partitions", problem });
        }
        let metrics = CoordinatorMetrics::default();
        Ok(Self { driver: Driver { config: Arc::new(config), registry, clock, metrics } })
    }

    /// The same, counting together with others of the process.
    #[must_use]
    pub fn with_metrics(mut self, metrics: CoordinatorMetrics) -> Self {
        self.driver.metrics = metrics;
        self
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &CoordinatorMetrics {
        &self.driver.metrics
    }

    /// Starts it. Told to stop, it gives its lease back, so that a standby takes over at once.
    pub fn spawn(self, tasks: &mut TaskGroup) {
        let name = format!("coordinate-{}", self.driver.config.group);
        tasks.spawn(name, |stop| self.driver.run(stop));
    }
}
