//! The plain layout, one row for each posting: what the packed one must equal.

use nautilus_query::FieldSet;
use rocksdb::{DB, DBRawIteratorWithThreadMode, WriteBatch};

use super::column::Column;
use super::sums::PrefixSums;
use super::value::Entry;
use super::{Found, PostingReader, PostingWriter, Scan, Term};
use crate::error::EngineError;
use crate::keys::{self, Chunk, NamespaceNumber, Ordinal};
use crate::rows::Malformed;
use crate::rows::posting::Frequencies;
use crate::search::Budget;

fn key(ns: NamespaceNumber, term: Term<'_>, ordinal: Ordinal) -> Vec<u8> {
    let mut key = Vec::new();
    keys::put_postings(&mut key, term.kind(), ns, term.text().as_bytes());
    key.extend_from_slice(&ordinal.to_be_bytes());
    key
}

/// Puts or deletes a row.
pub(crate) struct RowWriter;

impl PostingWriter for RowWriter {
    fn put(
        &mut self,
        batch: &mut WriteBatch,
        ns: NamespaceNumber,
        term: Term<'_>,
        ordinal: Ordinal,
        after: Frequencies,
    ) {
        if after.is_empty() {
            batch.delete(key(ns, term, ordinal));
        } else {
            let mut value = Vec::new();
            after.encode(&mut value);
            batch.put(key(ns, term, ordinal), value);
        }
    }
}

/// Scans rows.
pub(crate) struct RowReader<'a> {
    pub(crate) ns: NamespaceNumber,
    pub(crate) rows: DBRawIteratorWithThreadMode<'a, DB>,
    pub(crate) read: u64,
}

impl PostingReader for RowReader<'_> {
    fn read_term(
        &mut self,
        term: Term<'_>,
        chunk: Chunk,
        out: &mut Column,
    ) -> Result<Found, EngineError> {
        let mut start = Vec::new();
        keys::put_postings(&mut start, term.kind(), self.ns, term.text().as_bytes());
        self.rows.seek(key(self.ns, term, keys::first_ordinal(chunk)));
        let mut found = Found::End;
        while let Some((key, value)) = self.rows.item().filter(|(key, _)| key.starts_with(&start)) {
            let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "posting" })?;
            let (at, index) = keys::chunk_of(ordinal);
            if at != chunk {
                break;
            }
            if found == Found::End {
                out.clear();
            }
            found = Found::Here;
            out.push_frequencies(index, Frequencies::decode(value)?);
            self.read += 1;
            self.rows.next();
        }
        match self.rows.item().filter(|(key, _)| key.starts_with(&start)) {
            Some((key, _)) if found == Found::End => {
                let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "posting" })?;
                return Ok(Found::From(keys::chunk_of(ordinal).0));
            }
            Some(_) | None => out.seal(),
        }
        Ok(found)
    }

    fn read_prefix(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        ordinals: Ordinal,
        _: &mut dyn Budget,
    ) -> Result<(PrefixSums, Scan), EngineError> {
        let start = keys::postings_prefix(self.ns, prefix.as_bytes());
        let mut sums = PrefixSums::new(fields, ordinals);
        self.rows.seek(&start);
        while let Some((key, value)) = self.rows.item().filter(|(key, _)| key.starts_with(&start)) {
            let ordinal = keys::last_ordinal(key).ok_or(Malformed { row: "posting" })?;
            let (chunk, index) = keys::chunk_of(ordinal);
            let (&code, rest) = value.split_first().ok_or(Malformed { row: "posting" })?;
            sums.add(chunk, &Entry { index, code, rest });
            self.read += 1;
            self.rows.next();
        }
        Ok((sums, Scan::Complete))
    }

    fn postings_read(&self) -> u64 {
        self.read
    }
}
