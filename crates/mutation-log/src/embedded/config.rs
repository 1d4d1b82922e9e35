//! What an embedded log needs to know to open.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::LogError;

/// Milliseconds since the Unix epoch, from whoever owns the process's clock.
pub type WallClock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Settings of an [`EmbeddedLog`](crate::EmbeddedLog).
#[derive(Clone)]
pub struct EmbeddedConfig {
    /// The log's own directory; made where it does not exist.
    pub dir: PathBuf,
    /// Number of partitions, 1 to [`PARTITIONS_MAX`](Self::PARTITIONS_MAX). Fixed when the log is made.
    pub partitions: u32,
    /// A segment takes no further commit group at this size, in bytes. Trimming drops whole segments.
    pub segment_bytes_max: u64,
    /// Gives the append times of records.
    pub clock: WallClock,
}

impl EmbeddedConfig {
    /// Every partition has its own appender thread, so this bounds the threads.
    pub const PARTITIONS_MAX: u32 = 1024;
    /// Default of [`segment_bytes_max`](Self::segment_bytes_max): recovery reads one segment per
    /// partition, which takes some 50 ms at this size.
    pub const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

    /// The defaults, for a log in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, partitions: u32, clock: WallClock) -> Self {
        Self { dir: dir.into(), partitions, segment_bytes_max: Self::SEGMENT_BYTES_MAX, clock }
    }

    pub(super) fn validate(&self) -> Result<(), LogError> {
        if !(1..=Self::PARTITIONS_MAX).contains(&self.partitions) {
            return Err(LogError::BadConfig { setting: "partitions", rule: "1 to 1,024" });
        }
        if !(1..=1 << 30).contains(&self.segment_bytes_max) {
            let rule = "1 byte to 1 GiB";
            return Err(LogError::BadConfig { setting: "segment_bytes_max", rule });
        }
        Ok(())
    }
}

impl fmt::Debug for EmbeddedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedConfig")
            .field("dir", &self.dir)
            .field("partitions", &self.partitions)
            .field("segment_bytes_max", &self.segment_bytes_max)
            .finish_non_exhaustive()
    }
}
