//! What is asked for in vain.

use nautilus_registry::layout::{CoordinatorName, GroupName, LeafName};
use nautilus_types::{Class, PartitionId};

/// Why a command is not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The registry knows nothing of the group.
    #[error("there is no replica group {group}")]
    UnknownGroup {
        /// Which.
        group: GroupName,
    },
    /// Nobody was ever assigned the partition.
    #[error("partition {partition} has no owner in group {group}")]
    UnknownPartition {
        /// In which group.
        group: GroupName,
        /// Which.
        partition: PartitionId,
    },
    /// The leaf is not registered.
    #[error("leaf {leaf} is not registered in group {group}")]
    UnknownLeaf {
        /// In which group.
        group: GroupName,
        /// Which.
        leaf: LeafName,
    },
    /// The leaf owns the partition.
    #[error("leaf {leaf} owns partition {partition} already")]
    AlreadyThere {
        /// Which partition.
        partition: PartitionId,
        /// Which leaf.
        leaf: LeafName,
    },
    /// Somebody asked for a move that is not decided yet.
    #[error("a move of partition {partition} that {owner} asked for is not decided yet")]
    MoveWaiting {
        /// Which partition.
        partition: PartitionId,
        /// Who asked.
        owner: String,
    },
    /// There is nothing to take back.
    #[error("{what} has no {mark}")]
    NoSuchMark {
        /// "leaf a-1" or "partition 3".
        what: String,
        /// "cordon" or "move asked for".
        mark: &'static str,
    },
    /// The group still takes its share of searches.
    #[error("group {group} is active: drain it first")]
    GroupActive {
        /// Which.
        group: GroupName,
    },
    /// Leaves of the group run.
    #[error("leaves of group {group} are registered, {first} and {others} more: stop them first")]
    LeavesRegistered {
        /// Which group.
        group: GroupName,
        /// One of them.
        first: LeafName,
        /// How many there are beside it.
        others: usize,
    },
    /// The group's coordinator runs.
    #[error("coordinator {coordinator} acts for group {group}: stop it first")]
    CoordinatorActs {
        /// Which group.
        group: GroupName,
        /// Which coordinator.
        coordinator: CoordinatorName,
    },
    /// Searches would have nobody left for a partition.
    #[error(
        "no other active group serves partition {partition}: group {group} is the last that is complete"
    )]
    LastGroup {
        /// Which.
        group: GroupName,
        /// The first partition that only it can answer for.
        partition: PartitionId,
    },
    /// The name is taken.
    #[error("there is a replica group {group} already")]
    GroupThere {
        /// Which.
        group: GroupName,
    },
}

impl Refusal {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::UnknownGroup { .. }
            | Self::UnknownPartition { .. }
            | Self::UnknownLeaf { .. }
            | Self::NoSuchMark { .. } => Class::NotFound,
            Self::MoveWaiting { .. } => Class::Conflict,
            Self::AlreadyThere { .. }
            | Self::GroupActive { .. }
            | Self::LeavesRegistered { .. }
            | Self::CoordinatorActs { .. }
            | Self::LastGroup { .. }
            | Self::GroupThere { .. } => Class::Precondition,
        }
    }
}
