//! Changes of postings in memory: what records changed since lists were last written to disk.
//!
//! ```text
//! namespace ─► term ─► changes by ordinal, then oldest first: (ordinal, offset of the record, posting or its removal)
//! ```
//!
//! One thread adds, any number read. A reader says up to which record it sees, so what is added meanwhile does not
//! show: that the rows of the same record become visible at one moment is left to the database.

mod changes;
mod terms;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hashbrown::HashMap;
use nautilus_types::Offset;
use parking_lot::RwLock;

use self::terms::{Grown, Terms};
use super::Term;
use super::redo::Redo;
use crate::error::EngineError;
use crate::keys::{Chunk, Kind, NamespaceNumber};
use crate::rows::Malformed;

/// Parts of the namespaces with a lock each.
const SHARDS: usize = 16;
/// Changes of one term among which another is put: so many are moved, and read by every search for it, in some 10 µs.
const AMONG_MAX: usize = 16_384;
/// What memory a namespace comes to without its terms.
const NAMESPACE_BYTES: usize = 256;

type Shard = HashMap<NamespaceNumber, Box<Terms>>;

/// The changes of consecutive records.
pub(crate) struct Buffer {
    /// Of the first record.
    first: Offset,
    shards: [RwLock<Shard>; SHARDS],
    bytes: AtomicUsize,
    /// Some term has so many changes that they had better be written.
    is_hot: AtomicBool,
}

impl Buffer {
    /// Of records from this offset on.
    pub(super) fn new(first: Offset) -> Self {
        Self {
            first,
            shards: std::array::from_fn(|_| RwLock::default()),
            bytes: AtomicUsize::new(0),
            is_hot: AtomicBool::new(false),
        }
    }

    /// Bytes of memory, nearly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Whether it had better be written, whatever its size.
    pub(super) fn is_hot(&self) -> bool {
        self.is_hot.load(Ordering::Relaxed)
    }

    /// Whether a record this far from its first can be told from others.
    pub(super) fn reaches(&self, offset: Offset) -> bool {
        offset.0.saturating_sub(self.first.0) < u64::from(u32::MAX)
    }

    /// Adds the changes of the record at `offset`, which is above all before; returns the bytes they take.
    pub(super) fn insert(&self, offset: Offset, redo: Redo<'_>) -> Result<usize, Malformed> {
        let (ns, ordinal) = (redo.ns, redo.ordinal);
        let mut changes = Vec::with_capacity(256);
        redo.changes(&mut changes)?;
        let since = u32::try_from(offset.0.saturating_sub(self.first.0)).unwrap_or(u32::MAX);
        let mut bytes = 0;
        let mut shard = self.shard(ns).write();
        let terms = shard.entry(ns).or_insert_with(|| {
            bytes += NAMESPACE_BYTES;
            Box::default()
        });
        let Grown { bytes: grown, among_max } = terms.insert(since, ordinal, &changes);
        drop(shard);
        bytes += grown;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if among_max >= AMONG_MAX {
            self.is_hot.store(true, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Forgets what records at or above the offset changed.
    pub(super) fn forget_from(&self, offset: Offset) {
        let since = u32::try_from(offset.0.saturating_sub(self.first.0)).unwrap_or(u32::MAX);
        for shard in &self.shards {
            shard.write().values_mut().for_each(|terms| terms.forget_from(since));
        }
    }

    /// Those of which anything changed.
    pub(super) fn namespaces(&self) -> Vec<NamespaceNumber> {
        let numbers = |shard: &RwLock<Shard>| shard.read().keys().copied().collect::<Vec<_>>();
        self.shards.iter().flat_map(numbers).collect()
    }

    /// Whether anything of the namespace changed.
    pub(super) fn has(&self, ns: NamespaceNumber) -> bool {
        self.shard(ns).read().contains_key(&ns)
    }

    /// Calls `each` with the chunks of a term that records below `label` changed, ascending, as values of changes.
    pub(super) fn chunks(
        &self,
        ns: NamespaceNumber,
        term: Term<'_>,
        label: Offset,
        each: &mut impl FnMut(Chunk, &[u8]),
    ) {
        if let Some(terms) = self.shard(ns).read().get(&ns) {
            terms.chunks(term, self.until(label), each);
        }
    }

    /// Calls `each` with key and value of every chunk of the terms that begin with `prefix`, in the order of keys.
    pub(super) fn rows(
        &self,
        kind: Kind,
        ns: NamespaceNumber,
        prefix: &[u8],
        label: Offset,
        each: &mut impl FnMut(&[u8], &[u8]),
    ) {
        self.order(ns, Terms::is_unordered);
        if let Some(terms) = self.shard(ns).read().get(&ns) {
            terms.rows(ns, kind, prefix, self.until(label), each);
        }
    }

    /// Calls `each` with key and value of every chunk of one kind, in the order of keys; `is_gone` says of which
    /// namespaces there is no more need. Nobody adds any more.
    pub(super) fn all_rows(
        &self,
        kind: Kind,
        is_gone: impl Fn(NamespaceNumber) -> bool,
        each: &mut impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut numbers = self.namespaces();
        numbers.sort_unstable();
        numbers.retain(|ns| !is_gone(*ns));
        // All of them before the first is read for long: to take over an order asks for the lock of readers.
        numbers.iter().for_each(|ns| self.order(*ns, |_| true));
        for ns in numbers {
            let mut result = Ok(());
            if let Some(terms) = self.shard(ns).read().get(&ns) {
                terms.rows(ns, kind, b"", u64::MAX, &mut |key: &[u8], value: &[u8]| {
                    if result.is_ok() {
                        result = each(key, value);
                    }
                });
            }
            result?;
        }
        Ok(())
    }

    /// Brings the terms of a namespace into order, if they need it. Readers go on meanwhile.
    fn order(&self, ns: NamespaceNumber, is_needed: impl Fn(&Terms) -> bool) {
        let shard = self.shard(ns);
        let order = shard.read().get(&ns).filter(|terms| is_needed(terms)).map(|it| it.ordered());
        if let Some(order) = order
            && let Some(terms) = shard.write().get_mut(&ns)
        {
            terms.set_order(order);
        }
    }

    /// Records are seen that are less than this from the first.
    fn until(&self, label: Offset) -> u64 {
        label.0.saturating_sub(self.first.0)
    }

    fn shard(&self, ns: NamespaceNumber) -> &RwLock<Shard> {
        let hash = ns.0.wrapping_mul(0x9E37_79B9) >> 28;
        &self.shards[usize::try_from(hash).unwrap_or(0) % SHARDS]
    }
}

#[cfg(test)]
mod tests;
