//! Who acts for a group: the one who made the leader key, for as long as its lease lives.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_registry::layout::{Key, Leader};
use nautilus_registry::{
    Change, Condition, LeaseId, Operation, Registry, RegistryError, Revision, Transaction,
};
use nautilus_service::Clock;
use nautilus_types::Class;

use crate::{Config, CoordinatorError};

/// A call that takes longer is given up; what it asked for may still happen.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// That this coordinator acts, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    /// The leader key.
    pub(crate) key: String,
    /// When it was made: it is never written again, so a transaction under the condition that it is unchanged
    /// happens only while this very leadership lasts.
    pub(crate) revision: Revision,
    lease: LeaseId,
    /// By our own clock, counted from before the lease was granted: it ends no earlier.
    lapses: Instant,
}

/// Takes part in the election of one group's coordinator.
pub(crate) struct Election {
    registry: Arc<dyn Registry>,
    clock: Clock,
    config: Arc<Config>,
    key: String,
    /// The last lease granted, until it is given back.
    lease: Option<LeaseId>,
}

impl Election {
    pub(crate) fn new(registry: Arc<dyn Registry>, clock: Clock, config: Arc<Config>) -> Self {
        let key = Key::Coordinator { group: config.group.clone() }.to_string();
        Self { registry, clock, config, key, lease: None }
    }

    /// Tries once. `None`: another one leads, or led until now. Waits for as long as that one leads, at most
    /// the time after which lost events are guarded against.
    pub(crate) async fn stand(&mut self) -> Result<Option<Leadership>, CoordinatorError> {
        let listing = within(self.registry.list(&self.key))
            .await
            .map_err(CoordinatorError::while_("look who leads"))?;
        if listing.entries.iter().any(|entry| entry.key == self.key) {
            self.wait_until_vacant(listing.revision.next()).await?;
            return Ok(None);
        }
        let asked_at = self.clock.now();
        let lease = within(self.registry.grant_lease(self.config.lease_ttl))
            .await
            .map_err(CoordinatorError::while_("get a lease"))?;
        self.lease = Some(lease);
        let leader = Leader { coordinator: self.config.name.clone() };
        let value = leader.encode().map_err(CoordinatorError::while_("write the leader"))?;
        let transaction = Transaction {
            conditions: vec![Condition::Absent(self.key.clone())],
            operations: vec![Operation::Put { key: self.key.clone(), value, lease: Some(lease) }],
        };
        match within(self.registry.transact(transaction)).await {
            Ok(revision) => {
                let lapses = asked_at + self.config.lease_ttl;
                Ok(Some(Leadership { key: self.key.clone(), revision, lease, lapses }))
            }
            Err(error) => {
                // Whether or not the key was made: it goes with the lease.
                self.resign().await;
                // Another one was faster, or we were too slow.
                if matches!(error.class(), Class::Conflict | Class::Fenced) {
                    return Ok(None);
                }
                Err(CoordinatorError::while_("become the leader")(error))
            }
        }
    }

    async fn wait_until_vacant(&self, from: Revision) -> Result<(), CoordinatorError> {
        let failed = || CoordinatorError::while_("watch who leads");
        let mut watch = within(self.registry.watch(&self.key, from)).await.map_err(failed())?;
        let vacant = async {
            loop {
                let (_, changes) = watch.next().await?;
                let is_gone =
                    |it: &Change| matches!(it, Change::Delete { key, .. } if *key == self.key);
                if changes.iter().any(is_gone) {
                    return Ok(());
                }
            }
        };
        match tokio::time::timeout(self.config.relist_interval, vacant).await {
            Ok(end) => end.map_err(failed()),
            Err(_) => Ok(()),
        }
    }

    /// Keeps the lease alive; returns when it is lost, or may be.
    pub(crate) async fn keep(&self, leadership: &Leadership) {
        let mut lapses = leadership.lapses;
        // Three attempts fit into the time of a lease, and more while they fail.
        let rest = self.config.lease_ttl / 3;
        let mut pause = rest;
        loop {
            let left = lapses.saturating_duration_since(self.clock.now());
            tokio::time::sleep(pause.min(left)).await;
            let asked_at = self.clock.now();
            let left = lapses.saturating_duration_since(asked_at);
            if left.is_zero() {
                tracing::warn!("the lease could not be kept in time");
                return;
            }
            let call = self.registry.keep_alive(leadership.lease);
            pause = match tokio::time::timeout(left, call).await {
                Ok(Ok(())) => {
                    lapses = asked_at + self.config.lease_ttl;
                    rest
                }
                Ok(Err(RegistryError::LeaseGone { .. })) => {
                    tracing::warn!("the lease has ended");
                    return;
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the lease could not be kept, trying again");
                    rest / 4
                }
                Err(_) => Duration::ZERO,
            };
        }
    }

    /// Gives the lease back, and the leadership with it. If that fails, both end with the lease's time.
    pub(crate) async fn resign(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        let call = self.registry.revoke_lease(lease);
        // A registry that is away must not hold up the stop of the process.
        let time_max = CALL_TIME_MAX.min(Duration::from_secs(1));
        match tokio::time::timeout(time_max, call).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the lease could not be given back"),
            Err(_) => tracing::debug!("the lease could not be given back in time"),
        }
    }
}

/// The call, given up after a time.
pub(crate) async fn within<T>(
    call: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    match tokio::time::timeout(CALL_TIME_MAX, call).await {
        Ok(result) => result,
        Err(elapsed) => Err(RegistryError::Unavailable(Box::new(elapsed))),
    }
}
