//! The lease: the leaf's registration in the registry, kept alive, and what is known of it without asking.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nautilus_registry::layout::{GroupName, Key, LeafName, LeafRegistration};
use nautilus_registry::{LeaseId, Operation, Registry, RegistryError, Transaction};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, Clock};
use nautilus_types::Class;
use tokio::sync::watch;

/// Between tries while the registry does not answer: a part of the lease's time.
const TRIES_PER_TTL: u32 = 10;

/// What is known of the lease; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    ttl: Duration,
    margin: Duration,
    current: Arc<watch::Sender<Option<LeaseId>>>,
    acknowledged: Arc<Mutex<Option<Instant>>>,
}

impl Lease {
    pub(crate) fn new(ttl: Duration, margin: Duration) -> Self {
        let current = Arc::new(watch::Sender::new(None));
        Self { ttl, margin, current, acknowledged: Arc::new(Mutex::new(None)) }
    }

    /// Whether the registry may have given the lease up, by the leaf's own clock.
    pub(crate) fn is_uncertain(&self, now: Instant) -> bool {
        let acknowledged = *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        is_uncertain(acknowledged, now, self.ttl, self.margin)
    }

    /// The lease the leaf is registered under, and every later one.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<LeaseId>> {
        self.current.subscribe()
    }

    fn begin(&self, lease: LeaseId, asked_at: Instant) {
        self.acknowledge(asked_at);
        self.current.send_replace(Some(lease));
    }

    fn acknowledge(&self, asked_at: Instant) {
        let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        *acknowledged = Some(asked_at);
    }

    fn end(&self) {
        self.current.send_replace(None);
    }
}

/// The time counts from before the last acknowledged sign of life was sent: the registry counts from later.
fn is_uncertain(
    acknowledged: Option<Instant>,
    now: Instant,
    ttl: Duration,
    margin: Duration,
) -> bool {
    acknowledged.is_none_or(|at| now.saturating_duration_since(at) > ttl.saturating_sub(margin))
}

/// Registers the leaf and keeps it registered.
pub(crate) struct Keeper {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) lease: Lease,
    pub(crate) group: GroupName,
    pub(crate) leaf: LeafName,
    pub(crate) address: String,
    /// Larger for each start of the process.
    pub(crate) start: u64,
    pub(crate) clock: Clock,
}

/// Why a lease was not had, or not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the registry did not answer in time")]
    Silent,
    #[error("a later start of a leaf of this name is registered at {address}")]
    Replaced { address: String },
}

impl KeepError {
    fn class(&self) -> Class {
        match self {
            Self::Registry(error) => error.class(),
            Self::Silent => Class::Unavailable,
            Self::Replaced { .. } => Class::Conflict,
        }
    }
}

impl Keeper {
    /// Runs until told to stop; then gives the lease back, and with it everything announced.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while let Some((lease, asked_at)) = self.register(&stop).await {
            self.lease.begin(lease, asked_at);
            tracing::info!(leaf = %self.leaf, group = %self.group, lease = lease.0, "registered");
            self.keep(lease, asked_at, &stop).await;
            self.lease.end();
            if stop.is_cancelled() {
                let revoked = self.in_time(self.registry.revoke_lease(lease)).await;
                if let Err(error) = revoked {
                    tracing::info!(
                        error = error_chain(&error),
                        "the lease is left to end by itself"
                    );
                }
                return;
            }
        }
    }

    /// A lease with the registration under it, and when it was asked for; `None` to stop.
    async fn register(&self, stop: &CancellationToken) -> Option<(LeaseId, Instant)> {
        let mut is_first = true;
        loop {
            let asked_at = self.clock.now();
            let error = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                tried = self.try_register() => match tried {
                    Ok(lease) => return Some((lease, asked_at)),
                    Err(error) => error,
                },
            };
            if is_first || error.class() != Class::Unavailable {
                tracing::warn!(leaf = %self.leaf, error = error_chain(&error), "not registered, trying again");
            }
            is_first = false;
            self.pause(stop).await;
        }
    }

    async fn try_register(&self) -> Result<LeaseId, KeepError> {
        let key = Key::Leaf { group: self.group.clone(), leaf: self.leaf.clone() }.to_string();
        if let Some(entry) = self.in_time(self.registry.get(&key)).await? {
            let registered = LeafRegistration::decode(&entry.value)?;
            if registered.start > self.start {
                return Err(KeepError::Replaced { address: registered.address });
            }
        }
        let registration = LeafRegistration {
            leaf: self.leaf.clone(),
            address: self.address.clone(),
            start: self.start,
            is_draining: false,
        };
        let value = registration.encode()?;
        let lease = self.in_time(self.registry.grant_lease(self.lease.ttl)).await?;
        let put = Operation::Put { key, value, lease: Some(lease) };
        let transaction = Transaction { conditions: Vec::new(), operations: vec![put] };
        self.in_time(self.registry.transact(transaction)).await?;
        Ok(lease)
    }

    /// Until the lease is gone, or stop.
    async fn keep(&self, lease: LeaseId, asked_at: Instant, stop: &CancellationToken) {
        let mut next = asked_at + self.lease.ttl / 3;
        let mut is_warned = false;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(next.into()) => {}
            }
            let asked_at = self.clock.now();
            match self.in_time(self.registry.keep_alive(lease)).await {
                Ok(()) => {
                    self.lease.acknowledge(asked_at);
                    if std::mem::take(&mut is_warned) {
                        tracing::info!(leaf = %self.leaf, "the registry answers again");
                    }
                    next = asked_at + self.lease.ttl / 3;
                }
                Err(error) if error.class() == Class::Fenced => {
                    tracing::warn!(leaf = %self.leaf, lease = lease.0, "the lease is gone, registering anew");
                    return;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_warned, true) {
                        let error = error_chain(&error);
                        tracing::warn!(leaf = %self.leaf, error, "no sign of life reached the registry");
                    }
                    next = self.clock.now() + self.lease.ttl / TRIES_PER_TTL;
                }
            }
        }
    }

    /// A registry that hangs counts as one that cannot be reached.
    async fn in_time<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, KeepError> {
        match tokio::time::timeout(self.lease.ttl / 3, call).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(KeepError::Silent),
        }
    }

    async fn pause(&self, stop: &CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(self.lease.ttl / TRIES_PER_TTL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_only_while_the_registry_must_still_hold_it() {
        let (clock, hand) = Clock::manual(0);
        let lease = Lease::new(Duration::from_secs(5), Duration::from_secs(1));
        assert!(lease.is_uncertain(clock.now()), "never had one");
        lease.begin(LeaseId(1), clock.now());
        assert!(!lease.is_uncertain(clock.now()));
        hand.advance(Duration::from_secs(4));
        assert!(!lease.is_uncertain(clock.now()));
        hand.advance(Duration::from_millis(1));
        assert!(lease.is_uncertain(clock.now()));
        lease.acknowledge(clock.now());
        assert!(!lease.is_uncertain(clock.now()));
    }
}
