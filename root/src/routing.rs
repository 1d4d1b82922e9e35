//! The routing table: which leaf of the replica group serves which partition.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_types::{PartitionId, PartitionMap};

/// A whole table. Immutable: a change is another table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingTable {
    /// Name of the group that answers.
    pub replica_group: String,
    /// Which partition holds a namespace; its version is what requests carry.
    pub map: PartitionMap,
    /// URI of the leaf that serves a partition, such as `http://127.0.0.1:7301`. A partition that
    /// is not here is served by nobody at the moment.
    pub leaves: BTreeMap<PartitionId, String>,
}

impl RoutingTable {
    /// The leaf that serves `partition`, if one does.
    #[must_use]
    pub fn leaf_of(&self, partition: PartitionId) -> Option<&str> {
        self.leaves.get(&partition).map(String::as_str)
    }

    /// Every leaf once.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<&str> {
        self.leaves.values().map(String::as_str).collect()
    }

    /// Every partition of the map, in order.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        (0..self.map.partitions).map(PartitionId)
    }
}
