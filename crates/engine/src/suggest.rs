//! Words of a scope's own vocabulary that begin with a prefix, those in most documents first.
//!
//! The vocabulary is the postings themselves, so a word shows exactly as long as a live document of the scope has it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;
use nautilus_query::FieldSet;
use nautilus_types::Offset;

use crate::error::EngineError;
use crate::postings::{ChunkReader, PostingReader, Scan, VocabularyReader};
use crate::read::Searcher;
use crate::search::{Budget, ScopeEntry};

/// What [`Searcher::suggest`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuggestOutcome {
    /// Every record below this offset was looked at, none at or above it.
    pub next_offset: Offset,
    /// At most the limit: those in most documents first, then by bytes.
    pub suggestions: Vec<Suggestion>,
    /// The budget, or the memory for words, ended before everything was looked at.
    pub truncated: bool,
    /// Postings read.
    pub rows_scanned: u64,
}

/// A word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suggestion {
    /// As analysed.
    pub token: String,
    /// Documents of the scope that have it in one of the fields; a lower bound where truncated.
    pub documents: u64,
}

/// Different words counted at most: 16 MiB with usual words.
const TOKENS_MAX: usize = 1 << 18;

impl Searcher<'_> {
    /// The `limit` words beginning with `prefix` that most documents of the scope have in any of the `fields`
    /// (bits as in [`FieldSet`]).
    ///
    /// Scope entries count as in [`Searcher::search`]. [`EngineError::Query`] for no fields or unknown ones.
    pub fn suggest(
        &self,
        scope: &[ScopeEntry],
        prefix: &str,
        fields: u8,
        limit: usize,
        budget: &mut dyn Budget,
    ) -> Result<SuggestOutcome, EngineError> {
        let fields = FieldSet::from_bits(fields)
            .ok_or(EngineError::Query("a suggestion in no field, or in an unknown one"))?;
        let next_offset = self.next_offset()?;
        let (namespaces, mut scan) = self.resolve(scope, budget)?;
        let mut documents: HashMap<Box<str>, u64> = HashMap::new();
        let mut rows_scanned = 0;
        for (_, row) in namespaces {
            if scan == Scan::Exhausted || budget.is_exhausted() {
                scan = Scan::Exhausted;
                break;
            }
            let mut postings = ChunkReader::new(&self.snapshot, row.number);
            scan = postings.read_vocabulary(prefix, fields, budget, &mut |token, count| {
                let is_full = documents.len() >= TOKENS_MAX;
                match documents.get_mut(token) {
                    Some(sum) => *sum += count,
                    None if is_full => return Scan::Exhausted,
                    None => {
                        documents.insert(token.into(), count);
                    }
                }
                Scan::Complete
            })?;
            rows_scanned += postings.postings_read();
        }
        let truncated = scan == Scan::Exhausted;
        let suggestions = best(&documents, limit);
        Ok(SuggestOutcome { next_offset, suggestions, truncated, rows_scanned })
    }
}

/// The `limit` in most documents, equal ones by bytes.
fn best(documents: &HashMap<Box<str>, u64>, limit: usize) -> Vec<Suggestion> {
    // The worst of those kept is at the top.
    let mut kept: BinaryHeap<(Reverse<u64>, &str)> = BinaryHeap::new();
    for (token, &count) in documents {
        let place = (Reverse(count), &**token);
        if kept.len() < limit {
            kept.push(place);
        } else if let Some(mut worst) = kept.peek_mut()
            && place < *worst
        {
            *worst = place;
        }
    }
    kept.into_sorted_vec()
        .into_iter()
        .map(|(Reverse(documents), token)| Suggestion { token: token.to_owned(), documents })
        .collect()
}
