//! What roots tell each other of requests that leaves may die of. All of it is in the key; there is no value.

use std::fmt;

use nautilus_types::PartitionId;

use super::key::partition;
use super::names::{GroupName, LeafName};

/// A request was under way on a leaf when its connection was lost.
/// `suspects/<fingerprint>/<p0007>/<group>/<leaf>/<time>`
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Suspicion {
    /// Names what was asked.
    pub fingerprint: u64,
    /// Of which partition.
    pub partition: PartitionId,
    /// The leaf's replica group.
    pub group: GroupName,
    /// The leaf.
    pub leaf: LeafName,
    /// When, in milliseconds since 1970.
    pub unix_ms: u64,
}

impl Suspicion {
    /// What to list and watch.
    pub const PREFIX: &str = "suspects/";

    /// Reads a key; none where it is none of these.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(Self::PREFIX)?.split('/');
        let fingerprint = parts.next()?;
        let suspicion = Self {
            fingerprint: u64::from_str_radix(fingerprint, 16).ok()?,
            partition: partition(parts.next()?)?,
            group: GroupName::new(parts.next()?).ok()?,
            leaf: LeafName::new(parts.next()?).ok()?,
            unix_ms: parts.next()?.parse().ok()?,
        };
        // Numbers have one way of being written.
        (parts.next().is_none() && suspicion.to_string() == key).then_some(suspicion)
    }
}

/// The key as the registry takes it; [`Suspicion::parse`] reads it back.
impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, partition, group, leaf, unix_ms } = self;
        let prefix = Self::PREFIX;
        write!(f, "{prefix}{fingerprint:016x}/p{:04}/{group}/{leaf}/{unix_ms}", partition.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KEY_BYTES_MAX;

    proptest! {
        #[test]
        fn suspicions_read_back(
            fingerprint in any::<u64>(),
            number in any::<u32>(),
            group in "[a-z0-9-]{1,63}",
            leaf in "[a-z0-9-]{1,63}",
            unix_ms in any::<u64>(),
        ) {
            let suspicion = Suspicion {
                fingerprint,
                partition: PartitionId(number),
                group: GroupName::new(group).expect("valid"),
                leaf: LeafName::new(leaf).expect("valid"),
                unix_ms,
            };
            let key = suspicion.to_string();
            prop_assert!(key.len() <= KEY_BYTES_MAX && key.starts_with(Suspicion::PREFIX));
            prop_assert_eq!(Suspicion::parse(&key), Some(suspicion));
        }
    }

    #[test]
    fn there_is_one_way_to_write_it() {
        let key = "suspects/00000000000000ff/p0007/a/leaf-1/1700000000000";
        assert_eq!(Suspicion::parse(key).map(|it| it.to_string()), Some(key.to_owned()));
        for key in [
            "suspects/ff/p0007/a/leaf-1/1",
            "suspects/00000000000000FF/p0007/a/leaf-1/1",
            "suspects/00000000000000ff/p7/a/leaf-1/1",
            "suspects/00000000000000ff/p0007/a/leaf-1/01",
            "suspects/00000000000000ff/p0007/a/leaf-1",
            "suspects/00000000000000ff/p0007/a/leaf-1/1/",
            "groups/a/standing",
        ] {
            assert_eq!(Suspicion::parse(key), None, "{key}");
        }
    }
}
