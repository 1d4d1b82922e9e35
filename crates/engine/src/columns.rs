//! Length codes of whole chunks in memory, for all partitions of a process, kept right under writes.
//!
//! ```text
//! search at label T ─► column from offset F ≤ T, with the changes below T ─► codes
//!                        ▲ none: read its rows, insert                ▲
//! writer at offset o, before it writes ──────── change (o, index, code)
//! ```
//!
//! A search that misses reads 64 rows for a full chunk; one that hits copies nothing. What a search may use depends on
//! its label alone: changes at or above that are left out, a column made at a later label is not for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use nautilus_types::Offset;

use crate::keys::{Chunk, NamespaceNumber};

/// Parts with a lock each.
const SHARDS: usize = 16;
/// Changes that may wait to be laid on any column, and on a larger one one more for so many codes: a column with more
/// has not been read for long, and they would take more memory than it.
const PENDING_MAX: usize = 8;
const CODES_PER_PENDING: usize = 64;
/// What a column takes beside its codes, nearly.
const ENTRY_BYTES: usize = 160;
/// Marks of changes, by hash of the column.
const MARKS: usize = 256;

/// Which partition, namespace and chunk.
type Key = (u64, u32, Chunk);

/// The columns of all partitions of a process.
pub(crate) struct LengthColumns {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    partitions: AtomicU64,
}

/// Two generations: what is not used while the younger one fills up is dropped with the older one.
#[derive(Default)]
struct Shard {
    young: HashMap<Key, Column>,
    old: HashMap<Key, Column>,
    young_bytes: usize,
}

struct Column {
    /// Right for labels from this offset on.
    from: u64,
    codes: Arc<Vec<u8>>,
    /// Later changes, by ascending offset: index and code.
    changes: Vec<(u64, u16, u8)>,
}

/// The columns of one partition.
pub(crate) struct PartitionColumns {
    columns: Arc<LengthColumns>,
    partition: u64,
    /// By hash of the column: the label that shows the last change. A column read before must not be inserted.
    changed: Box<[AtomicU64]>,
}

