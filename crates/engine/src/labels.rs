//! What a search needs to know first, in memory: which offset its snapshot shows, and the rows of its namespaces.
//!
//! Offsets are looked up by the snapshot's sequence number, so they are those of the snapshot whatever is written
//! meanwhile. A namespace's row holds for labels from that on at which it was read, until the writer changes it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use nautilus_types::Offset;
use xxhash_rust::xxh3::xxh3_64;

use crate::rows::namespace::NamespaceRow;

/// Parts with a lock each.
const SHARDS: usize = 8;
/// Rows of a part before all of it is dropped: a megabyte for the whole partition, with usual names.
const ROWS_MAX: usize = 1_024;
/// Marks of changes, by hash of the name.
const MARKS: usize = 256;

/// Of one partition.
pub(crate) struct Labels {
    /// The sequence number after the record that was applied last, and the offset after that.
    last: Mutex<Option<(u64, Offset)>>,
    rows: [Mutex<Rows>; SHARDS],
    /// The label that shows the last change of a name's row.
    changed: Box<[AtomicU64]>,
}

/// By name.
type Rows = HashMap<Box<[u8]>, Held>;

#[derive(Clone, Copy)]
struct Held {
    /// Right for labels from this offset on.
    from: u64,
    row: NamespaceRow,
}

impl Labels {
    pub(crate) fn new() -> Self {
        Self {
            last: Mutex::new(None),
            rows: std::array::from_fn(|_| Mutex::default()),
            changed: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The database is at this sequence number, and everything below the offset is applied.
    pub(crate) fn applied(&self, sequence: u64, next_offset: Offset) {
        *lock(&self.last) = Some((sequence, next_offset));
    }

    /// The database is at another sequence number, and no further record is applied.
    pub(crate) fn renumber(&self, sequence: u64) {
        if let Some((last, _)) = &mut *lock(&self.last) {
            *last = sequence;
        }
    }

    /// What a snapshot of this sequence number shows, if it is the newest.
    pub(crate) fn next_offset(&self, sequence: u64) -> Option<Offset> {
        lock(&self.last).filter(|(last, _)| *last == sequence).map(|(_, offset)| offset)
    }

    /// The namespace's row at this label, if it is known.
    pub(crate) fn row(&self, name: &[u8], label: Offset) -> Option<NamespaceRow> {
        let (rows, _) = self.shard(name);
        rows.get(name).filter(|held| held.from <= label.0).map(|held| held.row)
    }

    /// Keeps a row that was read at this label, unless it changed since.
    pub(crate) fn insert(&self, name: &[u8], label: Offset, row: NamespaceRow) {
        let (mut rows, changed) = self.shard(name);
        if changed.load(Ordering::Relaxed) > label.0 || rows.contains_key(name) {
            return;
        }
        if rows.len() >= ROWS_MAX {
            rows.clear();
        }
        rows.insert(name.into(), Held { from: label.0, row });
    }

    /// Takes note of a change, before it is written by the record at `offset`.
    pub(crate) fn change(&self, name: &[u8], offset: Offset, row: NamespaceRow) {
        let (mut rows, changed) = self.shard(name);
        let from = offset.next().0;
        changed.store(from, Ordering::Relaxed);
        if let Some(held) = rows.get_mut(name) {
            *held = Held { from, row };
        }
    }

    fn shard(&self, name: &[u8]) -> (MutexGuard<'_, Rows>, &AtomicU64) {
        let hash = xxh3_64(name);
        let of =
            |bits: u32, count: usize| usize::try_from((hash >> bits) % count as u64).unwrap_or(0);
        (lock(&self.rows[of(0, SHARDS)]), &self.changed[of(32, MARKS)])
    }
}

/// Nothing panics while one of the locks is held; what they guard is whole in any case.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NamespaceNumber;

    fn row(documents: u64) -> NamespaceRow {
        NamespaceRow { documents, ..NamespaceRow::empty(1, NamespaceNumber(1)) }
    }

    #[test]
    fn a_row_is_for_labels_that_show_it() {
        let labels = Labels::new();
        let documents = |label| labels.row(b"a", Offset(label)).map(|row| row.documents);
        labels.change(b"a", Offset(4), row(1));
        assert_eq!(documents(5), None, "nobody asked for it");
        labels.insert(b"a", Offset(4), row(0));
        assert_eq!(documents(5), None, "read before a change that followed");
        labels.insert(b"a", Offset(5), row(1));
        assert_eq!((documents(4), documents(5), documents(9)), (None, Some(1), Some(1)));
        labels.change(b"a", Offset(6), row(2));
        assert_eq!((documents(6), documents(7)), (None, Some(2)));
        labels.insert(b"a", Offset(8), row(9));
        assert_eq!(documents(8), Some(2));
    }

    #[test]
    fn an_offset_is_that_of_its_sequence_number() {
        let labels = Labels::new();
        assert_eq!(labels.next_offset(0), None);
        labels.applied(7, Offset(3));
        assert_eq!((labels.next_offset(7), labels.next_offset(8)), (Some(Offset(3)), None));
    }
}
