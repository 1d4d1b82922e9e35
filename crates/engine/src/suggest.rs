//! Words of a scope's own vocabulary that begin with a prefix, those in most documents first.
//!
//! The vocabulary is the postings themselves, so a word shows exactly as long as a live document of the scope has it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};
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

/// Different words counted at most where there are several namespaces: 10 MiB with usual words.
const WORDS_MAX: usize = 1 << 18;

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
        let mut best = Best { limit, kept: BinaryHeap::new() };
        let mut sums = Sums::default();
        let mut rows_scanned = 0;
        for (_, row) in &namespaces {
            if scan == Scan::Exhausted || budget.is_exhausted() {
                scan = Scan::Exhausted;
                break;
            }
            let mut postings = ChunkReader::of(self, row.number, row.next_ordinal);
            scan = postings.read_vocabulary(prefix, fields, budget, &mut |token, documents| {
                // A word comes once from each namespace.
                if namespaces.len() == 1 {
                    best.offer(token, documents);
                    return Scan::Complete;
                }
                sums.add(token, documents)
            })?;
            rows_scanned += postings.postings_read();
        }
        sums.each(|token, documents| best.offer(token, documents));
        let (suggestions, truncated) = (best.into_suggestions(), scan == Scan::Exhausted);
        Ok(SuggestOutcome { next_offset, suggestions, truncated, rows_scanned })
    }
}

/// The words in most documents, equal ones by bytes.
struct Best {
    limit: usize,
    /// The worst of them is at the top.
    kept: BinaryHeap<(Reverse<u64>, Box<str>)>,
}

impl Best {
    fn offer(&mut self, token: &str, documents: u64) {
        if self.kept.len() < self.limit {
            self.kept.push((Reverse(documents), token.into()));
        } else if let Some(mut worst) = self.kept.peek_mut()
            && (Reverse(documents), token) < (worst.0, &worst.1)
        {
            *worst = (Reverse(documents), token.into());
        }
    }

    fn into_suggestions(self) -> Vec<Suggestion> {
        let words = self.kept.into_sorted_vec().into_iter();
        words
            .map(|(Reverse(documents), token)| Suggestion { token: token.into(), documents })
            .collect()
    }
}

/// Documents by word, over several namespaces. All words stand in one text: hundreds of thousands of small
/// allocations would take longer to free than a search may run over its time.
#[derive(Default)]
struct Sums {
    text: String,
    words: Vec<Word>,
    /// Numbers of words, by hash of the word.
    table: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

struct Word {
    token: Range<usize>,
    documents: u64,
}

impl Sums {
    /// `Exhausted` where the word is one too many.
    fn add(&mut self, token: &str, documents: u64) -> Scan {
        let Self { text, words, table, hasher } = self;
        let token_of = |word: &Word| &text[word.token.clone()];
        let hash = hasher.hash_one(token);
        if let Some(&found) = table.find(hash, |&word| token_of(&words[word]) == token) {
            words[found].documents += documents;
            return Scan::Complete;
        }
        if words.len() >= WORDS_MAX {
            return Scan::Exhausted;
        }
        table.insert_unique(hash, words.len(), |&word| hasher.hash_one(token_of(&words[word])));
        let start = text.len();
        text.push_str(token);
        words.push(Word { token: start..text.len(), documents });
        Scan::Complete
    }

    fn each(&self, mut f: impl FnMut(&str, u64)) {
        self.words.iter().for_each(|word| f(&self.text[word.token.clone()], word.documents));
    }
}
