//! What replicas held at some offsets: how groups compare without stopping.
//!
//! ```text
//! digests/<p0007>/<group>     PartitionDigests   by the leaf that serves the partition in the group, stays
//! ```

use nautilus_types::{Offset, PartitionId};

use super::names::{GroupName, LeafName};

/// Most points that are kept of a partition in a group.
pub const DIGEST_POINTS_MAX: usize = 8;

/// What one replica held at one offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestPoint {
    /// Every record below it counts.
    pub next_offset: Offset,
    /// Of the documents.
    pub documents: [u8; 16],
    /// Of the postings.
    pub postings: [u8; 16],
    /// Which rules made the postings.
    pub analyzer_version: u32,
}

/// The last points of one partition in one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDigests {
    /// Which partition.
    pub partition: PartitionId,
    /// In which group.
    pub group: GroupName,
    /// Who computed the last one.
    pub leaf: LeafName,
    /// Ascending by offset, at most [`DIGEST_POINTS_MAX`].
    pub points: Vec<DigestPoint>,
}

impl PartitionDigests {
    /// The key it stands under.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", Self::prefix(self.partition), self.group)
    }

    /// The start of the keys of every group's digests of a partition.
    #[must_use]
    pub fn prefix(partition: PartitionId) -> String {
        format!("digests/p{:04}/", partition.0)
    }
}
