//! The slots that a snapshot holds.

use nautilus_types::{PartitionId, PartitionMap, SLOT_COUNT, Slot};

/// A run of slots, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotRange {
    /// The first slot.
    pub first: Slot,
    /// The last slot.
    pub last: Slot,
}

impl SlotRange {
    /// The slots of a partition, as manifests name them: one run, as the plain division gives each partition.
    #[must_use]
    pub fn all_of(map: &PartitionMap, partition: PartitionId) -> Vec<Self> {
        let mut slots =
            (0..SLOT_COUNT).map(Slot).filter(|slot| map.partition_of_slot(*slot) == partition);
        let Some(first) = slots.next() else { return Vec::new() };
        vec![Self { first, last: slots.next_back().unwrap_or(first) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_one_run_and_cover_all() {
        for partitions in [1, 2, 3, 7, 16_384] {
            let map = PartitionMap::divided(partitions);
            let mut next = 0;
            for partition in (0..partitions).map(PartitionId) {
                let slots = SlotRange::all_of(&map, partition);
                assert_eq!(slots.len(), 1);
                assert_eq!(slots[0].first.0, next);
                next = slots[0].last.0 + 1;
            }
            assert_eq!(next, SLOT_COUNT);
        }
    }
}
