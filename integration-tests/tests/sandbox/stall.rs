//! A log between the cluster and its own one: what it is asked can be held up, and an append can panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog, Record, Watermarks};
use nautilus_types::{Offset, PartitionId};
use tokio::sync::watch;

/// Open unless told otherwise.
pub(crate) struct Stall {
    inner: Arc<dyn MutationLog>,
    /// Readers pass: while they do not, replicas stay where they are and writes go on.
    is_open: watch::Sender<bool>,
    /// It says where it ends: a leaf that has to know hangs meanwhile.
    is_end_told: watch::Sender<bool>,
    panics: AtomicBool,
}

impl Stall {
    pub(crate) fn new(inner: Arc<dyn MutationLog>) -> Self {
        let (is_open, is_end_told) = (watch::Sender::new(true), watch::Sender::new(true));
        Self { inner, is_open, is_end_told, panics: AtomicBool::new(false) }
    }

    pub(crate) fn set_open(&self, is_open: bool) {
        self.is_open.send_replace(is_open);
    }

    pub(crate) fn set_end_told(&self, is_end_told: bool) {
        self.is_end_told.send_replace(is_end_told);
    }

    pub(crate) fn panic_at_next_append(&self) {
        self.panics.store(true, Ordering::SeqCst);
    }
}

async fn pass(gate: &watch::Sender<bool>) {
    gate.subscribe().wait_for(|is_open| *is_open).await.expect("sender lives");
}

#[async_trait]
impl MutationLog for Stall {
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
        assert!(!self.panics.swap(false, Ordering::SeqCst), "a secret of the log");
        self.inner.append_batch(partition, payloads).await
    }

    async fn read(
        &self,
        partition: PartitionId,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        pass(&self.is_open).await;
        self.inner.read(partition, from, bytes_max).await
    }

    async fn watermarks(&self, partition: PartitionId) -> Result<Watermarks, LogError> {
        pass(&self.is_end_told).await;
        self.inner.watermarks(partition).await
    }

    async fn wait_beyond(&self, partition: PartitionId, next: Offset) -> Result<Offset, LogError> {
        pass(&self.is_open).await;
        self.inner.wait_beyond(partition, next).await
    }

    async fn trim(&self, partition: PartitionId, below: Offset) -> Result<Offset, LogError> {
        self.inner.trim(partition, below).await
    }

    async fn close(&self) -> Result<(), LogError> {
        self.inner.close().await
    }
}
