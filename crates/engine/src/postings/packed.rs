//! Postings as chunks in RocksDB: written one by one as changes, read as lists.

use nautilus_query::FieldSet;
use rocksdb::{DB, DBPinnableSlice, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};

use super::sums::PrefixSums;
#[cfg(test)]
use super::{Column, Found};
use super::{Cursor, PostingReader, PostingWriter, Scan, Term, merge, value};
use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, NamespaceNumber, Ordinal};
use crate::read::Searcher;
use crate::rows::Malformed;
use crate::rows::posting::Frequencies;
use crate::search::Budget;

/// Writes each posting into the database, as a change of its chunk: for who needs no buffer.
pub(crate) struct ChunkWriter {
    change: Vec<u8>,
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self { change: Vec::with_capacity(16) }
    }
}

impl PostingWriter for ChunkWriter {
    fn put(
        &mut self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        term: Term<'_>,
        ordinal: Ordinal,
        after: Frequencies,
    ) {
        let (chunk, index) = keys::chunk_of(ordinal);
        value::Appender::new(&mut self.change).push(index, after);
        let key = keys::posting_chunk(term.kind(), ns, term.text().as_bytes(), chunk);
        batch.merge(key, &self.change);
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

/// What changed lately of one list.
#[derive(Default)]
struct Recent {
    is_read: bool,
    /// Ascending.
    chunks: Vec<(Chunk, Vec<u8>)>,
}

impl Recent {
    fn changes(&self, chunk: Chunk) -> Option<&[u8]> {
        let at = self.chunks.binary_search_by_key(&chunk, |(at, _)| *at).ok()?;
        self.chunks.get(at).map(|(_, changes)| changes.as_slice())
    }
}

/// Reads chunks of one namespace.
pub(crate) struct ChunkReader<'a> {
    ns: NamespaceNumber,
    snapshot: &'a rocksdb::Snapshot<'a>,
    /// Knows what changed since lists were written.
    searcher: Option<&'a Searcher<'a>>,
    /// The namespace has one chunk: single keys are read, for which no iterator is made.
    gets: bool,
    /// Some posting of the namespace changed lately.
    has_recent: bool,
    /// Of each list that was asked for, where some did.
    recent: Vec<Recent>,
    /// A list's part with what changed.
    laid: Vec<u8>,
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
            searcher: None,
            gets: false,
            has_recent: false,
            recent: Vec::new(),
            laid: Vec::new(),
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
        let gets = ordinals <= keys::ORDINALS_PER_CHUNK;
        let has_recent = searcher.has_recent(ns);
        Self { searcher: Some(searcher), gets, has_recent, ..Self::new(&searcher.snapshot, ns) }
    }

    /// The part that list number `list`, which is this term's, has in `chunk`; chunks must ascend from call to call.
    pub(crate) fn part(
        &mut self,
        list: usize,
        term: Term<'_>,
        chunk: Chunk,
    ) -> Result<Part<'_>, EngineError> {
        let next = if self.has_recent { self.next_recent(list, term, chunk)? } else { None };
        let stored = self.locate(list, term, chunk)?;
        let is_stored = stored == Some(chunk);
        Ok(match (next, stored) {
            (Some(next), _) if next == chunk => {
                if let Some(existing) = self.value(list, term).filter(|_| is_stored) {
                    self.laid = merge::lay(existing, self.changes(list, chunk));
                    Part::Here(&self.laid)
                } else {
                    // Whoever reads passes removals over.
                    Part::Here(self.changes(list, chunk))
                }
            }
            _ if is_stored => self.value(list, term).map_or(Part::End, Part::Here),
            (next, stored) => match next.into_iter().chain(stored).min() {
                Some(later) => Part::From(later),
                None => Part::End,
            },
        })
    }

    /// The first chunk at or after `chunk` in which the term's postings changed lately.
    fn next_recent(
        &mut self,
        list: usize,
        term: Term<'_>,
        chunk: Chunk,
    ) -> Result<Option<Chunk>, EngineError> {
        let Some(searcher) = self.searcher else { return Ok(None) };
        self.recent.resize_with(self.recent.len().max(list + 1), Recent::default);
        let Some(recent) = self.recent.get_mut(list) else { return Ok(None) };
        if !recent.is_read {
            *recent = Recent { is_read: true, chunks: searcher.recent_chunks(self.ns, term)? };
        }
        Ok(recent.chunks.iter().map(|(at, _)| *at).find(|at| *at >= chunk))
    }

    /// What [`Self::next_recent`] found.
    fn changes(&self, list: usize, chunk: Chunk) -> &[u8] {
        self.recent.get(list).and_then(|recent| recent.changes(chunk)).unwrap_or_default()
    }

    /// The first chunk at or after `chunk` that the database has of the term; [`Self::value`] is its value if it is
    /// that chunk.
    fn locate(
        &mut self,
        list: usize,
        term: Term<'_>,
        chunk: Chunk,
    ) -> Result<Option<Chunk>, EngineError> {
        self.key.clear();
        keys::put_postings(&mut self.key, term.kind(), self.ns, term.text().as_bytes());
        let start = self.key.len();
        keys::put_chunk(&mut self.key, chunk);
        if let Some(searcher) = self.searcher.filter(|_| self.gets) {
            self.got = searcher.get_pinned(&self.key)?;
            return Ok(self.got.is_some().then_some(chunk));
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
            let Some(found) = rows.key() else {
                rows.status().map_err(EngineError::read)?;
                return Ok(None);
            };
            let Some(rest) = found.strip_prefix(&key[..start]) else { return Ok(None) };
            let found = keys::decode_chunk(rest).ok_or(Malformed { row: "postings" })?;
            if found >= chunk {
                return Ok(Some(found));
            }
            rows.next();
        }
    }

    /// The value that was located last.
    fn value(&self, list: usize, term: Term<'_>) -> Option<&[u8]> {
        if self.gets {
            return self.got.as_deref();
        }
        let rows = match term {
            _ if list < STEPPED_LISTS_MAX => self.stepped.get(list)?,
            Term::Token(_) => &self.shared[0],
            Term::Pair(_) => &self.shared[1],
        };
        rows.as_ref()?.value()
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

    /// A scan of the tokens that begin with `prefix`, whose keys begin with `start`.
    pub(super) fn scan(&self, prefix: &str, start: &[u8]) -> Result<Cursor<'a>, EngineError> {
        let recent = match self.searcher.filter(|_| self.has_recent) {
            Some(searcher) => searcher.recent_rows(Kind::Posting, self.ns, prefix.as_bytes())?,
            None => Vec::new(),
        };
        Ok(Cursor::new(iterator(self.snapshot, Kind::Posting, self.ns), Some(start), recent))
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
        let mut rows = self.scan(prefix, &start)?;
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
            rows.advance();
        }
        rows.status()?;
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
