//! Counts what goes through a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

use crate::{LogError, LogIdentity, MutationLog, Record, Watermarks};

/// A log that counts calls, records, bytes and errors; plain totals since it was made.
pub struct Metered {
    inner: Arc<dyn MutationLog>,
    counts: Counters,
}

/// What [`Metered`] has seen. Calls are counted when they end; batches count as one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCounts {
    /// Appends and batches that ended.
    pub append_calls: u64,
    /// Of these, how many failed.
    pub append_errors: u64,
    /// Of the failed, how many with an unknown outcome.
    pub append_unknown: u64,
    /// Records acknowledged.
    pub append_records: u64,
    /// Payload bytes acknowledged.
    pub append_bytes: u64,
    /// Reads that ended.
    pub read_calls: u64,
    /// Of these, how many failed.
    pub read_errors: u64,
    /// Records read.
    pub read_records: u64,
    /// Payload bytes read.
    pub read_bytes: u64,
    /// Waits for the high watermark that ended.
    pub wait_calls: u64,
    /// Trims that ended.
    pub trim_calls: u64,
}

#[derive(Default)]
struct Counters {
    append_calls: AtomicU64,
    append_errors: AtomicU64,
    append_unknown: AtomicU64,
    append_records: AtomicU64,
    append_bytes: AtomicU64,
    read_calls: AtomicU64,
    read_errors: AtomicU64,
    read_records: AtomicU64,
    read_bytes: AtomicU64,
    wait_calls: AtomicU64,
    trim_calls: AtomicU64,
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

fn bytes_of(payloads: &[Bytes]) -> u64 {
    payloads.iter().map(|payload| payload.len() as u64).sum()
}

impl Metered {
    /// Counts what goes through `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn MutationLog>) -> Self {
        Self { inner, counts: Counters::default() }
    }

    /// The totals so far. The fields are read one by one, not at one instant.
    #[must_use]
    pub fn counts(&self) -> CallCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = &self.counts;
        CallCounts {
            append_calls: get(&c.append_calls),
            append_errors: get(&c.append_errors),
            append_unknown: get(&c.append_unknown),
            append_records: get(&c.append_records),
            append_bytes: get(&c.append_bytes),
            read_calls: get(&c.read_calls),
            read_errors: get(&c.read_errors),
            read_records: get(&c.read_records),
            read_bytes: get(&c.read_bytes),
            wait_calls: get(&c.wait_calls),
            trim_calls: get(&c.trim_calls),
        }
    }

    fn count_append<T>(&self, records: u64, bytes: u64, outcome: &Result<T, LogError>) {
        add(&self.counts.append_calls, 1);
        match outcome {
            Ok(_) => {
                add(&self.counts.append_records, records);
                add(&self.counts.append_bytes, bytes);
            }
            Err(error) => {
                add(&self.counts.append_errors, 1);
                add(&self.counts.append_unknown, u64::from(error.may_have_appended()));
            }
        }
    }
}

#[async_trait]
impl MutationLog for Metered {
    fn identity(&self) -> &LogIdentity {
        self.inner.identity()
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        let bytes = payload.len() as u64;
        let outcome = self.inner.append(partition, payload).await;
        self.count_append(1, bytes, &outcome);
        outcome
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        let (records, bytes) = (payloads.len() as u64, bytes_of(&payloads));
        let outcome = self.inner.append_batch(partition, payloads).await;
        self.count_append(records, bytes, &outcome);
        outcome
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let outcome = self.inner.read(partition, from, bytes_max).await;
        add(&self.counts.read_calls, 1);
        match &outcome {
            Ok(records) => {
                add(&self.counts.read_records, records.len() as u64);
                let bytes = records.iter().map(|record| record.payload.len() as u64).sum();
                add(&self.counts.read_bytes, bytes);
            }
            Err(_) => add(&self.counts.read_errors, 1),
        }
        outcome
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.inner.watermarks(partition).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        let outcome = self.inner.wait_beyond(partition, next).await;
        add(&self.counts.wait_calls, 1);
        outcome
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        let outcome = self.inner.trim(partition, below).await;
        add(&self.counts.trim_calls, 1);
        outcome
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}
