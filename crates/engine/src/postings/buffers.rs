//! The buffers of a partition: one that fills, and one that is being written to lists on disk.
//!
//! ```text
//! record ─► redo row (database) ─────────────────────────────────► removed
//!        └► filling ─full─► draining ─► table files ─► ingested ─┘ (`drain`)
//! ```
//!
//! A redo row goes when what it says is on disk as lists, so at any moment, also after a crash, lists and redo rows
//! together say all. To lay a change on a list that has it already changes nothing: the order of the two does not
//! matter to readers.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nautilus_types::Offset;
use parking_lot::{Mutex, MutexGuard, RwLock};
use rocksdb::{DB, ReadOptions, Snapshot};

use super::Term;
use super::buffer::Buffer;
use super::cursor::Row;
use super::drain::Drain;
use super::merge;
use super::redo::Redo;
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber};
use crate::rows::Malformed;

/// Of one partition. Larger ones merge more changes of a word before they are written, and are compacted less often.
const BUFFER_BYTES: usize = 64 << 20;
/// Where memory is short, a buffer of this part of its bytes is written.
const PART: usize = 32;
/// A buffer is full by up to this part of its bytes earlier in some partitions than in others. Replicas apply the same
/// records: without it all of them would write lists at the same moment, and a search would have none to turn to.
const EARLIER_PART: usize = 8;

/// A bound in bytes for the buffers of all partitions of a process.
pub(crate) struct BufferBudget {
    used: AtomicUsize,
    max: usize,
}

impl BufferBudget {
    pub(crate) fn new(max: usize) -> Self {
        Self { used: AtomicUsize::new(0), max }
    }

    /// What a partition may fill that has drawn this number.
    fn of(&self, drawn: u8) -> usize {
        let max = BUFFER_BYTES.min(self.max / 2);
        let earlier = max / EARLIER_PART / 256 * usize::from(drawn);
        (max - earlier).max(1)
    }
}

/// A buffer and the memory it takes from the budget.
struct Charged {
    buffer: Buffer,
    budget: Arc<BufferBudget>,
}

impl Drop for Charged {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.buffer.bytes(), Ordering::Relaxed);
    }
}

/// The buffers of one moment.
#[derive(Clone)]
struct Held {
    draining: Option<Frozen>,
    filling: Arc<Charged>,
}

/// A buffer that nobody adds to any more.
#[derive(Clone)]
pub(super) struct Frozen {
    charged: Arc<Charged>,
    /// The records it holds are below.
    pub(super) end: Offset,
    /// Namespaces that ended before.
    pub(super) gone: Arc<[NamespaceNumber]>,
}

impl Frozen {
    pub(super) fn buffer(&self) -> &Buffer {
        &self.charged.buffer
    }
}

/// Of one partition.
pub(crate) struct Buffers {
    budget: Arc<BufferBudget>,
    /// Bytes that make a buffer full.
    bytes_max: usize,
    held: RwLock<Held>,
    /// Held while a record is applied, so that who has it stands between two records. The lock is fair after half a
    /// millisecond: a writer that is always busy lets the drain in.
    applying: Mutex<()>,
    /// Namespaces whose rows were removed since the last freeze.
    ended: Mutex<Vec<NamespaceNumber>>,
    /// What writes lists.
    pub(super) drain: Mutex<Drain>,
}

impl Buffers {
    /// What the redo rows of a database say that is at this offset.
    pub(crate) fn load(
        db: &DB,
        next_offset: Offset,
        budget: &Arc<BufferBudget>,
    ) -> Result<Self, EngineError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound([Kind::Redo as u8]);
        options.set_iterate_upper_bound([Kind::Redo as u8 + 1]);
        let mut rows = db.raw_iterator_opt(options);
        rows.seek_to_first();
        let first = rows.key().and_then(keys::offset_of_redo).unwrap_or(next_offset);
        let filling = charged(first, budget);
        while let Some((key, value)) = rows.item() {
            let offset = keys::offset_of_redo(key).ok_or(Malformed { row: "redo" })?;
            let bytes = filling.buffer.insert(offset, Redo::read(value)?)?;
            budget.used.fetch_add(bytes, Ordering::Relaxed);
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        let mut ended = Vec::new();
        for ns in filling.buffer.namespaces() {
            if has_ended(db, ns)? {
                ended.push(ns);
            }
        }
        Ok(Self {
            budget: Arc::clone(budget),
            // Anew at each opening: folders are called alike on all machines.
            bytes_max: budget.of(RandomState::new().hash_one(next_offset.0).to_le_bytes()[0]),
            held: RwLock::new(Held { draining: None, filling }),
            applying: Mutex::new(()),
            ended: Mutex::new(ended),
            drain: Mutex::new(None),
        })
    }

