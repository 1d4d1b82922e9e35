//! The registry in this process, on one SQLite file: no service needed beside it.
//!
//! ```text
//! transact, grant, revoke ─► queue ─► writer task ─► SQLite commit ─► state ─► get, list
//! keep_alive ─────────────────────────► leases ─► ended in time ─┘      └─► history ─► watches
//! ```
//!
//! Leases are of the process that granted them: opening the file again ends them all. Keeping one
//! alive touches no disk and waits for none.

mod batch;
mod config;
mod history;
mod leases;
mod shared;
mod sqlite;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;
use tracing::Instrument;

pub use self::config::{EmbeddedConfig, MonotonicClock};
use self::leases::Leases;
use self::shared::Shared;
use self::sqlite::SqliteStore;
use self::state::{Phase, State};
use self::store::{MemoryStore, Store};
use self::watch::EmbeddedWatch;
use self::writer::{Command, Writer};
use crate::checks::{check_transaction, check_ttl};
use crate::{Entry, LeaseId, Listing, Registry, RegistryError, Revision, Transaction, Watch};

/// Changes that wait for the writer before further callers wait for room: some seconds of a slow disk.
const QUEUE_MAX: usize = 256;

/// A registry in one SQLite file. One process at a time has it open.
///
/// [`close`](Registry::close) it to end: dropping it gives up what has not been committed.
///
/// A change whose future is dropped may still happen.
pub struct EmbeddedRegistry {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Command>,
    /// The writer; empty once it was joined.
    tasks: Mutex<JoinSet<()>>,
}

impl EmbeddedRegistry {
    /// Opens the registry in `config.file`, making it where there is none. All keys under leases of
    /// an earlier opening are deleted, at one revision: their holders are gone.
    ///
    /// `Unavailable`, also while another process has it open; `Corrupt`, also where the file is
    /// another program's or a newer version's. Must be called within a tokio runtime.
    pub async fn open(config: EmbeddedConfig) -> Result<Self, RegistryError> {
        let loaded = SqliteStore::open(&config.file).await?;
        let leases = Leases::of_opening(loaded.opening);
        let changes_max = config.history_changes_max;
        let mut state = State::new(loaded.revision, loaded.entries, changes_max, leases);
        let mut store = loaded.store;
        let orphans = state.plan_end_of_all_leases();
        if !orphans.changes.is_empty() {
            store.commit(&orphans).await?;
            state.apply(orphans);
        }
        Ok(Self::start(state, Box::new(store), config.clock))
    }

    /// An empty registry that is gone with the process, for tests with paused time: it awaits
    /// nothing but its callers and tokio's clock. Must be called within a tokio runtime.
    #[must_use]
    pub fn in_memory(clock: MonotonicClock) -> Self {
        let changes_max = EmbeddedConfig::HISTORY_CHANGES_MAX;
        let leases = Leases::of_opening(1);
        let state = State::new(Revision(0), BTreeMap::new(), changes_max, leases);
        Self::start(state, Box::new(MemoryStore::default()), clock)
    }

    fn start(state: State, store: Box<dyn Store>, clock: MonotonicClock) -> Self {
        let shared = Arc::new(Shared::new(state, clock));
        let (queue, commands) = mpsc::channel(QUEUE_MAX);
        let writer = Writer::new(Arc::clone(&shared), store);
        let span = tracing::error_span!(parent: None, "task", name = "registry-writer");
        let mut tasks = JoinSet::new();
        tasks.spawn(writer.run(commands).instrument(span));
        Self { shared, queue, tasks: Mutex::new(tasks) }
    }

    /// Has the writer do something.
    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, RegistryError>>) -> Command + Send,
    ) -> Result<T, RegistryError> {
        drop(self.shared.lock_open()?);
        let (answer, answered) = oneshot::channel();
        // Without a writer the registry is closed, and what waited in its queue has not happened.
        self.queue.send(command(answer)).await.map_err(|_| RegistryError::Closed)?;
        answered.await.map_err(|_| RegistryError::Closed)?
    }
}

#[async_trait]
impl Registry for EmbeddedRegistry {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        Ok(self.shared.lock_to_read()?.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        Ok(self.shared.lock_to_read()?.list(prefix))
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        check_transaction(&transaction)?;
        self.ask(|answer| Command::Transact(transaction, answer)).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        self.shared.lock_open()?.history.check(from)?;
        Ok(Box::new(EmbeddedWatch::new(Arc::clone(&self.shared), prefix, from)))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        check_ttl(ttl)?;
        self.ask(|answer| Command::Grant(ttl, answer)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        let now = self.shared.now();
        if self.shared.lock_open()?.leases.keep_alive(lease, now) {
            return Ok(());
        }
        Err(RegistryError::LeaseGone { lease: lease.0 })
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.ask(|answer| Command::Revoke(lease, answer)).await
    }

    async fn close(&self) {
        self.shared.enter(Phase::Closed);
        let mut tasks = self.tasks.lock().await;
        // An error says that the writer has gone already.
        let _ = self.queue.send(Command::Close).await;
        while let Some(end) = tasks.join_next().await {
            if let Err(error) = end {
                tracing::error!(%error, "the registry's writer panicked");
            }
        }
    }
}
