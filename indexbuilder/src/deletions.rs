//! Brings the deletion of namespaces from the catalog into the log, however often it takes.
//!
//! The catalog notes a deletion in the same change that takes the namespace away. Until the log has it
//! too, the note stays: after a crash, a lost answer or a log that was away, the next round finds it.
//! Twice in the log is as good as once.

use std::sync::Arc;
use std::time::Duration;

use nautilus_catalog::{Catalog, CatalogError};
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::{Class, PartitionMap};
use tokio::sync::{Mutex, Notify};

use crate::record::Origin;

/// Deletions read from the catalog at a time.
const ROUND: u32 = 100;

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeletionError {
    #[error("read or note namespace deletions")]
    Catalog(#[from] CatalogError),
    #[error("write a namespace deletion to the log")]
    Log(#[from] LogError),
}

impl DeletionError {
    fn class(&self) -> Class {
        match self {
            Self::Catalog(error) => error.class(),
            Self::Log(error) => error.class(),
        }
    }
}

/// The reconciler.
pub(crate) struct Deletions {
    catalog: Arc<dyn Catalog>,
    log: Arc<dyn MutationLog>,
    map: PartitionMap,
    clock: Clock,
    /// One round at a time, so that none writes what another is writing.
    round: Mutex<()>,
    nudge: Notify,
}

impl Deletions {
    pub(crate) fn new(
        catalog: Arc<dyn Catalog>,
        log: Arc<dyn MutationLog>,
        map: PartitionMap,
        clock: Clock,
    ) -> Self {
        Self { catalog, log, map, clock, round: Mutex::new(()), nudge: Notify::new() }
    }

    /// Writes every deletion that is noted. May be dropped: the note stays.
    pub(crate) async fn finish_pending(&self) -> Result<(), DeletionError> {
        let _round = self.round.lock().await;
        loop {
            let pending = self.catalog.pending_namespace_deletions(ROUND).await?;
            for deleted in &pending {
                let origin = Origin {
                    log: self.log.identity(),
                    trace_context: "",
                    accepted_unix_ms: self.clock.unix_ms(),
                };
                let record = origin.delete_namespace(&deleted.name, deleted.incarnation);
                self.log.append(self.map.partition_of(&deleted.name), record).await?;
                self.catalog.mark_namespace_deletion_logged(deleted.incarnation).await?;
                let incarnation = deleted.incarnation.0;
                tracing::info!(incarnation, "namespace deletion is in the log");
            }
            if pending.len() < usize::try_from(ROUND).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }

    /// Asks for a round soon: there may be a note.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// A round at the start, at every nudge, and every `interval` for what nudges missed.
    pub(crate) async fn run(&self, interval: Duration, stop: CancellationToken) {
        let mut timer = tokio::time::interval(interval);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timer.tick() => {}
                () = self.nudge.notified() => {}
            }
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.finish_pending() => round,
            };
            if let Err(error) = round {
                report(&error);
            }
        }
    }
}

/// What is only away comes back; anything else needs a person.
pub(crate) fn report(error: &DeletionError) {
    let chain = error_chain(error);
    if error.class().is_retryable() {
        tracing::warn!(error = chain, "namespace deletions wait for the next round");
    } else {
        tracing::error!(error = chain, "namespace deletions do not reach the log");
    }
}
