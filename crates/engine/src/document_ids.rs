//! Document ids by ordinal in memory, for all partitions of a process.
//!
//! An ordinal is given to one document and never again, so what is here stays true, whatever is written and whatever
//! a search's snapshot shows. Each id has one place; a later one that falls there takes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nautilus_types::DocumentId;

use crate::keys::{NamespaceNumber, Ordinal};

/// Places that share a lock.
const PLACES_PER_LOCK: usize = 64;
/// What an id takes with its place, nearly.
const PLACE_BYTES: usize = 96;
/// Longer ids are not kept.
const ID_BYTES_MAX: usize = 128;

/// Which partition, namespace and document.
type Key = (u64, u32, Ordinal);

/// None of them until the first is used.
type Places = Vec<Option<(Key, DocumentId)>>;

/// The ids of all partitions of a process.
pub(crate) struct DocumentIds {
    places: Box<[Mutex<Places>]>,
    partitions: AtomicU64,
}

/// The ids of one partition.
pub(crate) struct PartitionIds {
    ids: Arc<DocumentIds>,
    partition: u64,
}

impl DocumentIds {
    pub(crate) fn new(bytes_max: usize) -> Self {
        let locks = (bytes_max / PLACE_BYTES / PLACES_PER_LOCK).max(1);
        let places = (0..locks).map(|_| Mutex::default()).collect();
        Self { places, partitions: AtomicU64::new(0) }
    }

    /// Those of another partition.
    pub(crate) fn partition(ids: &Arc<Self>) -> PartitionIds {
        let partition = ids.partitions.fetch_add(1, Ordering::Relaxed);
        PartitionIds { ids: Arc::clone(ids), partition }
    }
}

impl PartitionIds {
    pub(crate) fn get(&self, ns: NamespaceNumber, ordinal: Ordinal) -> Option<DocumentId> {
        let key = (self.partition, ns.0, ordinal);
        self.with_place(key, |place| match place {
            Some((held, id)) if *held == key => Some(id.clone()),
            Some(_) | None => None,
        })
    }

    pub(crate) fn insert(&self, ns: NamespaceNumber, ordinal: Ordinal, id: &DocumentId) {
        if id.as_bytes().len() <= ID_BYTES_MAX {
            let key = (self.partition, ns.0, ordinal);
            self.with_place(key, |place| *place = Some((key, id.clone())));
        }
    }

    fn with_place<R>(&self, key: Key, f: impl FnOnce(&mut Option<(Key, DocumentId)>) -> R) -> R {
        let mixed = ((u64::from(key.1) << 32 | u64::from(key.2)) ^ (key.0 << 52))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let of =
            |bits: u32, count: usize| usize::try_from((mixed >> bits) % count as u64).unwrap_or(0);
        let places = self.ids.places[of(16, self.ids.places.len())].lock();
        // An id is replaced whole: a poisoned lock guards nothing torn.
        let mut places = places.unwrap_or_else(PoisonError::into_inner);
        places.resize(PLACES_PER_LOCK, None);
        f(&mut places[of(58, PLACES_PER_LOCK)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_kept_of_the_same_partition() {
        let ids = Arc::new(DocumentIds::new(64 << 10));
        let (one, other) = (DocumentIds::partition(&ids), DocumentIds::partition(&ids));
        let id = |ordinal: Ordinal| DocumentId::new(ordinal.to_string()).expect("valid");
        let mut found = 0;
        for ordinal in 0..2_000 {
            one.insert(NamespaceNumber(1), ordinal, &id(ordinal));
            assert_eq!(one.get(NamespaceNumber(1), ordinal), Some(id(ordinal)));
        }
        for ordinal in 0..2_000 {
            assert_eq!(other.get(NamespaceNumber(1), ordinal), None);
            assert_eq!(one.get(NamespaceNumber(2), ordinal), None);
            let held = one.get(NamespaceNumber(1), ordinal);
            assert!(held.is_none() || held == Some(id(ordinal)));
            found += usize::from(held.is_some());
        }
        assert!((200..1_000).contains(&found), "{found}");
        let long = DocumentId::new([b'a'; ID_BYTES_MAX + 1]).expect("valid");
        one.insert(NamespaceNumber(3), 0, &long);
        assert_eq!(one.get(NamespaceNumber(3), 0), None);
    }
}
