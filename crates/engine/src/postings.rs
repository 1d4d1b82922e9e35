//! How postings are stored, behind a seam: today one row each.
//!
//! A packed form reads and writes through the same two traits; nothing else knows the layout.

mod vocabulary;

use std::ops::Range;

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions, WriteBatch};

use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::rows::Malformed;
use crate::rows::posting::Frequencies;
use crate::search::Budget;
pub(crate) use vocabulary::VocabularyReader;

/// One document that holds a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) ordinal: Ordinal,
    pub(crate) frequencies: Frequencies,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scan {
    /// Everything asked for was read.
    Complete,
    /// The budget ended first; what was read is not to be used.
    Exhausted,
}

/// Writes changed postings into a batch.
pub(crate) trait PostingWriter {
    /// `after` empty removes the posting.
    fn put(
        &mut self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        token: &str,
        ordinal: Ordinal,
        after: Frequencies,
    );
}

/// Reads postings of one namespace in one snapshot.
pub(crate) trait PostingReader {
    /// Appends the token's postings with ordinals in `window`, ascending.
    fn read_token(
        &mut self,
        token: &str,
        window: Range<Ordinal>,
        budget: &mut dyn Budget,
        out: &mut Vec<Posting>,
    ) -> Result<Scan, EngineError>;

    /// Appends the postings of every token that starts with `prefix`, in no order, a document once for each token.
    fn read_prefix(
        &mut self,
        prefix: &str,
        budget: &mut dyn Budget,
        out: &mut Vec<Posting>,
    ) -> Result<Scan, EngineError>;

    /// Rows read so far.
    fn rows_read(&self) -> u64;
}

/// Rows between two looks at the budget: about 20 µs of scanning.
const ROWS_PER_BUDGET_CHECK: u64 = 256;

/// One row per posting.
pub(crate) struct RowWriter {
    value: Vec<u8>,
}

impl RowWriter {
    pub(crate) fn new() -> Self {
        Self { value: Vec::with_capacity(16) }
    }
}

impl PostingWriter for RowWriter {
    fn put(
        &mut self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        token: &str,
        ordinal: Ordinal,
        after: Frequencies,
    ) {
        let key = keys::posting(ns, token.as_bytes(), ordinal);
        if after.is_empty() {
            batch.delete(key);
        } else {
            self.value.clear();
            after.encode(&mut self.value);
            batch.put(key, &self.value);
        }
    }
}

/// One row per posting, read by one iterator that cannot leave the namespace.
pub(crate) struct RowReader<'a> {
    ns: NamespaceNumber,
    rows: DBRawIteratorWithThreadMode<'a, DB>,
    rows_read: u64,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(snapshot: &'a rocksdb::Snapshot<'a>, ns: NamespaceNumber) -> Self {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(keys::of_namespace(Kind::Posting, ns));
        options.set_iterate_upper_bound(keys::after_namespace(Kind::Posting, ns));
        Self { ns, rows: snapshot.raw_iterator_opt(options), rows_read: 0 }
    }

    /// Counts a row; true where the budget is to be looked at.
    fn count_row(&mut self) -> bool {
        self.rows_read += 1;
        self.rows_read.is_multiple_of(ROWS_PER_BUDGET_CHECK)
    }
}

impl PostingReader for RowReader<'_> {
    fn read_token(
        &mut self,
        token: &str,
        window: Range<Ordinal>,
        budget: &mut dyn Budget,
        out: &mut Vec<Posting>,
    ) -> Result<Scan, EngineError> {
        let start = keys::postings(self.ns, token.as_bytes());
        let mut from = start.clone();
        from.extend_from_slice(&window.start.to_be_bytes());
        self.rows.seek(&from);
        while let Some((key, value)) = self.rows.item() {
            if !key.starts_with(&start) {
                break;
            }
            let ordinal = keys::ordinal_of(key, &start).ok_or(Malformed { row: "posting" })?;
            if ordinal >= window.end {
                break;
            }
            out.push(Posting { ordinal, frequencies: Frequencies::decode(value)? });
            if self.count_row() && budget.is_exhausted() {
                return Ok(Scan::Exhausted);
            }
            self.rows.next();
        }
        self.rows.status().map_err(EngineError::read)?;
        Ok(Scan::Complete)
    }

    fn read_prefix(
        &mut self,
        prefix: &str,
        budget: &mut dyn Budget,
        out: &mut Vec<Posting>,
    ) -> Result<Scan, EngineError> {
        let start = keys::postings_prefix(self.ns, prefix.as_bytes());
        self.rows.seek(&start);
        while let Some((key, value)) = self.rows.item() {
            if !key.starts_with(&start) {
                break;
            }
            let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "posting" })?;
            out.push(Posting { ordinal, frequencies: Frequencies::decode(value)? });
            if self.count_row() && budget.is_exhausted() {
                return Ok(Scan::Exhausted);
            }
            self.rows.next();
        }
        self.rows.status().map_err(EngineError::read)?;
        Ok(Scan::Complete)
    }

    fn rows_read(&self) -> u64 {
        self.rows_read
    }
}
