//! Postings as chunks in RocksDB: written one by one as changes, read as lists.

use nautilus_query::FieldSet;
use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};
use xxhash_rust::xxh3::xxh3_64;

use super::column::Column;
use super::sums::PrefixSums;
use super::{Found, PostingReader, PostingWriter, Scan, Term, merge, value};
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::rows::Malformed;
use crate::rows::posting::Frequencies;
use crate::search::Budget;

/// Changes of one chunk that may wait to be merged: every reader merges them again, at some 20 ns each. As many as a
/// chunk has ordinals: merging 4,096 at once cost a tenth of the load, as it reads and packs what a flush would soon.
const PENDING_MAX: u16 = 16_384;
/// Counters of changes. Chunks that share one are folded sooner than they need be.
const COUNTERS: usize = 1 << 16;

/// Writes each posting as a change of its chunk, without reading that; only every 16,384th change of a chunk
/// is merged at once, so that a document which is edited all the time does not make its words slow to search.
pub(crate) struct ChunkWriter {
    change: Vec<u8>,
    /// Changes since the last that was merged at once, by hash of the key.
    pending: Box<[u16]>,
    pending_max: u16,
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self::with_pending_max(PENDING_MAX)
    }

    pub(super) fn with_pending_max(pending_max: u16) -> Self {
        let pending = vec![0; COUNTERS].into_boxed_slice();
        Self { change: Vec::with_capacity(16), pending, pending_max }
    }

    /// Counts a change; true where it is to be merged at once.
    fn is_due(&mut self, key: &[u8]) -> bool {
        let slot = usize::try_from(xxh3_64(key) % COUNTERS as u64).unwrap_or(0);
        let count = &mut self.pending[slot];
        *count += 1;
        let is_due = *count >= self.pending_max;
        if is_due {
            *count = 0;
        }
        is_due
    }
}

impl PostingWriter for ChunkWriter {
    fn put(
        &mut self,
        db: &DB,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        term: Term<'_>,
        ordinal: Ordinal,
        after: Frequencies,
    ) -> Result<(), EngineError> {
        let (chunk, index) = keys::chunk_of(ordinal);
        let key = keys::posting_chunk(term.kind(), ns, term.text().as_bytes(), chunk);
        self.change.clear();
        value::encode_change(&mut self.change, index, after);
        if self.is_due(&key) {
            let existing = db.get_pinned(&key).map_err(EngineError::read)?;
            batch.put(key, merge::fold(existing.as_deref(), &self.change));
        } else {
            batch.merge(key, &self.change);
        }
        Ok(())
    }
}

/// An iterator that cannot leave the namespace.
fn iterator<'a>(
    snapshot: &'a rocksdb::Snapshot<'a>,
    kind: Kind,
    ns: NamespaceNumber,
) -> DBRawIteratorWithThreadMode<'a, DB> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::of_namespace(kind, ns));
    options.set_iterate_upper_bound(keys::after_namespace(kind, ns));
    snapshot.raw_iterator_opt(options)
}

/// Reads chunks of one namespace.
pub(crate) struct ChunkReader<'a> {
    pub(super) ns: NamespaceNumber,
    pub(super) rows: DBRawIteratorWithThreadMode<'a, DB>,
    /// Opened for the first pair.
    pairs: Option<DBRawIteratorWithThreadMode<'a, DB>>,
    snapshot: &'a rocksdb::Snapshot<'a>,
    key: Vec<u8>,
    read: u64,
    /// Postings, or what costs as much, since the budget was last looked at.
    unchecked: u64,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(snapshot: &'a rocksdb::Snapshot<'a>, ns: NamespaceNumber) -> Self {
        merge::this_thread_reads();
        let rows = iterator(snapshot, Kind::Posting, ns);
        Self { ns, rows, pairs: None, snapshot, key: Vec::new(), read: 0, unchecked: 0 }
    }

    /// Counts a row of a scan with its postings; true where the budget is to be looked at.
    pub(super) fn count_row(&mut self, postings: u64) -> bool {
        self.read += postings;
        self.unchecked += ROW_COST + postings;
        let is_due = self.unchecked >= POSTINGS_PER_BUDGET_CHECK;
        if is_due {
            self.unchecked = 0;
        }
        is_due
    }
}

impl PostingReader for ChunkReader<'_> {
    fn read_term(
        &mut self,
        term: Term<'_>,
        chunk: Chunk,
        out: &mut Column,
    ) -> Result<Found, EngineError> {
        self.key.clear();
        keys::put_postings(&mut self.key, term.kind(), self.ns, term.text().as_bytes());
        let start = self.key.len();
        keys::put_chunk(&mut self.key, chunk);
        let rows = match term {
            Term::Token(_) => &mut self.rows,
            Term::Pair(_) => {
                let (snapshot, ns) = (self.snapshot, self.ns);
                self.pairs.get_or_insert_with(|| iterator(snapshot, Kind::PairPosting, ns))
            }
        };
        rows.seek(&self.key);
        let Some((key, value)) = rows.item() else {
            rows.status().map_err(EngineError::read)?;
            return Ok(Found::End);
        };
        let Some(rest) = key.strip_prefix(&self.key[..start]) else { return Ok(Found::End) };
        let found = keys::decode_chunk(rest).ok_or(Malformed { row: "postings" })?;
        if found != chunk {
            return Ok(Found::From(found));
        }
        value::read_column(value, out)?;
        self.read += out.len() as u64;
        Ok(Found::Here)
    }

    fn read_prefix(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        budget: &mut dyn Budget,
    ) -> Result<(PrefixSums, Scan), EngineError> {
        let start = keys::postings_prefix(self.ns, prefix.as_bytes());
        let mut sums = PrefixSums::new(fields);
        self.rows.seek(&start);
        while let Some((key, value)) = self.rows.item() {
            if !key.starts_with(&start) {
                break;
            }
            let chunk = keys::last_chunk(key).ok_or(Malformed { row: "postings" })?;
            let mut read = 0;
            value::for_each(value, |entry| {
                sums.add(chunk, entry);
                read += 1;
            })?;
            if self.count_row(read) && budget.is_exhausted() {
                return Ok((sums, Scan::Exhausted));
            }
            self.rows.next();
        }
        self.rows.status().map_err(EngineError::read)?;
        Ok((sums, Scan::Complete))
    }

    fn postings_read(&self) -> u64 {
        self.read
    }
}

/// Postings between two looks at the budget: about 20 µs.
const POSTINGS_PER_BUDGET_CHECK: u64 = 4_096;
/// What going to the next row costs, in postings.
const ROW_COST: u64 = 32;
