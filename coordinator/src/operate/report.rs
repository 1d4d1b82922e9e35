//! Leaves and partitions of a group, as people list them.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{
    Assignment, Cordon, Holder, LeafName, LeafRegistration, MoveRequest, RefusedMove, Replica,
    ReplicaState,
};
use nautilus_types::{Epoch, PartitionId};

use super::GroupSnapshot;

/// A leaf of a group: one that is registered, marked, or named by an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafReport {
    /// Its name.
    pub leaf: LeafName,
    /// How it registered; `None` = it is not there.
    pub registration: Option<LeafRegistration>,
    /// What somebody has marked it with.
    pub cordon: Option<Cordon>,
    /// The mark hangs on a lease.
    pub cordon_ends: bool,
    /// What it holds or announces, by partition.
    pub partitions: Vec<HeldPartition>,
}

/// A partition on a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPartition {
    /// Which.
    pub partition: PartitionId,
    /// As what the leaf is assigned.
    pub role: Role,
    /// Under which epoch: the assigned one, or else the announced one.
    pub epoch: Epoch,
    /// How far it is under that epoch; `None` = it has announced nothing.
    pub state: Option<ReplicaState>,
    /// Which build its files come from.
    pub build: Option<String>,
}

/// As what a leaf is assigned a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It serves it, or shall.
    Owner,
    /// It serves it until the owner does.
    Retiring,
    /// It announces it without being assigned it.
    Leftover,
}

impl Role {
    /// The name programs compare.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "OWNER",
            Self::Retiring => "RETIRING",
            Self::Leftover => "LEFTOVER",
        }
    }
}

/// A partition of a group: one that is assigned, announced, asked to move, or known to be nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// Which.
    pub partition: PartitionId,
    /// Who has it and why.
    pub assignment: Option<Assignment>,
    /// How far the owner is; `None` = it announces nothing, or is gone.
    pub owner_state: Option<ReplicaState>,
    /// How far the retiring leaf is.
    pub retiring_state: Option<ReplicaState>,
    /// All that live leaves announce of it.
    pub replicas: Vec<Replica>,
    /// A move asked for and not yet decided.
    pub request: Option<MoveRequest>,
    /// The last move asked for, if it was refused and none was made since.
    pub refused: Option<RefusedMove>,
    /// The coordinator says that nobody could serve it.
    pub is_unassigned: bool,
}

impl GroupSnapshot {
    /// Every leaf, by name.
    #[must_use]
    pub fn leaves(&self) -> Vec<LeafReport> {
        let mut names: BTreeSet<&LeafName> = self.observed.leaves.keys().collect();
        names.extend(self.observed.cordons.keys());
        names.extend(self.assignments.values().flat_map(holders).map(|(holder, _)| &holder.leaf));
        names.into_iter().map(|leaf| self.leaf(leaf)).collect()
    }

    fn leaf(&self, leaf: &LeafName) -> LeafReport {
        let announced =
            |partition: PartitionId| self.observed.replicas.get(&(partition, leaf.clone()));
        let mut partitions = BTreeMap::new();
        for replica in self.observed.replicas.values().filter(|it| it.leaf == *leaf) {
            let held = HeldPartition {
                partition: replica.partition,
                role: Role::Leftover,
                epoch: replica.epoch,
                state: Some(replica.state),
                build: replica.build.clone(),
            };
            partitions.insert(replica.partition, held);
        }
        for (partition, assignment) in &self.assignments {
            let mut of_leaf = holders(assignment).filter(|(holder, _)| holder.leaf == *leaf);
            let Some((holder, role)) = of_leaf.next() else { continue };
            let held = HeldPartition {
                partition: *partition,
                role,
                epoch: holder.epoch,
                state: self.observed.state_of(*partition, holder),
                build: announced(*partition).and_then(|it| it.build.clone()),
            };
            partitions.insert(*partition, held);
        }
        let cordon = self.cordon(leaf);
        LeafReport {
            leaf: leaf.clone(),
            registration: self.observed.leaves.get(leaf).cloned(),
            cordon_ends: cordon.is_some_and(|(_, ends)| ends),
            cordon: cordon.map(|(cordon, _)| cordon.clone()),
            partitions: partitions.into_values().collect(),
        }
    }

    /// Every partition, ascending.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionReport> {
        let mut all: BTreeSet<PartitionId> = self.assignments.keys().copied().collect();
        all.extend(self.observed.replicas.keys().map(|(partition, _)| *partition));
        all.extend(self.observed.requests.keys().copied());
        all.extend(self.decision.unassigned.iter().copied());
        all.into_iter().map(|partition| self.partition(partition)).collect()
    }

    /// One partition.
    #[must_use]
    pub fn partition(&self, partition: PartitionId) -> PartitionReport {
        let assignment = self.assignments.get(&partition);
        let state = |role: Role| {
            let mut all = assignment.into_iter().flat_map(holders);
            let holder = all.find(|(_, it)| *it == role)?.0;
            self.observed.state_of(partition, holder)
        };
        let replicas = self.observed.replicas.values().filter(|it| it.partition == partition);
        let refused = self.decision.refused_moves.iter().find(|it| it.partition == partition);
        PartitionReport {
            partition,
            assignment: assignment.cloned(),
            owner_state: state(Role::Owner),
            retiring_state: state(Role::Retiring),
            replicas: replicas.cloned().collect(),
            request: self.observed.requests.get(&partition).cloned(),
            refused: refused.cloned(),
            is_unassigned: self.decision.unassigned.contains(&partition),
        }
    }
}

fn holders(assignment: &Assignment) -> impl Iterator<Item = (&Holder, Role)> {
    let retiring = assignment.retiring.iter().map(|it| (it, Role::Retiring));
    std::iter::once((&assignment.owner, Role::Owner)).chain(retiring)
}
