//! The announcer: makes the registry say what the leaf's partitions are. A reconciler: timer plus nudge.
//!
//! Every announcement is guarded by the assignment it rests on and lives by the leaf's lease, so an old epoch or a
//! lapsed lease announces nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_registry::layout::{GroupName, Key, LeafName, Replica};
use nautilus_registry::{
    Condition, LeaseId, Operation, Registry, RegistryError, Revision, Transaction,
};
use nautilus_service::CancellationToken;
use nautilus_service::status::error_chain;
use nautilus_types::{Class, PartitionId};
use tokio::sync::Notify;

use crate::lease::Lease;
use crate::partition::Announcement;
use crate::partitions::Partitions;
use crate::pulse::Pulse;

/// After a refusal or a silence.
const RETRY: Duration = Duration::from_millis(200);

/// Makes the registry say what is.
pub(crate) struct Announcer {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) partitions: Partitions,
    pub(crate) lease: Lease,
    pub(crate) group: GroupName,
    pub(crate) leaf: LeafName,
    pub(crate) address: String,
    pub(crate) pulse: Pulse,
    /// Asks for the assignments to be read again.
    pub(crate) relist: Arc<Notify>,
    /// Longest time a call may take, and between two looks without a nudge.
    pub(crate) patience: Duration,
}

/// What the registry says of a partition because of us.
type Announced = BTreeMap<PartitionId, (Announcement, LeaseId)>;

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The registry says what is.
    Settled,
    /// Look again soon.
    Again,
}

impl Announcer {
    /// Runs until told to stop; what was announced ends with the lease.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut announced = Announced::new();
        let mut beats = self.pulse.listen();
        let mut leases = self.lease.watch();
        loop {
            beats.mark_unchanged();
            let lease = *leases.borrow_and_update();
            let look = match lease {
                Some(lease) => tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    look = self.look(lease, &mut announced) => look,
                },
                None => Look::Settled,
            };
            let pause = if look == Look::Settled { self.patience } else { RETRY };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // Both senders live as long as this.
                _ = leases.changed() => {}
                _ = beats.changed(), if look == Look::Settled => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self, lease: LeaseId, announced: &mut Announced) -> Look {
        let mut wanted = BTreeMap::new();
        for served in self.partitions.all() {
            if let (Some(announcement), assigned_at) = served.announcement() {
                wanted.insert(served.id, (announcement, assigned_at));
            }
        }
        let gone: Vec<_> =
            announced.keys().filter(|id| !wanted.contains_key(id)).copied().collect();
        let mut look = Look::Settled;
        for partition in gone {
            match self.withdraw(partition).await {
                Ok(()) => drop(announced.remove(&partition)),
                Err(error) => look = self.failed(partition, &error),
            }
        }
        for (partition, (announcement, assigned_at)) in wanted {
            let is_said = announced
                .get(&partition)
                .is_some_and(|(said, under)| *said == announcement && *under == lease);
            if is_said {
                continue;
            }
            match self.announce(partition, &announcement, assigned_at, lease).await {
                Ok(()) => drop(announced.insert(partition, (announcement, lease))),
                Err(error) => look = self.failed(partition, &error),
            }
        }
        look
    }

    async fn announce(
        &self,
        partition: PartitionId,
        announcement: &Announcement,
        assigned_at: Revision,
        lease: LeaseId,
    ) -> Result<(), RegistryError> {
        let assignment = Key::Assignment { group: self.group.clone(), partition };
        let build = Some(announcement.build.clone()).filter(|build| !build.is_empty());
        let replica = Replica {
            partition,
            leaf: self.leaf.clone(),
            address: self.address.clone(),
            epoch: announcement.epoch,
            state: announcement.state,
            build,
        };
        let put = Operation::Put {
            key: self.key(partition),
            value: replica.encode()?,
            lease: Some(lease),
        };
        self.transact(Transaction {
            conditions: vec![Condition::Unchanged(assignment.to_string(), assigned_at)],
            operations: vec![put],
        })
        .await
    }

    async fn withdraw(&self, partition: PartitionId) -> Result<(), RegistryError> {
        let delete = Operation::Delete(self.key(partition));
        self.transact(Transaction { conditions: Vec::new(), operations: vec![delete] }).await
    }

    fn key(&self, partition: PartitionId) -> String {
        let (group, leaf) = (self.group.clone(), self.leaf.clone());
        Key::Replica { group, partition, leaf }.to_string()
    }

    async fn transact(&self, transaction: Transaction) -> Result<(), RegistryError> {
        let call = self.registry.transact(transaction);
        match tokio::time::timeout(self.patience, call).await {
            Ok(done) => done.map(|_| ()),
            Err(silent) => Err(RegistryError::Unavailable(silent.into())),
        }
    }

    fn failed(&self, partition: PartitionId, error: &RegistryError) -> Look {
        match error.class() {
            // The assignment has changed: what it is now decides.
            Class::Conflict => self.relist.notify_one(),
            // The keeper sees it too and says so; the next lease brings everything back.
            Class::Fenced | Class::Unavailable => {}
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Precondition
            | Class::Overloaded
            | Class::Deadline
            | Class::Cancelled
            | Class::Corrupt
            | Class::Bug => {
                let error = error_chain(error);
                tracing::warn!(partition = partition.0, error, "not announced, trying again");
            }
        }
        Look::Again
    }
}
