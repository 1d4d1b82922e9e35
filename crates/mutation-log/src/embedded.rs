//! The mutation log on local files, for one machine: no service needed beside the process.
//!
//! ```text
//! append ─► queue ─► appender thread of the partition ─► segment files ◄─ read (blocking pool)
//!                                   └─► high watermark ─► wait_beyond
//! ```
//!
//! The layout on disk is drawn in `docs/formats/mutation-log.md`.

mod appender;
mod config;
mod create;
mod files;
mod frame;
mod partition;
mod recovery;
mod segment;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod simulated;
pub(crate) mod storage;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

pub use self::config::{EmbeddedConfig, WallClock};
use self::partition::Partition;
use self::storage::{FileStorage, LogStorage, StorageLock};
use crate::{LogError, LogIdentity, MutationLog, Record, Watermarks};

/// A mutation log in a local directory. One process at a time has it open.
///
/// [`close`](MutationLog::close) it to end: dropping it does the same but blocks the thread that
/// drops it until what was queued is synced.
///
/// After a failed sync a partition takes no appends any more ([`LogError::Failed`]); its durable
/// records stay readable. Opening the log again finds out what is there.
pub struct EmbeddedLog {
    identity: LogIdentity,
    partitions: Vec<Arc<Partition>>,
    running: Arc<Mutex<Running>>,
}

/// What ends with the log.
struct Running {
    threads: Vec<JoinHandle<()>>,
    lock: Option<Box<dyn StorageLock>>,
}

/// What the appenders did since the log was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EmbeddedStats {
    /// Commit groups that were made durable, each by one `fdatasync`.
    pub syncs: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes written for them, frame headers included.
    pub bytes: u64,
}

impl EmbeddedLog {
    /// Opens the log in `config.dir`, making it where there is none.
    ///
    /// Besides [`LogError::Io`]: [`LogError::InUse`] while another process has it open,
    /// [`LogError::OtherPartitions`] and [`LogError::OtherVersion`] where it was made otherwise,
    /// [`LogError::Corrupt`] where acknowledged records are damaged or missing.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, LogError> {
        Self::open_on(Arc::new(FileStorage), config).await
    }

    /// As [`open`](Self::open), on another file system.
    pub async fn open_on(
        storage: Arc<dyn LogStorage>,
        config: EmbeddedConfig,
    ) -> Result<Self, LogError> {
        blocking(move || Self::open_blocking(&storage, &config)).await
    }

    fn open_blocking(
        storage: &Arc<dyn LogStorage>,
        config: &EmbeddedConfig,
    ) -> Result<Self, LogError> {
        config.validate()?;
        let dir = config.dir.display();
        storage
            .create_dir(&config.dir)
            .map_err(|error| LogError::io(format!("make {dir}"), error))?;
        let lock = files::lock_path(&config.dir);
        let place = lock.display().to_string();
        let lock = storage
            .lock(&lock)
            .map_err(|error| LogError::io(format!("lock {place}"), error))?
            .ok_or(LogError::InUse { place })?;
        let identity = create::open_or_create(&**storage, config)?;
        let running = Running { threads: Vec::new(), lock: Some(lock) };
        let mut log =
            Self { identity, partitions: Vec::new(), running: Arc::new(Mutex::new(running)) };
        for partition in (0..config.partitions).map(PartitionId) {
            let (partition, thread) = Partition::open(storage, config, &log.identity, partition)?;
            log.partitions.push(partition);
            log.running.lock().unwrap_or_else(PoisonError::into_inner).threads.push(thread);
        }
        Ok(log)
    }

    /// What the appenders did so far.
    #[must_use]
    pub fn stats(&self) -> EmbeddedStats {
        let mut stats = EmbeddedStats::default();
        for partition in &self.partitions {
            let counters = &partition.shared().counters;
            stats.syncs += counters.syncs.load(Ordering::Relaxed);
            stats.records += counters.records.load(Ordering::Relaxed);
            stats.bytes += counters.bytes.load(Ordering::Relaxed);
        }
        stats
    }

    fn partition(&self, partition: PartitionId) -> Result<&Arc<Partition>, LogError> {
        let partitions = self.identity.partitions;
        usize::try_from(partition.0)
            .ok()
            .and_then(|i| self.partitions.get(i))
            .ok_or(LogError::NoSuchPartition { partition, partitions })
    }
}

impl Running {
    /// Waits for the appenders, then lets others open the log. Nothing where that is done.
    fn end(running: &Mutex<Self>) {
        let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in running.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("an appender thread of the log panicked");
            }
        }
        running.lock = None;
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        for partition in &self.partitions {
            partition.close();
        }
        Running::end(&self.running);
    }
}

#[async_trait]
impl MutationLog for EmbeddedLog {
    fn identity(&self) -> &LogIdentity {
        &self.identity
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        let offsets = self.partition(partition)?.append(vec![payload]).await?;
        offsets.first().copied().ok_or(LogError::UnknownOutcome { partition, source: None })
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        let log = self.partition(partition)?;
        if payloads.is_empty() {
            return log.watermarks().map(|_| Vec::new());
        }
        log.append(payloads).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let log = Arc::clone(self.partition(partition)?);
        // A reader that has caught up costs no thread.
        if log.watermarks()?.high == from {
            return Ok(Vec::new());
        }
        blocking(move || log.read(from, bytes_max)).await
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.partition(partition)?.watermarks()
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        self.partition(partition)?.wait_beyond(next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        let log = Arc::clone(self.partition(partition)?);
        blocking(move || log.trim(below)).await
    }

    async fn close(&self) -> Result<(), LogError> {
        for partition in &self.partitions {
            partition.close();
        }
        let running = Arc::clone(&self.running);
        blocking(move || {
            Running::end(&running);
            Ok(())
        })
        .await
    }
}

/// Runs file system calls where they may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LogError::io("run a blocking call", std::io::Error::other(error)))?
}
