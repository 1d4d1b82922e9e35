//! The one task that changes the registry: transactions in turn, and the ends of leases.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::batch::Batch;
use super::shared::Shared;
use super::state::Phase;
use super::store::Store;
use crate::{LeaseId, RegistryError, Revision, Transaction};

/// The longest the writer rests while a lease runs or something failed: a clock set by hand wakes
/// nobody. The shortest lease is as long.
const REST_MAX: Duration = Duration::from_millis(100);

type Answer<T> = oneshot::Sender<Result<T, RegistryError>>;

/// What the writer is asked to do. Whoever asked may have gone; then the answer is nobody's.
pub(super) enum Command {
    Transact(Transaction, Answer<Revision>),
    Grant(Duration, Answer<LeaseId>),
    Revoke(LeaseId, Answer<()>),
    /// After everything asked before.
    Close,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    store: Box<dyn Store>,
    /// A batch whose commit failed, until it is known whether it happened.
    doubt: Option<Batch>,
    /// Leases that ended but whose keys are not deleted yet.
    ended: BTreeSet<LeaseId>,
    closing: Closing,
}

/// However the writer ends, also before it began, nobody waits for what cannot come.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.enter(Phase::Closed);
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, store: Box<dyn Store>) -> Self {
        let closing = Closing(Arc::clone(&shared));
        Self { shared, store, doubt: None, ended: BTreeSet::new(), closing }
    }

    /// Runs until it is told to close or all senders are gone.
    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        loop {
            if let Err(error) = self.end_leases().await {
                // Said once, by the commit that failed; tried again after a rest.
                tracing::debug!(%error, "leases not ended yet");
            }
            let command = match self.rest() {
                Some(rest) => match tokio::time::timeout(rest, queue.recv()).await {
                    Ok(command) => command,
                    Err(_) => continue,
                },
                None => queue.recv().await,
            };
            match command {
                Some(Command::Transact(transaction, answer)) => {
                    let _ = answer.send(self.transact(transaction).await);
                }
                Some(Command::Grant(ttl, answer)) => {
                    let lease = self.shared.lock().leases.grant(ttl, self.shared.now());
                    let _ = answer.send(Ok(lease));
                }
                Some(Command::Revoke(lease, answer)) => {
                    let _ = answer.send(self.revoke(lease).await);
                }
                Some(Command::Close) | None => break,
            }
        }
        drop(self.closing);
        self.store.close().await;
    }

    /// How long nothing is to be done unless asked for; none = for ever.
    fn rest(&self) -> Option<Duration> {
        if self.doubt.is_some() || !self.ended.is_empty() {
            return Some(REST_MAX);
        }
        let end = self.shared.lock().leases.next_end()?;
        Some(end.saturating_duration_since(self.shared.now()).min(REST_MAX))
    }

    async fn transact(&mut self, transaction: Transaction) -> Result<Revision, RegistryError> {
        self.settle().await?;
        let batch = self.shared.lock().plan(transaction)?;
        self.commit(batch).await
    }

    async fn revoke(&mut self, lease: LeaseId) -> Result<(), RegistryError> {
        if self.shared.lock().leases.end(lease) {
            self.ended.insert(lease);
        }
        self.end_leases().await
    }

    /// Ends what has expired and deletes the keys of all that have ended, at one revision.
    async fn end_leases(&mut self) -> Result<(), RegistryError> {
        self.settle().await?;
        let now = self.shared.now();
        self.ended.extend(self.shared.lock().leases.end_expired(now));
        if self.ended.is_empty() {
            return Ok(());
        }
        let batch = self.shared.lock().plan_ends(&self.ended);
        self.commit(batch).await?;
        self.ended.clear();
        Ok(())
    }

    async fn commit(&mut self, batch: Batch) -> Result<Revision, RegistryError> {
        let revision = batch.revision;
        if batch.changes.is_empty() {
            return Ok(revision);
        }
        match self.store.commit(&batch).await {
            Ok(()) => {
                self.shared.apply(batch);
                Ok(revision)
            }
            Err(error) => {
                tracing::warn!(%error, %revision, "a commit of the registry failed");
                self.doubt = Some(batch);
                self.shared.enter(Phase::Doubtful);
                Err(error)
            }
        }
    }

    /// Finds out whether a failed commit happened. Until then nothing else may.
    async fn settle(&mut self) -> Result<(), RegistryError> {
        let Some(batch) = &self.doubt else { return Ok(()) };
        let found = self.store.recover().await?;
        let known = self.shared.lock().revision();
        if found != known && found != batch.revision {
            let problem = format!("revision {found} is stored, {known} or the next was written");
            return Err(RegistryError::Corrupt { problem });
        }
        if let Some(batch) = self.doubt.take()
            && found == batch.revision
        {
            self.shared.apply(batch);
        }
        self.shared.enter(Phase::Open);
        tracing::info!(revision = %found, "the registry's last commit is certain again");
        Ok(())
    }
}
