//! What is seen of a group: its leaves, what they announce, and what people ask of it.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{
    Assignment, CordonKind, Holder, LeafName, LeafRegistration, MoveRequest, Replica, ReplicaState,
};
use nautilus_types::{Epoch, PartitionId};

use super::model::Assignments;

/// What the registry shows of a group's leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The live leaves.
    pub leaves: BTreeMap<LeafName, LeafRegistration>,
    /// What live leaves announce, each under the lease of its leaf's registration.
    pub replicas: BTreeMap<(PartitionId, LeafName), Replica>,
    /// Leaves that people have marked, live or not.
    pub cordons: BTreeMap<LeafName, CordonKind>,
    /// Moves that people ask for.
    pub requests: BTreeMap<PartitionId, MoveRequest>,
}

impl Observed {
    /// Whether the leaf is registered.
    #[must_use]
    pub fn is_live(&self, leaf: &LeafName) -> bool {
        self.leaves.contains_key(leaf)
    }

    /// Whether the leaf is registered and may be given partitions.
    #[must_use]
    pub fn is_open(&self, leaf: &LeafName) -> bool {
        self.is_live(leaf) && !self.is_leaving(leaf) && !self.cordons.contains_key(leaf)
    }

    /// Whether the leaf is registered and to be emptied: it says so, or somebody does.
    #[must_use]
    pub fn is_leaving(&self, leaf: &LeafName) -> bool {
        let is_marked = self.cordons.get(leaf) == Some(&CordonKind::Drain);
        self.leaves.get(leaf).is_some_and(|leaf| leaf.is_draining || is_marked)
    }

    /// The leaves that may be given partitions.
    pub fn open_leaves(&self) -> impl Iterator<Item = &LeafName> {
        self.leaves.keys().filter(|leaf| self.is_open(leaf))
    }

    /// What a live holder announces under exactly its epoch.
    #[must_use]
    pub fn state_of(&self, partition: PartitionId, holder: &Holder) -> Option<ReplicaState> {
        if !self.is_live(&holder.leaf) {
            return None;
        }
        let replica = self.replicas.get(&(partition, holder.leaf.clone()))?;
        (replica.epoch == holder.epoch).then_some(replica.state)
    }

    /// Whether a live holder serves under its epoch.
    #[must_use]
    pub fn is_serving(&self, partition: PartitionId, holder: &Holder) -> bool {
        self.state_of(partition, holder) == Some(ReplicaState::Serving)
    }

    /// Whether a live holder stopped under its epoch.
    #[must_use]
    pub fn is_failed(&self, partition: PartitionId, holder: &Holder) -> bool {
        self.state_of(partition, holder) == Some(ReplicaState::Failed)
    }

    /// Live, open leaves that neither own nor retire a partition.
    #[must_use]
    pub fn idle_leaves(&self, assignments: &Assignments) -> usize {
        let named = named_leaves(assignments);
        self.open_leaves().filter(|leaf| !named.contains(leaf)).count()
    }

    /// The highest epoch of each partition that was ever given or announced.
    #[must_use]
    pub fn epochs(&self, assignments: &Assignments) -> BTreeMap<PartitionId, Epoch> {
        let given = assignments.iter().flat_map(|(partition, assignment)| {
            holders(assignment).map(|holder| (*partition, holder.epoch))
        });
        let announced = self.replicas.iter().map(|((partition, _), it)| (*partition, it.epoch));
        let mut epochs = BTreeMap::new();
        for (partition, epoch) in given.chain(announced) {
            let highest = epochs.entry(partition).or_insert(epoch);
            *highest = epoch.max(*highest);
        }
        epochs
    }
}

/// Owner, then retiring.
pub(super) fn holders(assignment: &Assignment) -> impl Iterator<Item = &Holder> {
    std::iter::once(&assignment.owner).chain(assignment.retiring.as_ref())
}

/// All leaves that assignments name.
pub(super) fn named_leaves(assignments: &Assignments) -> BTreeSet<&LeafName> {
    assignments.values().flat_map(holders).map(|holder| &holder.leaf).collect()
}
