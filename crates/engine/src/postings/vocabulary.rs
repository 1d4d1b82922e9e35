//! The words of a namespace, counted from its postings.

use nautilus_query::FieldSet;

use super::{ChunkReader, PostingReader, Scan, Weights, value};
use crate::error::EngineError;
use crate::keys;
use crate::rows::Malformed;
use crate::search::Budget;

/// Reads which words a namespace has, in one snapshot.
pub(crate) trait VocabularyReader: PostingReader {
    /// Calls `each` with every token that starts with `prefix` and how many documents have it in any of the fields,
    /// if any does, in the order of tokens, until it says [`Scan::Exhausted`]. Where the budget ends, the last
    /// token may have too few documents.
    fn read_vocabulary(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        budget: &mut dyn Budget,
        each: &mut dyn FnMut(&str, u64) -> Scan,
    ) -> Result<Scan, EngineError>;
}

impl VocabularyReader for ChunkReader<'_> {
    fn read_vocabulary(
        &mut self,
        prefix: &str,
        fields: FieldSet,
        budget: &mut dyn Budget,
        each: &mut dyn FnMut(&str, u64) -> Scan,
    ) -> Result<Scan, EngineError> {
        let start = keys::postings_prefix(self.ns(), prefix.as_bytes());
        let weights = Weights::of(fields);
        let mut word = Word::default();
        let mut scan = Scan::Complete;
        let mut rows = self.scan(prefix, &start)?;
        while let Some((key, value)) = rows.item() {
            if !key.starts_with(&start) {
                break;
            }
            if !word.is_of(key) {
                if word.report(each)? == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
                word.begin(key);
            }
            let mut read = 0;
            value::for_each(value, |entry| {
                read += 1;
                let weight = weights.of_posting(entry.code, || entry.frequencies());
                word.documents += u64::from(weight > 0);
            })?;
            if self.count_row(read) && budget.is_exhausted() {
                scan = Scan::Exhausted;
                break;
            }
            rows.advance();
        }
        rows.status()?;
        Ok(if word.report(each)? == Scan::Exhausted { Scan::Exhausted } else { scan })
    }
}

/// The token whose chunks are being read.
#[derive(Default)]
struct Word {
    /// The start of its postings' keys; empty before the first.
    start: Vec<u8>,
    /// Documents seen that have it in the fields.
    documents: u64,
}

impl Word {
    fn is_of(&self, key: &[u8]) -> bool {
        !self.start.is_empty() && keys::without_chunk(key) == Some(&self.start)
    }

    fn begin(&mut self, key: &[u8]) {
        self.start.clear();
        self.start.extend_from_slice(keys::without_chunk(key).unwrap_or_default());
        self.documents = 0;
    }

    fn report(&self, each: &mut dyn FnMut(&str, u64) -> Scan) -> Result<Scan, EngineError> {
        if self.documents == 0 {
            return Ok(Scan::Complete);
        }
        let token = keys::token_of(&self.start).ok_or(Malformed { row: "posting" })?;
        let token = String::from_utf8(token).map_err(|_| Malformed { row: "posting" })?;
        Ok(each(&token, self.documents))
    }
}
