//! What a plan is made from, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use nautilus_registry::layout::{
    Assignment, Holder, LeafName, LeafRegistration, Replica, ReplicaState,
};
use nautilus_types::{Epoch, PartitionId};

/// Most leaves a text names.
const NAMED_MAX: usize = 8;

/// The assignments of a group, as they stand in the registry.
pub type Assignments = BTreeMap<PartitionId, Assignment>;

/// What the registry shows of a group's leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// The live leaves.
    pub leaves: BTreeMap<LeafName, LeafRegistration>,
    /// What live leaves announce, each under the lease of its leaf's registration.
    pub replicas: BTreeMap<(PartitionId, LeafName), Replica>,
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
        self.leaves.get(leaf).is_some_and(|leaf| !leaf.is_draining)
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
        self.leaves.values().filter(|leaf| !leaf.is_draining && !named.contains(&leaf.leaf)).count()
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

/// What a group shall look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// All partitions from 0 to below this one are served.
    pub partitions: u32,
    /// Most moves under way at once.
    pub moves_max: usize,
    /// Most partitions a leaf owns or retires; `None` = any number.
    pub partitions_per_leaf_max: Option<usize>,
}

/// What the history of a group says about it now; a [`Roster`](super::Roster) keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Why nothing is to be changed.
    pub held_back: Option<HeldBack>,
    /// Where a partition failed lately.
    pub avoided: BTreeSet<(PartitionId, LeafName)>,
    /// When to look again although nothing has changed; measured as `now` is.
    pub look_again_at: Option<Duration>,
}

/// Why nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeldBack {
    /// So many leaves are gone that the fault is likely not theirs.
    TooManyGone {
        /// Which.
        gone: BTreeSet<LeafName>,
        /// How many there were.
        known: usize,
    },
    /// Leaves are still coming.
    Gathering {
        /// Those that assignments name and that are not here.
        missing: BTreeSet<LeafName>,
    },
}

impl fmt::Display for HeldBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leaves = match self {
            Self::TooManyGone { gone, known } => {
                write!(f, "{} of {known} leaves went at once, nothing is moved", gone.len())?;
                gone
            }
            Self::Gathering { missing } => {
                write!(f, "leaves are still coming, {} known ones are missing", missing.len())?;
                missing
            }
        };
        for (i, leaf) in leaves.iter().take(NAMED_MAX).enumerate() {
            write!(f, "{}{leaf}", if i == 0 { ": " } else { ", " })?;
        }
        if leaves.len() > NAMED_MAX {
            f.write_str(", …")?;
        }
        Ok(())
    }
}

/// What to do, and what is left undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most one for each partition, the most urgent first. Each stands for itself: losing one spoils no other.
    pub changes: Vec<PlannedChange>,
    /// Partitions that have no owner that could serve, also after the changes.
    pub unassigned: BTreeMap<PartitionId, WhyUnassigned>,
    /// Why nothing is changed.
    pub held_back: Option<HeldBack>,
}

/// A new assignment of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// What is to stand in the registry.
    pub assignment: Assignment,
    /// Why.
    pub reason: Reason,
}

/// Why an assignment changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The partition had none.
    NewPartition,
    /// Its owner is gone.
    OwnerLost,
    /// Its owner failed.
    OwnerFailed,
    /// The new owner serves: the move is done.
    OwnerServes,
    /// The retiring leaf is gone before the new owner served.
    RetiringLost,
    /// The retiring leaf failed before the new owner served.
    RetiringFailed,
    /// The new owner is gone before it served: back to the retiring leaf.
    NewOwnerLost,
    /// The new owner failed before it served: back to the retiring leaf.
    NewOwnerFailed,
    /// The new owner is to be emptied before it served: back to the retiring leaf.
    NewOwnerDraining,
    /// Its owner is to be emptied.
    LeafDraining,
    /// Its owner has more partitions than another leaf.
    Balance,
}

impl Reason {
    /// As assignments and metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewPartition => "NEW_PARTITION",
            Self::OwnerLost => "OWNER_LOST",
            Self::OwnerFailed => "OWNER_FAILED",
            Self::OwnerServes => "OWNER_SERVES",
            Self::RetiringLost => "RETIRING_LOST",
            Self::RetiringFailed => "RETIRING_FAILED",
            Self::NewOwnerLost => "NEW_OWNER_LOST",
            Self::NewOwnerFailed => "NEW_OWNER_FAILED",
            Self::NewOwnerDraining => "NEW_OWNER_DRAINING",
            Self::LeafDraining => "LEAF_DRAINING",
            Self::Balance => "BALANCE",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a partition has no owner that could serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WhyUnassigned {
    /// Changes are held back.
    HeldBack,
    /// No leaf is there.
    NoLeaf,
    /// All leaves are to be emptied.
    AllDraining,
    /// All leaves have as many partitions as they may.
    AllFull,
    /// It failed where it is, and there is no other leaf to try, or not yet.
    OwnerFailed,
    /// An epoch was announced that has no next one.
    EpochsSpent,
}

impl WhyUnassigned {
    /// As logs name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeldBack => "HELD_BACK",
            Self::NoLeaf => "NO_LEAF",
            Self::AllDraining => "ALL_DRAINING",
            Self::AllFull => "ALL_FULL",
            Self::OwnerFailed => "OWNER_FAILED",
            Self::EpochsSpent => "EPOCHS_SPENT",
        }
    }
}