impl LengthColumns {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            // The older generation takes as much again.
            shard_bytes_max: bytes_max / SHARDS / 2,
            partitions: AtomicU64::new(0),
        }
    }

    /// Those of another partition.
    pub(crate) fn partition(columns: &Arc<Self>) -> PartitionColumns {
        PartitionColumns {
            columns: Arc::clone(columns),
            partition: columns.partitions.fetch_add(1, Ordering::Relaxed),
            changed: (0..MARKS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl PartitionColumns {
    /// The column as a search at this label may use it.
    pub(crate) fn get(
        &self,
        ns: NamespaceNumber,
        chunk: Chunk,
        label: Offset,
    ) -> Option<Arc<Vec<u8>>> {
        let (key, mut shard, _) = self.shard(ns, chunk);
        let bytes_max = self.columns.shard_bytes_max;
        shard.find(&key, bytes_max)?.at(label.0)
    }

    /// Keeps a column that was read at this label, unless it changed since.
    pub(crate) fn insert(
        &self,
        ns: NamespaceNumber,
        chunk: Chunk,
        label: Offset,
        codes: &Arc<Vec<u8>>,
    ) {
        let (key, mut shard, changed) = self.shard(ns, chunk);
        let bytes_max = self.columns.shard_bytes_max;
        if changed.load(Ordering::Relaxed) > label.0 || shard.find(&key, bytes_max).is_some() {
            return;
        }
        let column = Column { from: label.0, codes: Arc::clone(codes), changes: Vec::new() };
        shard.keep(key, column, bytes_max);
    }

    /// Takes note of a change, before it is written by the record at `offset`.
    pub(crate) fn change(
        &self,
        ns: NamespaceNumber,
        (chunk, index): (Chunk, u16),
        offset: Offset,
        code: u8,
    ) {
        let (key, mut shard, changed) = self.shard(ns, chunk);
        changed.store(offset.next().0, Ordering::Relaxed);
        let bytes_max = self.columns.shard_bytes_max;
        let Some(column) = shard.find(&key, bytes_max) else { return };
        column.changes.push((offset.0, index, code));
        if column.changes.len() > PENDING_MAX + column.codes.len() / CODES_PER_PENDING {
            shard.young.remove(&key);
        }
    }

    fn shard(&self, ns: NamespaceNumber, chunk: Chunk) -> (Key, MutexGuard<'_, Shard>, &AtomicU64) {
        let key = (self.partition, ns.0, chunk);
        let mixed = (u64::from(ns.0) ^ (self.partition << 20) ^ (u64::from(chunk) << 40))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let of =
            |bits: u32, count: usize| usize::try_from((mixed >> bits) % count as u64).unwrap_or(0);
        // Nothing below panics while a lock is held; a poisoned shard would still be whole.
        let shard = self.columns.shards[of(32, SHARDS)].lock();
        (key, shard.unwrap_or_else(PoisonError::into_inner), &self.changed[of(48, MARKS)])
    }
}

impl Shard {
    fn find(&mut self, key: &Key, bytes_max: usize) -> Option<&mut Column> {
        if !self.young.contains_key(key) {
            let column = self.old.remove(key)?;
            self.keep(*key, column, bytes_max);
        }
        self.young.get_mut(key)
    }

    fn keep(&mut self, key: Key, column: Column, bytes_max: usize) {
        self.young_bytes += column.codes.len() + ENTRY_BYTES;
        if self.young_bytes > bytes_max {
            self.young_bytes = column.codes.len() + ENTRY_BYTES;
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, column);
    }
}

impl Column {
    fn at(&mut self, label: u64) -> Option<Arc<Vec<u8>>> {
        if label < self.from {
            return None;
        }
        match self.changes.last() {
            None => Some(Arc::clone(&self.codes)),
            // All of them show at this label: from now on they are part of the column.
            Some(&(last, _, _)) if last < label => {
                let codes = Arc::make_mut(&mut self.codes);
                self.changes.drain(..).for_each(|(_, index, code)| set(codes, index, code));
                self.from = last + 1;
                Some(Arc::clone(&self.codes))
            }
            Some(_) => {
                let mut codes = Vec::clone(&self.codes);
                let shown = self.changes.iter().filter(|(offset, _, _)| *offset < label);
                shown.for_each(|&(_, index, code)| set(&mut codes, index, code));
                Some(Arc::new(codes))
            }
        }
    }
}

fn set(codes: &mut Vec<u8>, index: u16, code: u8) {
    let index = usize::from(index);
    if codes.len() <= index {
        codes.resize(index + 1, 0);
    }
    codes[index] = code;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// What happens to the columns of two chunks.
    #[derive(Debug, Clone)]
    enum Act {
        Change {
            chunk: Chunk,
            index: u16,
            code: u8,
        },
        /// Reads a column as it was so many records ago, and inserts it if it was not there.
        Read {
            chunk: Chunk,
            ago: u64,
        },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            (0..2_u32, 0..5_u16, 0..9_u8).prop_map(|(chunk, index, code)| Act::Change {
                chunk,
                index,
                code
            }),
            (0..2_u32, 0..4_u64).prop_map(|(chunk, ago)| Act::Read { chunk, ago }),
        ]
    }

    proptest! {
        #[test]
        fn shows_each_label_what_was_written_below_it(
            acts in prop::collection::vec(act(), 0..300), bytes_max in prop::sample::select(vec![0, 1 << 13, 1 << 20]),
        ) {
            let columns = Arc::new(LengthColumns::new(bytes_max));
            let of = LengthColumns::partition(&columns);
            let other = LengthColumns::partition(&columns);
            let ns = NamespaceNumber(7);
            // Codes of both chunks after each record.
            let mut history: Vec<BTreeMap<(Chunk, u16), u8>> = vec![BTreeMap::new()];
            for act in acts {
                let now = history.len() as u64 - 1;
                match act {
                    Act::Change { chunk, index, code } => {
                        of.change(ns, (chunk, index), Offset(now), code);
                        // Another partition's offsets are its own.
                        other.change(ns, (chunk, index), Offset(now + 1_000), 99);
                        let mut codes = history[history.len() - 1].clone();
                        codes.insert((chunk, index), code);
                        history.push(codes);
                    }
                    Act::Read { chunk, ago } => {
                        let label = now.saturating_sub(ago);
                        let written = &history[usize::try_from(label).expect("small")];
                        let expected: Vec<u8> =
                            (0..5).map(|index| written.get(&(chunk, index)).copied().unwrap_or(0)).collect();
                        match of.get(ns, chunk, Offset(label)) {
                            Some(codes) => {
                                let code = |index: usize| codes.get(index).copied().unwrap_or(0);
                                prop_assert_eq!((0..5).map(code).collect::<Vec<_>>(), expected);
                            }
                            None => of.insert(ns, chunk, Offset(label), &Arc::new(expected)),
                        }
                    }
                }
            }
        }
    }
}
