//! Postings as chunks in RocksDB: written one by one as changes, read as lists.

use nautilus_query::FieldSet;
use rocksdb::{DB, DBPinnableSlice, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};
use xxhash_rust::xxh3::xxh3_64;

use super::sums::PrefixSums;
#[cfg(test)]
use super::{Column, Found};
use super::{PostingReader, PostingWriter, Scan, Term, merge, value};
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::read::Searcher;
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
fn iterator<'a>(snapshot: &'a rocksdb::Snapshot<'a>, kind: Kind, ns: NamespaceNumber) -> Rows<'a> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::of_namespace(kind, ns));
    options.set_iterate_upper_bound(keys::after_namespace(kind, ns));
    snapshot.raw_iterator_opt(options)
}

/// A part of a list, or where its next part is.
pub(crate) enum Part<'v> {
    /// The value of the chunk.
    Here(&'v [u8]),
    /// None before this later chunk.
    From(Chunk),
    /// None at or after the chunk.
    End,
}

type Rows<'a> = DBRawIteratorWithThreadMode<'a, DB>;

/// Lists that have an iterator each and are stepped through; further ones share one, which seeks for each part.
const STEPPED_LISTS_MAX: usize = 8;

/// Reads chunks of one namespace.
pub(crate) struct ChunkReader<'a> {
    ns: NamespaceNumber,
    snapshot: &'a rocksdb::Snapshot<'a>,
    /// Where the namespace has one chunk: reads of single keys, for which no iterator is made.
    gets: Option<&'a Searcher<'a>>,
    /// The value that was got last.
    got: Option<DBPinnableSlice<'a>>,
    /// Of the first few lists, each on its part that was read last.
    stepped: Vec<Option<Rows<'a>>>,
    /// Of all other lists, tokens' and pairs'; opened when needed.
    shared: [Option<Rows<'a>>; 2],
    key: Vec<u8>,
    read: u64,
    /// Postings, or what costs as much, since the budget was last looked at.
    unchecked: u64,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn new(snapshot: &'a rocksdb::Snapshot<'a>, ns: NamespaceNumber) -> Self {
        merge::this_thread_reads();
        Self {
            ns,
            snapshot,
            gets: None,
            got: None,
            stepped: Vec::new(),
            shared: [None, None],
            key: Vec::new(),
            read: 0,
            unchecked: 0,
        }
    }

    /// For a namespace whose ordinals are below `ordinals`.
    pub(crate) fn of(searcher: &'a Searcher<'a>, ns: NamespaceNumber, ordinals: Ordinal) -> Self {
        let gets = (ordinals <= keys::ORDINALS_PER_CHUNK).then_some(searcher);
        Self { gets, ..Self::new(&searcher.snapshot, ns) }
    }

    /// The part that list number `list`, which is this term's, has in `chunk`; chunks must ascend from call to call.
    pub(crate) fn part(
        &mut self,
        list: usize,
        term: Term<'_>,
        chunk: Chunk,
    ) -> Result<Part<'_>, EngineError> {
        self.key.clear();
        keys::put_postings(&mut self.key, term.kind(), self.ns, term.text().as_bytes());
        let start = self.key.len();
        keys::put_chunk(&mut self.key, chunk);
        if let Some(searcher) = self.gets {
            self.got = searcher.get_pinned(&self.key)?;
            return Ok(self.got.as_deref().map_or(Part::End, Part::Here));
        }
        let Self { stepped, shared, snapshot, ns, key, .. } = self;
        let is_stepped = list < STEPPED_LISTS_MAX;
        let place = match term {
            _ if is_stepped => {
                stepped.resize_with(stepped.len().max(list + 1), || None);
                &mut stepped[list]
            }
            Term::Token(_) => &mut shared[0],
            Term::Pair(_) => &mut shared[1],
        };
        let is_placed = is_stepped && place.is_some();
        let rows = place.get_or_insert_with(|| iterator(snapshot, term.kind(), *ns));
        if !is_placed {
            rows.seek(&*key);
        }
        loop {
            // Read again below: a value that is returned would keep the iterator borrowed in every turn.
            let Some(found) = rows.key() else {
                rows.status().map_err(EngineError::read)?;
                return Ok(Part::End);
            };
            let Some(rest) = found.strip_prefix(&key[..start]) else { return Ok(Part::End) };
            let found = keys::decode_chunk(rest).ok_or(Malformed { row: "postings" })?;
            if found > chunk {
                return Ok(Part::From(found));
            }
            if found == chunk {
                break;
            }
            rows.next();
        }
        Ok(rows.value().map_or(Part::End, Part::Here))
    }

    /// Counts postings that were read; true where the budget is to be looked at.
    pub(crate) fn count_read(&mut self, postings: u64) -> bool {
        self.count(postings, postings)
    }

    /// Counts a row of a scan with its postings; true where the budget is to be looked at.
    pub(super) fn count_row(&mut self, postings: u64) -> bool {
        self.count(postings, ROW_COST + postings)
    }

    fn count(&mut self, postings: u64, cost: u64) -> bool {
        self.read += postings;
        self.unchecked += cost;
        let is_due = self.unchecked >= POSTINGS_PER_BUDGET_CHECK;
        if is_due {
            self.unchecked = 0;
        }
        is_due
    }

    /// An iterator for a scan.
    pub(super) fn scan(&self, kind: Kind) -> Rows<'a> {
        iterator(self.snapshot, kind, self.ns)
    }

    pub(super) fn ns(&self) -> NamespaceNumber {
        self.ns
    }
}

impl PostingReader for ChunkReader<'_> {
    #[cfg(test)]
    fn read_term(
        &mut self,
        term: Term<'_>,
        chunk: Chunk,
        out: &mut Column,
    ) -> Result<Found, EngineError> {
        let read = match self.part(STEPPED_LISTS_MAX, term, chunk)? {
            Part::End => return Ok(Found::End),
            Part::From(chunk) => return Ok(Found::From(chunk)),
            Part::Here(value) => {
                value::read_column(value, out)?;
                out.len() as u64
            }
        };
        self.count_read(read);
        Ok(Found::Here)
    }

    fn read_prefix(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        ordinals: Ordinal,
        budget: &mut dyn Budget,
    ) -> Result<(PrefixSums, Scan), EngineError> {
        let start = keys::postings_prefix(self.ns, prefix.as_bytes());
        let mut sums = PrefixSums::new(fields, ordinals);
        let mut rows = self.scan(Kind::Posting);
        rows.seek(&start);
        while let Some((key, value)) = rows.item() {
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
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
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
