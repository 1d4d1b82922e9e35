//! What an embedded registry needs to know to open.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Monotonic time, from whoever owns the process's clock.
pub type MonotonicClock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// Settings of an [`EmbeddedRegistry`](crate::EmbeddedRegistry).
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// The SQLite file; made with its folder where it does not exist.
    pub file: PathBuf,
    /// How many changes are kept for watches that begin in the past or fall behind.
    pub history_changes_max: usize,
    /// Leases run by it.
    pub clock: MonotonicClock,
}

impl EmbeddedConfig {
    /// Default of [`history_changes_max`](Self::history_changes_max): every replica of a thousand
    /// partitions changing its state a few times, in some 2 MiB.
    pub const HISTORY_CHANGES_MAX: usize = 4096;

    /// The defaults, for a registry in `file`.
    #[must_use]
    pub fn new(file: impl Into<PathBuf>, clock: MonotonicClock) -> Self {
        let history_changes_max = Self::HISTORY_CHANGES_MAX;
        Self { file: file.into(), history_changes_max, clock }
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("file", &self.file)
            .field("history_changes_max", &self.history_changes_max)
            .finish_non_exhaustive()
    }
}
