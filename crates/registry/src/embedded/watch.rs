//! Watches: a place in the history each, and no queue that could grow.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::watch;

use super::shared::Shared;
use crate::{Change, RegistryError, Revision, Watch};

/// Reads the shared history on; one that the history has passed by is told so.
pub(super) struct EmbeddedWatch {
    shared: Arc<Shared>,
    changed: watch::Receiver<()>,
    prefix: String,
    /// Everything below was delivered or is not under the prefix.
    next: Revision,
}

impl EmbeddedWatch {
    pub(super) fn new(shared: Arc<Shared>, prefix: &str, from: Revision) -> Self {
        let changed = shared.subscribe();
        Self { shared, changed, prefix: prefix.to_owned(), next: from }
    }

    fn look(&mut self) -> Result<Option<(Revision, Vec<Change>)>, RegistryError> {
        let state = self.shared.lock_open()?;
        let found = state.history.next_under(&self.prefix, self.next)?;
        self.next = match &found {
            Some((revision, _)) => revision.next(),
            // So that changes elsewhere, once dropped from the history, do not end this watch.
            None => self.next.max(state.revision().next()),
        };
        Ok(found)
    }
}

#[async_trait]
impl Watch for EmbeddedWatch {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        loop {
            // Before looking: what comes after the look wakes.
            self.changed.mark_unchanged();
            if let Some(found) = self.look()? {
                return Ok(found);
            }
            self.changed.changed().await.map_err(|_| RegistryError::Closed)?;
        }
    }
}