    /// Adds what a record changes, before the record becomes visible.
    pub(crate) fn insert(&self, offset: Offset, redo: &[u8]) -> Result<(), EngineError> {
        let filling = self.held(|held| Arc::clone(&held.filling));
        let bytes = filling.buffer.insert(offset, Redo::read(redo)?)?;
        self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets what was added for records that never became visible.
    pub(crate) fn forget_from(&self, offset: Offset) {
        self.held(|held| held.filling.buffer.forget_from(offset));
    }

    /// Whether lists are to be written before the record at `offset`.
    pub(super) fn is_full(&self, offset: Offset) -> bool {
        self.held(|Held { filling, .. }| {
            let (buffer, budget) = (&filling.buffer, &self.budget);
            let is_short = budget.used.load(Ordering::Relaxed) >= budget.max;
            let limit = self.bytes_max / if is_short { PART } else { 1 };
            buffer.bytes() >= limit.max(1) || buffer.is_hot() || !buffer.reaches(offset)
        })
    }

    /// What is to be written: what was frozen before and did not come to its end, or else what fills now, whose
    /// records are below `end`. None where nothing changed. For who stands between two records.
    pub(super) fn freeze(&self, end: Offset) -> Option<Frozen> {
        let mut held = self.held.write();
        if held.draining.is_none() && !held.filling.buffer.is_empty() {
            let charged = std::mem::replace(&mut held.filling, charged(end, &self.budget));
            let gone = std::mem::take(&mut *self.ended.lock()).into();
            held.draining = Some(Frozen { charged, end, gone });
        }
        held.draining.clone()
    }

    /// Lists say what the frozen buffer does.
    pub(super) fn forget_frozen(&self) {
        self.held.write().draining = None;
    }

    /// Waits until no record is being applied, and keeps it so.
    pub(crate) fn between_records(&self) -> MutexGuard<'_, ()> {
        self.applying.lock()
    }

    /// A namespace's rows were removed. For who applies the record.
    pub(crate) fn end(&self, ns: NamespaceNumber) {
        self.ended.lock().push(ns);
    }

    /// Namespaces that ended since the last freeze.
    pub(super) fn ended(&self) -> Vec<NamespaceNumber> {
        self.ended.lock().clone()
    }

    /// A snapshot of the database, and the buffers that complete it.
    pub(crate) fn snapshot<'d>(&self, db: &'d DB) -> (Snapshot<'d>, View) {
        // Between the two nothing may move from a buffer to the database.
        self.held(|held| (db.snapshot(), View { held: held.clone() }))
    }

    fn held<T>(&self, f: impl FnOnce(&Held) -> T) -> T {
        f(&self.held.read())
    }
}

/// Whether a namespace that had documents has no rows any more: ids stay as long as it lives.
fn has_ended(db: &DB, ns: NamespaceNumber) -> Result<bool, EngineError> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::of_namespace(Kind::Id, ns));
    options.set_iterate_upper_bound(keys::after_namespace(Kind::Id, ns));
    let mut ids = db.raw_iterator_opt(options);
    ids.seek_to_first();
    ids.status().map_err(EngineError::read)?;
    Ok(!ids.valid())
}

fn charged(first: Offset, budget: &Arc<BufferBudget>) -> Arc<Charged> {
    Arc::new(Charged { buffer: Buffer::new(first), budget: Arc::clone(budget) })
}

/// The buffers that go with a snapshot.
pub(crate) struct View {
    held: Held,
}

impl View {
    /// Oldest first.
    fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        let Held { draining, filling } = &self.held;
        let draining = draining.iter().map(|frozen| &frozen.charged);
        draining.chain([filling]).map(|charged| &charged.buffer)
    }

    /// Whether anything of the namespace changed lately.
    pub(crate) fn has(&self, ns: NamespaceNumber) -> bool {
        self.buffers().any(|buffer| buffer.has(ns))
    }

    /// The chunks of a term that records below `label` changed, ascending, as values of changes.
    pub(crate) fn chunks(
        &self,
        ns: NamespaceNumber,
        term: Term<'_>,
        label: Offset,
    ) -> Vec<(Chunk, Vec<u8>)> {
        let mut chunks: Vec<(Chunk, Vec<u8>)> = Vec::new();
        for buffer in self.buffers() {
            buffer.chunks(ns, term, label, &mut |chunk, value| match chunks
                .binary_search_by_key(&chunk, |(chunk, _)| *chunk)
            {
                Ok(at) => chunks[at].1 = merge::partial(&[&chunks[at].1, value]),
                Err(at) => chunks.insert(at, (chunk, value.to_vec())),
            });
        }
        chunks
    }

    /// Key and changes of every chunk of the terms that begin with `prefix`, in the order of keys.
    pub(crate) fn rows(
        &self,
        kind: Kind,
        ns: NamespaceNumber,
        prefix: &[u8],
        label: Offset,
    ) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for buffer in self.buffers() {
            let older = std::mem::take(&mut rows);
            let mut older = older.into_iter().peekable();
            buffer.rows(kind, ns, prefix, label, &mut |key, value| {
                while let Some(row) = older.next_if(|(older, _)| older.as_slice() < key) {
                    rows.push(row);
                }
                match older.next_if(|(older, _)| older == key) {
                    Some((older, below)) => rows.push((older, merge::partial(&[&below, value]))),
                    None => rows.push((key.to_vec(), value.to_vec())),
                }
            });
            rows.extend(older);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_not_full_at_the_same_record() {
        let budget = BufferBudget::new(1 << 30);
        let sizes: Vec<usize> = (0..=u8::MAX).map(|drawn| budget.of(drawn)).collect();
        assert_eq!(sizes[0], BUFFER_BYTES);
        assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]));
        assert!(sizes[255] >= BUFFER_BYTES - BUFFER_BYTES / EARLIER_PART);
        assert_eq!(BufferBudget::new(0).of(7), 1);
    }
}
