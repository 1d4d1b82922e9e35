//! Slots: the fixed hash buckets of namespaces, and the map from slot to partition.

use crate::{NamespaceName, PartitionId};

/// Number of slots, for ever: it is part of every manifest and never changes.
pub const SLOT_COUNT: u16 = 16_384;

/// One of the [`SLOT_COUNT`] hash buckets of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u16);

/// Slot of a namespace: xxh3-64 with seed 0 of its bytes, modulo [`SLOT_COUNT`].
#[must_use]
pub fn slot_of(namespace: &NamespaceName) -> Slot {
    let hash = xxhash_rust::xxh3::xxh3_64(namespace.as_bytes());
    // The remainder is below 16,384, so it fits.
    Slot(u16::try_from(hash % u64::from(SLOT_COUNT)).unwrap_or(0))
}

/// Which partition holds a slot. Version 1 of the map is the plain division.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionMap {
    /// Grows with every change of the map; requests carry it.
    pub version: u64,
    /// How many partitions the slots are divided into, at least 1.
    pub partitions: u32,
}

impl PartitionMap {
    /// The plain division of all slots into `partitions` contiguous runs (clamped to 1..=16,384).
    #[must_use]
    pub fn divided(partitions: u32) -> Self {
        Self { version: 1, partitions: partitions.clamp(1, u32::from(SLOT_COUNT)) }
    }

    /// The partition that holds `slot`.
    #[must_use]
    pub fn partition_of_slot(&self, slot: Slot) -> PartitionId {
        PartitionId(u32::from(slot.0) * self.partitions / u32::from(SLOT_COUNT))
    }

    /// The partition that holds `namespace`.
    #[must_use]
    pub fn partition_of(&self, namespace: &NamespaceName) -> PartitionId {
        self.partition_of_slot(slot_of(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `docs/formats/slots.md`; a changed value would lose every document.
    #[test]
    fn slot_vectors_hold() {
        let vectors = [("a", 0xe6c6_32b6_1e96_4e1f_u64), ("abc", 0x78af_5f94_892f_3950)];
        for (name, hash) in vectors {
            assert_eq!(xxhash_rust::xxh3::xxh3_64(name.as_bytes()), hash, "{name}");
            let slot = slot_of(&NamespaceName::new(name).expect("valid"));
            assert_eq!(u64::from(slot.0), hash % 16_384);
        }
    }

    #[test]
    fn division_covers_all_partitions_in_order() {
        for partitions in [1, 2, 3, 4, 7, 1000, 16_384] {
            let map = PartitionMap::divided(partitions);
            let mut last = 0;
            for slot in 0..SLOT_COUNT {
                let partition = map.partition_of_slot(Slot(slot)).0;
                assert!(partition == last || partition == last + 1);
                last = partition;
            }
            assert_eq!(last + 1, partitions);
        }
    }
}
