//! Roots tell each other through the registry what was under way on leaves that were lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use nautilus_registry::layout::Suspicion;
use nautilus_registry::{Change, Operation, Registry, RegistryError, Revision, Transaction};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::PartitionId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::fingerprint::Fingerprint;
use crate::metrics::RootMetrics;
use crate::suspects::{Loss, MEMORY, Suspects, Verdict};

/// Losses not yet told: what a few leaves have under way. More are not told, and still remembered here.
const UNTOLD_MAX: usize = 1_024;
/// Losses told in one transaction.
const TOLD_AT_ONCE_MAX: usize = 64;
/// Before a registry that is away is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The memory as requests use it.
#[derive(Debug)]
pub(crate) struct SharedSuspects {
    memory: Mutex<Suspects>,
    clock: Clock,
    metrics: RootMetrics,
    untold: mpsc::Sender<Loss>,
    /// Taken by the task that tells them.
    to_tell: Mutex<Option<mpsc::Receiver<Loss>>>,
}

impl SharedSuspects {
    pub(crate) fn new(clock: Clock, metrics: RootMetrics) -> Self {
        let (untold, to_tell) = mpsc::channel(UNTOLD_MAX);
        let to_tell = Mutex::new(Some(to_tell));
        Self { memory: Mutex::default(), clock, metrics, untold, to_tell }
    }

    /// This root lost a leaf while it had the request.
    pub(crate) fn lost(&self, loss: Loss) -> Verdict {
        let verdict = self.learn(&loss);
        if self.untold.try_send(loss).is_err() {
            tracing::debug!("too many suspects at once: one is not told to other roots");
        }
        verdict
    }

    pub(crate) fn answered(
        &self,
        fingerprint: Fingerprint,
        partition: PartitionId,
        sent: std::time::Instant,
    ) {
        let mut memory = self.memory();
        if !memory.is_empty() && memory.answered(fingerprint, partition, sent) {
            self.count(&memory);
        }
    }

    pub(crate) fn is_suspect(&self, fingerprint: Fingerprint, partition: PartitionId) -> bool {
        let memory = self.memory();
        !memory.is_empty() && memory.is_suspect(fingerprint, partition, self.clock.now())
    }

    pub(crate) fn refused_for(&self, fingerprint: Fingerprint) -> Option<Duration> {
        let memory = self.memory();
        if memory.is_empty() { None } else { memory.refused_for(fingerprint, self.clock.now()) }
    }

    fn learn(&self, loss: &Loss) -> Verdict {
        let mut memory = self.memory();
        let verdict = memory.lost(loss, self.clock.now(), self.clock.unix_ms());
        self.count(&memory);
        verdict
    }

    fn forget(&self) {
        let mut memory = self.memory();
        memory.forget(self.clock.now());
        self.count(&memory);
    }

    fn count(&self, memory: &Suspects) {
        let (suspect, refused) = memory.counts(self.clock.now());
        self.metrics.suspects(suspect, refused);
    }

    fn memory(&self) -> MutexGuard<'_, Suspects> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells losses and hears of those of other roots.
pub(crate) struct SuspectSharing {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) suspects: Arc<SharedSuspects>,
    pub(crate) relist_interval: Duration,
    pub(crate) timeout: Duration,
}

impl SuspectSharing {
    /// Tells the others until told to stop. What cannot be told is let go: they learn it at their own cost.
    pub(crate) async fn tell(self, stop: CancellationToken) {
        let taken = self.suspects.to_tell.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut to_tell) = taken else { return };
        let mut batch = Vec::new();
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = to_tell.recv_many(&mut batch, TOLD_AT_ONCE_MAX) => received,
            };
            if received == 0 {
                return;
            }
            let told = tokio::time::timeout(self.timeout, self.write(&batch)).await;
            match told {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = error_chain(&error),
                        "other roots are not told of suspects"
                    );
                }
                Err(_) => {
                    tracing::warn!("other roots are not told of suspects: the registry is late")
                }
            }
            batch.clear();
        }
    }

    async fn write(&self, losses: &[Loss]) -> Result<(), RegistryError> {
        let lease = self.registry.grant_lease(MEMORY).await?;
        let mut keys: Vec<String> =
            losses.iter().map(|loss| Suspicion::from(loss).to_string()).collect();
        keys.sort_unstable();
        keys.dedup();
        let put = |key| Operation::Put { key, value: Bytes::new(), lease: Some(lease) };
        let operations = keys.into_iter().map(put).collect();
        self.registry.transact(Transaction { operations, ..Transaction::default() }).await?;
        Ok(())
    }

    /// Hears of theirs until told to stop. A registry that is away is waited for.
    pub(crate) async fn hear(self, stop: CancellationToken) {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        loop {
            // The routing table's watch says in the log that the registry is away.
            if let Ok(from) = self.listed().await {
                self.watched(from).await;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    async fn listed(&self) -> Result<Revision, RegistryError> {
        let listing = self.registry.list(Suspicion::PREFIX).await?;
        for entry in &listing.entries {
            self.learn(&entry.key);
        }
        self.suspects.forget();
        Ok(listing.revision.next())
    }

    async fn watched(&self, from: Revision) {
        let Ok(mut watch) = self.registry.watch(Suspicion::PREFIX, from).await else { return };
        let mut relist = interval(self.relist_interval);
        relist.set_missed_tick_behavior(MissedTickBehavior::Delay);
        relist.reset();
        loop {
            tokio::select! {
                biased;
                changes = watch.next() => match changes {
                    Ok((_, changes)) => changes.iter().for_each(|change| match change {
                        Change::Put(entry) => self.learn(&entry.key),
                        // Each is forgotten by its own time.
                        Change::Delete { .. } => {}
                    }),
                    Err(_) => return,
                },
                _ = relist.tick() => if self.listed().await.is_err() {
                    return;
                },
            }
        }
    }

    fn learn(&self, key: &str) {
        if let Some(suspicion) = Suspicion::parse(key) {
            self.suspects.learn(&suspicion.into());
        }
    }
}
