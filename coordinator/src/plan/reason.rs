//! Why things change, and why they do not.

use std::fmt;

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
    /// A person asked for it.
    OperatorMove,
    /// Its owner is to be emptied.
    LeafDraining,
    /// Its owner has more partitions than another leaf.
    Balance,
}

impl Reason {
    /// Every reason there is.
    pub const ALL: [Self; 12] = [
        Self::NewPartition,
        Self::OwnerLost,
        Self::OwnerFailed,
        Self::OwnerServes,
        Self::RetiringLost,
        Self::RetiringFailed,
        Self::NewOwnerLost,
        Self::NewOwnerFailed,
        Self::NewOwnerDraining,
        Self::OperatorMove,
        Self::LeafDraining,
        Self::Balance,
    ];

    /// The reason of this name; `None` = one of a newer version, or none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NewPartition => "it had no owner yet and went to the leaf with the fewest",
            Self::OwnerLost => "its owner was gone, so another leaf took it",
            Self::OwnerFailed => "it had failed on its owner, so another leaf took it",
            Self::OwnerServes => "it was moved, and its new owner serves it",
            Self::RetiringLost => "it was being moved when the leaf it came from was lost",
            Self::RetiringFailed => "it was being moved when it failed on the leaf it came from",
            Self::NewOwnerLost => "a move ended where it began: the new owner was lost",
            Self::NewOwnerFailed => "a move ended where it began: it failed on the new owner",
            Self::NewOwnerDraining => "a move ended where it began: the new owner is to be emptied",
            Self::OperatorMove => "somebody asked for it to be moved",
            Self::LeafDraining => "its owner is to be emptied, so it is moved",
            Self::Balance => "its owner had more partitions than another leaf, so it is moved",
        }
    }

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
            Self::OperatorMove => "OPERATOR_MOVE",
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
    /// No leaf may be given partitions; some are not to be emptied, but cordoned.
    AllCordoned,
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
            Self::AllCordoned => "ALL_CORDONED",
            Self::AllFull => "ALL_FULL",
            Self::OwnerFailed => "OWNER_FAILED",
            Self::EpochsSpent => "EPOCHS_SPENT",
        }
    }
}

/// Why a move that was asked for is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WhyRefused {
    /// There is no such partition.
    UnknownPartition,
    /// No live leaf owns it, so there is nothing to move.
    Unassigned,
    /// Another leaf, or another epoch, owns it than when the move was asked for.
    OwnerChanged,
    /// The leaf it is to go to owns it.
    AlreadyThere,
    /// The leaf it is to go to is not registered.
    LeafGone,
    /// The leaf it is to go to is cordoned.
    LeafCordoned,
    /// The leaf it is to go to is being emptied.
    LeafDraining,
    /// The leaf it is to go to has as many partitions as it may.
    LeafFull,
    /// There is no other leaf that may take it and where it has not failed lately.
    NoOtherLeaf,
    /// An epoch was announced that has no next one.
    EpochsSpent,
}

impl WhyRefused {
    /// As decisions name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPartition => "UNKNOWN_PARTITION",
            Self::Unassigned => "UNASSIGNED",
            Self::OwnerChanged => "OWNER_CHANGED",
            Self::AlreadyThere => "ALREADY_THERE",
            Self::LeafGone => "LEAF_GONE",
            Self::LeafCordoned => "LEAF_CORDONED",
            Self::LeafDraining => "LEAF_DRAINING",
            Self::LeafFull => "LEAF_FULL",
            Self::NoOtherLeaf => "NO_OTHER_LEAF",
            Self::EpochsSpent => "EPOCHS_SPENT",
        }
    }
}
