//! Injects seeded faults in front of and behind a registry, and takes it down at will.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::seeded::Seeded;
use crate::{
    Change, Entry, LeaseId, Listing, Registry, RegistryError, Revision, Transaction, Watch,
};

#[cfg(test)]
mod tests;

/// How often which fault happens. The default is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The same seed and the same order of calls, and of what each watch delivers, give the same faults.
    pub seed: u64,
    /// Reads, listings and beginnings of watches of 1,000 that fail with [`RegistryError::Unavailable`].
    pub read_refused_per_mille: u32,
    /// Transactions and calls about leases of 1,000 that fail so before they reach the registry.
    pub write_refused_per_mille: u32,
    /// Transactions and calls about leases of 1,000 that happen but fail so.
    pub write_unknown_per_mille: u32,
    /// Calls of 1,000 that are held up first.
    pub delayed_per_mille: u32,
    /// The longest delay; each is drawn evenly from zero to this.
    pub delay_max: Duration,
    /// Deliveries of watches of 1,000 in whose place the watch ends.
    pub watch_ended_per_mille: u32,
}

/// A registry that fails as its [`FaultPlan`] says and otherwise does what the registry behind it does.
pub struct Faulty {
    inner: Arc<dyn Registry>,
    plan: FaultPlan,
    draws: Mutex<Seeded>,
    is_active: Arc<AtomicBool>,
    down: watch::Sender<bool>,
}

/// What was drawn for one call.
#[derive(Debug)]
struct Fate {
    delay: Option<Duration>,
    refused: bool,
    unknown: bool,
}

impl Faulty {
    /// Puts the faults of `plan` around `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Registry>, plan: FaultPlan) -> Self {
        let draws = Mutex::new(Seeded::new(plan.seed));
        let is_active = Arc::new(AtomicBool::new(true));
        Self { inner, plan, draws, is_active, down: watch::Sender::new(false) }
    }

    /// Whether faults happen, as they do from the start. While they do not, they are drawn all the same.
    pub fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::SeqCst);
    }

    /// While down, every call fails with [`RegistryError::Unavailable`] and reaches nothing; watches end.
    /// What was on its way goes on. The registry behind goes on too: leases that are not kept alive end.
    pub fn set_down(&self, is_down: bool) {
        self.down.send_replace(is_down);
    }

    /// Draws always the same number of times, so that one rate does not shift the others' faults.
    fn draw(&self, refused_per_mille: u32, unknown_per_mille: u32) -> Fate {
        let mut draws = self.draws.lock().unwrap_or_else(PoisonError::into_inner);
        let delayed = draws.chance(self.plan.delayed_per_mille);
        let share = draws.per_mille();
        let refused = draws.chance(refused_per_mille);
        let unknown = draws.chance(unknown_per_mille);
        let longest = u64::try_from(self.plan.delay_max.as_micros()).unwrap_or(u64::MAX);
        let delay = delayed.then(|| Duration::from_micros(longest.saturating_mul(share) / 999));
        if !self.is_active.load(Ordering::SeqCst) {
            return Fate { delay: None, refused: false, unknown: false };
        }
        Fate { delay, refused, unknown }
    }

    async fn around<T>(
        &self,
        fate: Fate,
        call: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        if let Some(delay) = fate.delay {
            tokio::time::sleep(delay).await;
        }
        if *self.down.borrow() {
            return Err(injected("injected: the registry is down"));
        }
        if fate.refused {
            return Err(injected("injected"));
        }
        let answer = call.await?;
        if fate.unknown {
            return Err(injected("injected: the answer was lost"));
        }
        Ok(answer)
    }

    async fn read<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        self.around(self.draw(self.plan.read_refused_per_mille, 0), call).await
    }

    async fn write<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        let plan = &self.plan;
        self.around(self.draw(plan.write_refused_per_mille, plan.write_unknown_per_mille), call)
            .await
    }
}

fn injected(what: &'static str) -> RegistryError {
    RegistryError::Unavailable(Box::new(io::Error::other(what)))
}

#[async_trait]
impl Registry for Faulty {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        self.read(self.inner.get(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        self.read(self.inner.list(prefix)).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        self.write(self.inner.transact(transaction)).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        // Of its own, so that how fast a watch is read does not shift the faults of calls.
        let draws =
            Seeded::new(self.draws.lock().unwrap_or_else(PoisonError::into_inner).next_u64());
        let down = self.down.subscribe();
        let inner = self.read(self.inner.watch(prefix, from)).await?;
        let ended_per_mille = self.plan.watch_ended_per_mille;
        let is_active = Arc::clone(&self.is_active);
        let has_ended = false;
        Ok(Box::new(FaultyWatch { inner, draws, ended_per_mille, is_active, down, has_ended }))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        self.write(self.inner.grant_lease(ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.write(self.inner.keep_alive(lease)).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.write(self.inner.revoke_lease(lease)).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// A watch that ends when the registry goes down, or when drawn.
struct FaultyWatch {
    inner: Box<dyn Watch>,
    draws: Seeded,
    ended_per_mille: u32,
    is_active: Arc<AtomicBool>,
    down: watch::Receiver<bool>,
    has_ended: bool,
}

#[async_trait]
impl Watch for FaultyWatch {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        let ended = "injected: the watch has ended";
        if self.has_ended {
            return Err(injected(ended));
        }
        let delivered = tokio::select! {
            biased;
            // The wrapper may be gone while the registry is not; then it is not down.
            Ok(_) = self.down.wait_for(|is_down| *is_down) => None,
            delivered = self.inner.next() => Some(delivered?),
        };
        // Drawn for what is delivered and not when asked, so that a dropped wait draws nothing.
        let is_active = self.is_active.load(Ordering::SeqCst);
        let mut ends = || self.draws.chance(self.ended_per_mille) && is_active;
        let Some(delivered) = delivered.filter(|_| !ends()) else {
            self.has_ended = true;
            return Err(injected(ended));
        };
        Ok(delivered)
    }
}
