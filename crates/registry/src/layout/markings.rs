//! What people write: marks on leaves and groups, and moves they ask for.

use nautilus_types::{Epoch, PartitionId};

use super::names::LeafName;

/// What a person has marked a leaf with. It holds whether the leaf is there or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cordon {
    /// Which leaf.
    pub leaf: LeafName,
    /// What it may not do.
    pub kind: CordonKind,
    /// Who marked it and why.
    pub note: Note,
    /// When, in milliseconds since 1970.
    pub placed_unix_ms: u64,
}

/// What a marked leaf may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CordonKind {
    /// It takes no new partitions.
    Cordon,
    /// Its own are moved away too, as of a leaf that says it is draining.
    Drain,
}

impl CordonKind {
    /// The name programs compare.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cordon => "CORDON",
            Self::Drain => "DRAIN",
        }
    }
}

/// Who asked and why, for people: at most [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX) bytes each, without
/// control characters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Note {
    /// Who; not empty.
    pub owner: String,
    /// Why; may be empty.
    pub reason: String,
}

/// A person asks for a partition to be moved. The coordinator removes it when it has decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRequest {
    /// Which partition.
    pub partition: PartitionId,
    /// Where to; `None` = to any other leaf than its owner.
    pub to: Option<LeafName>,
    /// Only away from the owner of this epoch; `None` = whoever owns it.
    pub epoch: Option<Epoch>,
    /// Who asks and why.
    pub note: Note,
}

/// Whether roots send searches to a replica group. Where there is none it is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStanding {
    /// What it is.
    pub state: GroupState,
    /// Who decided that and why.
    pub note: Note,
    /// When, in milliseconds since 1970.
    pub placed_unix_ms: u64,
}

/// What a replica group is for roots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum GroupState {
    /// It takes its share of searches.
    #[default]
    Active,
    /// It is asked only for what no other group serves.
    Drained,
}

impl GroupState {
    /// The name programs compare.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Drained => "DRAINED",
        }
    }
}
