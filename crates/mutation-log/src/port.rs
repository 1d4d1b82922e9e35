//! The port: what any mutation log promises, without naming a backend.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_types::{LogGeneration, Offset, PartitionId};

use crate::LogError;

/// All payloads of one [`MutationLog::append_batch`] together, in bytes.
pub const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Which log this is. Offsets of logs with different identities do not compare.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LogIdentity {
    /// Drawn at random when the log was created.
    pub cluster_id: [u8; 16],
    /// Which life of the log this is.
    pub generation: LogGeneration,
    /// Number of partitions: they are numbered 0 to `partitions - 1`.
    pub partitions: u32,
}

impl fmt::Debug for LogIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        f.debug_struct("LogIdentity")
            .field("cluster_id", &format_args!("{cluster_id:032x}"))
            .field("generation", &self.generation.0)
            .field("partitions", &self.partitions)
            .finish()
    }
}

/// One durable record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its position in its partition.
    pub offset: Offset,
    /// When the log took it, in milliseconds since the Unix epoch. For lag in seconds only: clocks
    /// jump, so it never decides order.
    pub appended_at_unix_ms: u64,
    /// The bytes that were appended. May share one buffer with other records of the same read, so
    /// whoever keeps a small record for long copies it.
    pub payload: Bytes,
}

/// The readable range of one partition. Only durable records count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// The first offset that can be read; everything below was trimmed.
    pub low: Offset,
    /// The offset the next record will get, or a later one. Equal to `low` when there are no records.
    pub high: Offset,
}

/// An ordered, durable log with a fixed number of partitions.
///
/// **Order.** Within a partition, records are read in the order of their offsets, which only grow
/// and may have gaps. An append that begins after another was acknowledged gets a higher offset.
/// Partitions are independent.
///
/// **Durability.** An acknowledged append survives the loss of the process and of power. Only
/// durable records are readable or counted in the watermarks, so whatever a reader saw stays.
///
/// **Outcomes.** [`LogError::UnknownOutcome`] says that the record may or may not be in the log, now
/// or after a restart; every other error of an append says that it is not. Dropping the future of
/// an append leaves its outcome unknown; all other methods may be dropped freely.
///
/// Every method answers [`LogError::NoSuchPartition`] for a partition the log does not have, and
/// [`LogError::Closed`] after [`close`](Self::close).
#[async_trait]
pub trait MutationLog: Send + Sync {
    /// Which log this is; the same for as long as it exists.
    fn identity(&self) -> &LogIdentity;

    /// Appends one record and returns its offset once it is durable. Waits while the queue of the
    /// partition is full. Refuses a payload over `Limits::RECORD_BYTES_MAX` with
    /// [`LogError::TooLarge`].
    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError>;

    /// Appends records in the given order, with ascending offsets, and returns these once all are
    /// durable. A refused batch appends nothing; after an unknown outcome any of its records may be
    /// in the log, in the given order: a first part of them, or on Kafka, rarely, with records missing
    /// in between. Refuses a batch over [`BATCH_BYTES_MAX`] too. An empty batch does nothing.
    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError>;

    /// Reads records at or after `from` in order: as many as fit into `bytes_max` of payload, but
    /// at least one where there is one, and possibly fewer than would fit. Empty only at the high
    /// watermark. Outside the watermarks it is [`LogError::OutOfRange`]: where to go on is the
    /// caller's decision, never "earliest" or "latest". Bytes that are not what was written are
    /// [`LogError::Corrupt`], never skipped.
    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError>;

    /// The readable range. Neither end ever goes back.
    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError>;

    /// Waits until the high watermark is above `next`, then returns it; at once where it is already.
    /// Woken by the append, without polling. [`LogError::OutOfRange`] when `next` is above the high
    /// watermark, for then the caller's offset is not of this log.
    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError>;

    /// Gives up records below `below`, as far as the log can (the embedded one drops whole
    /// segments), and returns the low watermark as it now is. [`LogError::OutOfRange`] when `below`
    /// is above the high watermark.
    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError>;

    /// Finishes what was queued, then releases files and threads. Waiters wake with
    /// [`LogError::Closed`]. Closing again does nothing.
    async fn close(&self) -> Result<(), LogError>;
}
