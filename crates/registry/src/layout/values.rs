//! Values: plain types for the persisted messages.

use std::collections::BTreeSet;

use nautilus_types::{Epoch, PartitionId};

use super::names::{CoordinatorName, LeafName};

/// Longest address, build id or reason, in bytes.
pub const TEXT_BYTES_MAX: usize = 255;
/// Longest text of what a coordinator holds back, in bytes.
pub const HELD_BACK_BYTES_MAX: usize = 1024;
/// Most unassigned partitions a [`Decision`] names: with five bytes each they fit a value beside the rest.
pub const UNASSIGNED_MAX: usize = 384;
/// Most refused moves a [`Decision`] remembers: with at most 139 bytes each they fit a value beside the rest.
pub const REFUSED_MOVES_MAX: usize = 8;
/// Longest name of a cause of refusal, in bytes.
pub const WHY_BYTES_MAX: usize = 64;

/// One process that can serve partitions of a replica group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRegistration {
    /// Its name.
    pub leaf: LeafName,
    /// URI it serves at, such as `http://127.0.0.1:7301`.
    pub address: String,
    /// A larger one for each start of the process.
    pub start: u64,
    /// Takes no new partitions, and its own are to be moved away.
    pub is_draining: bool,
}

/// A leaf that may serve a partition under an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Which leaf.
    pub leaf: LeafName,
    /// From 1.
    pub epoch: Epoch,
}

/// Who serves one partition of a replica group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Which partition.
    pub partition: PartitionId,
    /// Who serves it, or shall.
    pub owner: Holder,
    /// Serves under its old epoch, which is below the owner's, until the owner serves.
    pub retiring: Option<Holder>,
    /// Why the last change was made: `UPPER_SNAKE`, for people and metrics.
    pub reason: String,
    /// Placed on its owner because a person asked: not moved only to even out counts. Ends with the owner.
    pub is_pinned: bool,
}

/// How far a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReplicaState {
    /// Fetches a snapshot.
    Downloading,
    /// Applies the log up to the end it saw.
    Replaying,
    /// Answers searches.
    Serving,
    /// Answers searches that still come, and will go.
    Draining,
    /// Stopped by an error.
    Failed,
}

/// One partition on one leaf, as the leaf announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Which partition.
    pub partition: PartitionId,
    /// On which leaf.
    pub leaf: LeafName,
    /// URI the leaf serves at.
    pub address: String,
    /// Under which epoch, from 1.
    pub epoch: Epoch,
    /// How far it is.
    pub state: ReplicaState,
    /// Which build its files come from; `None` = fed from the log alone.
    pub build: Option<String>,
}

/// Which coordinator acts for a replica group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub coordinator: CoordinatorName,
}

/// What the coordinator last decided to leave undone, for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Why it does not act; `None` = it acts.
    pub held_back: Option<String>,
    /// Partitions without an owner that could serve. Only the first [`UNASSIGNED_MAX`] are stored.
    pub unassigned: BTreeSet<PartitionId>,
    /// The last moves asked for that could not be made, the newest last; one for each partition, at most
    /// [`REFUSED_MOVES_MAX`].
    pub refused_moves: Vec<RefusedMove>,
}

/// A move that a person asked for and that could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedMove {
    /// Of which partition.
    pub partition: PartitionId,
    /// Where it was to go; `None` = to any other leaf.
    pub to: Option<LeafName>,
    /// Why not: `UPPER_SNAKE`, at most [`WHY_BYTES_MAX`] bytes.
    pub why: String,
}
