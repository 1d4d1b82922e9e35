//! The plan of a request: which partition is asked about what. Pure.

use std::collections::BTreeMap;

use nautilus_proto::root::v1::MinOffset;
use nautilus_types::{NamespaceName, PartitionId, PartitionMap};

/// What one partition is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub partition: PartitionId,
    /// What of the request goes there: indexes into its list, ascending.
    pub indexes: Vec<u32>,
    /// The answer must show every record below this offset.
    pub min_next_offset: u64,
    /// Documents that a record at or above this offset changed are left out; 0 = none.
    pub changed_before_offset: u64,
}

/// Divides a request's namespaces (one for each thing asked about, repeated as needed) by
/// partition, in order of partition. Every index is in exactly one part.
#[must_use]
pub fn split<'a>(
    map: &PartitionMap,
    namespaces: impl IntoIterator<Item = &'a NamespaceName>,
    min_offsets: &[MinOffset],
) -> Vec<Part> {
    let mut parts: BTreeMap<PartitionId, Vec<u32>> = BTreeMap::new();
    for (index, namespace) in (0..).zip(namespaces) {
        parts.entry(map.partition_of(namespace)).or_default().push(index);
    }
    let part = |(partition, indexes)| Part {
        partition,
        indexes,
        min_next_offset: min_offset_of(partition, min_offsets),
        changed_before_offset: 0,
    };
    parts.into_iter().map(part).collect()
}

/// The highest offset asked for of `partition`; 0 where none is.
#[must_use]
pub fn min_offset_of(partition: PartitionId, min_offsets: &[MinOffset]) -> u64 {
    let of_partition = min_offsets.iter().filter(|min| min.partition == partition.0);
    of_partition.map(|min| min.next_offset).max().unwrap_or(0)
}

/// The lowest of the offsets stated for `partition`; 0 where none is.
#[must_use]
pub fn lowest_offset_of(partition: PartitionId, offsets: &[MinOffset]) -> u64 {
    let of_partition = offsets.iter().filter(|offset| offset.partition == partition.0);
    of_partition.map(|offset| offset.next_offset).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_index_is_in_one_part(
            names in proptest::collection::vec("[a-z]{1,3}", 0..60),
            partitions in 1..50_u32,
        ) {
            let map = PartitionMap::divided(partitions);
            let names: Vec<_> =
                names.iter().map(|n| NamespaceName::new(n).expect("valid")).collect();
            let parts = split(&map, &names, &[]);
            prop_assert!(parts.is_sorted_by(|a, b| a.partition < b.partition));
            let mut seen = vec![0; names.len()];
            for part in &parts {
                prop_assert!(part.indexes.is_sorted_by(|a, b| a < b));
                for &index in &part.indexes {
                    let index = usize::try_from(index).expect("fits");
                    seen[index] += 1;
                    prop_assert_eq!(map.partition_of(&names[index]), part.partition);
                }
            }
            prop_assert!(seen.iter().all(|&count| count == 1));
        }
    }

    #[test]
    fn the_strictest_offset_counts() {
        let min = |partition, next_offset| MinOffset { partition, next_offset };
        let offsets = [min(1, 5), min(2, 7), min(1, 9), min(1, 3)];
        assert_eq!(min_offset_of(PartitionId(1), &offsets), 9);
        assert_eq!(min_offset_of(PartitionId(0), &offsets), 0);
        assert_eq!(lowest_offset_of(PartitionId(1), &offsets), 3);
        assert_eq!(lowest_offset_of(PartitionId(0), &offsets), 0);
    }
}
