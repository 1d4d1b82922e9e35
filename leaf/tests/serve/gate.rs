//! A log whose reads can be held up, so that a leaf stays behind for as long as a test wants. Looking
//! at a single record, as status does for the lag, is not held up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog, Record, Watermarks};
use nautilus_types::{Offset, PartitionId};
use tokio::sync::watch;

pub(crate) struct Gate {
    inner: Arc<dyn MutationLog>,
    is_open: watch::Sender<bool>,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub(crate) fn new(inner: Arc<dyn MutationLog>) -> Arc<Self> {
        let (is_open, waiting) = (watch::Sender::new(true), watch::Sender::new(0));
        Arc::new(Self { inner, is_open, waiting })
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    /// Returns once a read is held up.
    pub(crate) async fn until_waiting(&self) {
        self.waiting.subscribe().wait_for(|waiting| *waiting > 0).await.expect("sender lives");
    }
}

#[async_trait]
impl MutationLog for Gate {
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
        if bytes_max > 1 {
            self.waiting.send_modify(|waiting| *waiting += 1);
            self.is_open.subscribe().wait_for(|is_open| *is_open).await.expect("sender lives");
            self.waiting.send_modify(|waiting| *waiting -= 1);
        }
        self.inner.read(partition, from, bytes_max).await
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        self.inner.watermarks(partition).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        self.inner.wait_beyond(partition, next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        self.inner.trim(partition, below).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}
