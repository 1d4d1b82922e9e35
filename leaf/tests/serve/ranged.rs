//! A log that shows only a part of itself: as if it had given up its beginning, or lost its end.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog, Record, Watermarks};
use nautilus_types::{Offset, PartitionId};

pub(crate) struct Ranged {
    inner: Arc<dyn MutationLog>,
    low: Offset,
    high: Offset,
}

impl Ranged {
    /// What `inner` has from `low` on.
    pub(crate) fn from(inner: Arc<dyn MutationLog>, low: u64) -> Arc<Self> {
        Arc::new(Self { inner, low: Offset(low), high: Offset(u64::MAX) })
    }

    /// What `inner` has below `high`.
    pub(crate) fn below(inner: Arc<dyn MutationLog>, high: u64) -> Arc<Self> {
        Arc::new(Self { inner, low: Offset(0), high: Offset(high) })
    }
}

#[async_trait]
impl MutationLog for Ranged {
    fn identity(&self) -> &LogIdentity {
        self.inner.identity()
    }

    async fn append(&self, partition: PartitionId, payload: Bytes) -> Result<Offset, LogError> {
        self.inner.append(partition, payload).await
    }

    async fn append_batch(
        &self,
        partition: PartitionId,
        payloads: Vec<Bytes>,
    ) -> Result<Vec<Offset>, LogError> {
        self.inner.append_batch(partition, payloads).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let Watermarks { low, high } = self.watermarks(partition).await?;
        if from < low || from > high {
            return Err(LogError::OutOfRange { partition, asked: from, low, high });
        }
        let mut records = self.inner.read(partition, from, bytes_max).await?;
        records.retain(|record| record.offset < high);
        Ok(records)
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        let marks = self.inner.watermarks(partition).await?;
        let high = marks.high.min(self.high);
        Ok(Watermarks { low: self.low.clamp(marks.low, high), high })
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        if next >= self.high {
            return std::future::pending().await;
        }
        self.inner.wait_beyond(partition, next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        self.inner.trim(partition, below).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}
