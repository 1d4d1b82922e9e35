//! Where batches are made durable.

use async_trait::async_trait;

use super::batch::Batch;
use crate::{RegistryError, Revision};

/// Keeps what is committed, whole batches in order.
#[async_trait]
pub(super) trait Store: Send {
    /// Makes the batch durable. After an error it may or may not be: [`recover`](Self::recover) tells.
    async fn commit(&mut self, batch: &Batch) -> Result<(), RegistryError>;

    /// After a failed commit: which revision is stored.
    async fn recover(&mut self) -> Result<Revision, RegistryError>;

    /// Lets go of it.
    async fn close(self: Box<Self>);
}

/// Keeps nothing but the number of the last batch.
#[derive(Debug, Default)]
pub(super) struct MemoryStore {
    revision: Revision,
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&mut self, batch: &Batch) -> Result<(), RegistryError> {
        self.revision = batch.revision;
        Ok(())
    }

    async fn recover(&mut self) -> Result<Revision, RegistryError> {
        Ok(self.revision)
    }

    async fn close(self: Box<Self>) {}
}
