//! What a plan is made from, and what it says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use nautilus_registry::layout::{Assignment, LeafName};
use nautilus_types::PartitionId;

use super::reason::{Reason, WhyRefused, WhyUnassigned};

/// Most leaves a text names.
const NAMED_MAX: usize = 8;

/// The assignments of a group, as they stand in the registry.
pub type Assignments = BTreeMap<PartitionId, Assignment>;

/// What a group shall look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// All partitions from 0 to below this one are served.
    pub partitions: u32,
    /// Most moves under way at once.
    pub moves_max: usize,
    /// Most partitions a leaf owns or retires; `None` = any number.
    pub partitions_per_leaf_max: Option<usize>,
    /// So much of the open leaves, rounded up, is kept idle if it is: to replace lost ones at once.
    pub spare_percent: usize,
}

impl Wanted {
    /// How many idle leaves are left alone where there are so many open ones.
    #[must_use]
    pub fn spares(&self, open_leaves: usize) -> usize {
        open_leaves.saturating_mul(self.spare_percent).div_ceil(100)
    }
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
    /// Moves asked for that cannot be made: the requests end with this.
    pub refused: BTreeMap<PartitionId, WhyRefused>,
}

/// A new assignment of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// What is to stand in the registry.
    pub assignment: Assignment,
    /// Why.
    pub reason: Reason,
}
