//! Searching one snapshot: from a query tree to ranked candidates with the features ranking needs.
//!
//! ```text
//! for each namespace of the scope
//!   prefixes: their whole range once
//!   for each chunk of ordinals: its lists ─► bit sets ─► the tree over bit sets
//!     for each slice of it: filter ─► phrases of the survivors ─► matches with frequencies
//! statistics of the whole scope ─► BM25, or the number sorted by ─► top-k, ties by document id
//! ```
//!
//! The lists of a chunk are read whole or not at all, and phrases are checked document by document, so a
//! search that runs out of time still returns only true matches, with `truncated` said.

mod attributes;
mod frequencies;
mod matches;
mod order;
mod phrase;
mod plan;
mod request;
mod select;
mod ties;
mod top;
mod window;

use std::collections::HashSet;

use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::error::EngineError;
use crate::keys;
use crate::postings::{ChunkReader, PostingReader, Scan};
use crate::read::Searcher;
use crate::rows::namespace::NamespaceRow;
use attributes::AttributeReader;
use matches::{Lengths, Matches};
use phrase::PhraseChecker;
use plan::Plan;
use top::Ranking;
use window::Window;

pub use request::{Cursor, Filter, NumberRange, SearchRequest, Sort, SortKey};

/// One namespace of a scope: a name and the life of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScopeEntry {
    /// Its name.
    pub namespace: NamespaceName,
    /// An entry of another incarnation than the current one finds nothing.
    pub incarnation: Incarnation,
}

/// How long a search may go on; asked about every 20 µs of work.
pub trait Budget {
    /// Whether to stop now. Once true, it stays true.
    fn is_exhausted(&mut self) -> bool;
}

impl<F: FnMut() -> bool> Budget for F {
    fn is_exhausted(&mut self) -> bool {
        self()
    }
}

/// A budget that never ends.
pub struct Unlimited;

impl Budget for Unlimited {
    fn is_exhausted(&mut self) -> bool {
        false
    }
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOutcome {
    /// Every record below this offset was searched, none at or above it.
    pub next_offset: Offset,
    /// At most the limit, in the order asked for. Where truncated, the best of what was looked at in time.
    pub candidates: Vec<Candidate>,
    /// Of the scope in this partition, whatever the request was scored with.
    pub statistics: ScopeStatistics,
    /// Documents that match query and filter; a lower bound where truncated.
    pub total_hits: u64,
    /// The budget ended before everything was searched.
    pub truncated: bool,
    /// Postings read.
    pub rows_scanned: u64,
}

/// A matching document.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Index into the scope.
    pub scope_index: usize,
    /// Its id.
    pub document_id: DocumentId,
    /// Its length, rounded down to what the length code holds.
    pub length: u32,
    /// Weighted frequency of each scoring leaf, left to right; 0 = not there.
    pub frequencies: Vec<u32>,
    /// BM25 with the statistics of the request, or else of this scope.
    pub score: f64,
    /// The number it is sorted by, if it has one; `None` by relevance.
    pub sort_value: Option<i64>,
}

/// What scoring needs to know of the scope, as far as it lies in this partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeStatistics {
    /// Live documents.
    pub documents: u64,
    /// Tokens of all fields of all documents.
    pub total_length: u64,
    /// Documents with each scoring leaf, left to right. A phrase counts as its rarest token, by namespace.
    pub document_frequencies: Vec<u64>,
}

/// Ordinals that are filtered, checked and weighed together. What a search that runs out of time loses.
const SLICE_MAX: usize = 4_096;
/// However many leaves score.
const SLICE_MIN: usize = 256;
/// Weights of a slice: 1 MiB, however many leaves score. Memory that is touched first costs half a millisecond a MiB.
const SLICE_WEIGHTS_MAX: usize = 1 << 18;
/// Namespaces resolved between two looks at the budget.
const NAMESPACES_PER_BUDGET_CHECK: usize = 64;

impl Searcher<'_> {
    /// Searches this snapshot.
    ///
    /// An ended budget is no error: the outcome says `truncated` and holds what was found in time.
    /// [`EngineError::Query`] for a tree that is not well formed, [`EngineError::StatisticsOfOtherQuery`] for statistics
    /// with another number of scoring leaves.
    pub fn search(
        &self,
        request: &SearchRequest<'_>,
        budget: &mut dyn Budget,
    ) -> Result<SearchOutcome, EngineError> {
        let plan = Plan::new(request.query)?;
        if let Some(given) = request.statistics {
            let (expected, found) = (plan.scoring.len(), given.document_frequencies.len());
            if expected != found {
                return Err(EngineError::StatisticsOfOtherQuery { expected, found });
            }
        }
        let next_offset = self.next_offset()?;
        let (namespaces, resolved) = self.resolve(request.scope, budget)?;
        let mut search = Search {
            searcher: self,
            request,
            matches: Matches::new(&plan, request.sort.key != SortKey::Relevance),
            document_frequencies: vec![0; plan.scoring.len()],
            window: Window::new(&plan),
            plan,
            rows_scanned: 0,
        };
        let mut truncated = resolved == Scan::Exhausted;
        for (scope_index, row) in &namespaces {
            if truncated {
                break;
            }
            truncated = search.namespace(*scope_index, row, budget)? == Scan::Exhausted;
        }

        let Search { matches, document_frequencies, rows_scanned, .. } = search;
        let statistics = ScopeStatistics {
            documents: namespaces.iter().map(|(_, row)| row.documents).sum(),
            total_length: namespaces.iter().map(|(_, row)| row.total_length).sum(),
            document_frequencies,
        };
        let weighed_against = request.statistics.unwrap_or(&statistics);
        let ranking = Ranking::new(self, request, &matches, weighed_against);
        let (candidates, ranked) = ranking.best(budget)?;
        Ok(SearchOutcome {
            next_offset,
            candidates,
            total_hits: matches.len() as u64,
            statistics,
            truncated: truncated || ranked == Scan::Exhausted,
            rows_scanned,
        })
    }

    /// The namespaces of the scope that exist here, once each, with their place in it.
    pub(crate) fn resolve(
        &self,
        scope: &[ScopeEntry],
        budget: &mut dyn Budget,
    ) -> Result<(Vec<(usize, NamespaceRow)>, Scan), EngineError> {
        let mut seen = HashSet::new();
        let mut rows = Vec::new();
        for (scope_index, entry) in scope.iter().enumerate() {
            if scope_index > 0
                && scope_index.is_multiple_of(NAMESPACES_PER_BUDGET_CHECK)
                && budget.is_exhausted()
            {
                return Ok((rows, Scan::Exhausted));
            }
            if seen.insert(entry)
                && let Some(row) = self.namespace(entry)?
            {
                rows.push((scope_index, row));
            }
        }
        Ok((rows, Scan::Complete))
    }
}

/// A search under way.
struct Search<'a> {
    searcher: &'a Searcher<'a>,
    request: &'a SearchRequest<'a>,
    plan: Plan,
    /// One for all namespaces: for a thousand lists its memory is some megabytes.
    window: Window,
    matches: Matches,
    /// Of the scoring leaves, in the namespaces searched so far.
    document_frequencies: Vec<u64>,
    rows_scanned: u64,
}

impl Search<'_> {
    fn namespace(
        &mut self,
        scope_index: usize,
        row: &NamespaceRow,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        if budget.is_exhausted() {
            return Ok(Scan::Exhausted);
        }
        if row.documents == 0 {
            return Ok(Scan::Complete);
        }
        let mut postings = ChunkReader::new(&self.searcher.snapshot, row.number);
        let mut frequencies = vec![0_u64; self.plan.lists.len()];
        self.matches.begin_namespace(scope_index, row.number);
        let scan = self.windows(row, &mut postings, &mut frequencies, budget)?;
        self.rows_scanned += postings.postings_read();
        self.plan.add_document_frequencies(&frequencies, &mut self.document_frequencies);
        Ok(scan)
    }

    fn windows(
        &mut self,
        row: &NamespaceRow,
        postings: &mut dyn PostingReader,
        frequencies: &mut [u64],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let Self { searcher, request, plan, window, matches, .. } = self;
        window.begin_namespace();
        if window.read_prefixes(plan, postings, budget)? == Scan::Exhausted {
            return Ok(Scan::Exhausted);
        }
        let mut attributes =
            AttributeReader::new(searcher, row.number, request.filter, request.sort.key);
        let mut lengths = Lengths::new(searcher, row.number);
        let mut phrases = PhraseChecker::new(searcher, row.number, plan);
        let slice = slice_len(plan.scoring.len());
        for chunk in 0..=keys::chunk_of(row.next_ordinal.saturating_sub(1)).0 {
            if budget.is_exhausted()
                || window.read(plan, chunk, postings, budget)? == Scan::Exhausted
            {
                return Ok(Scan::Exhausted);
            }
            window.count_documents(frequencies);
            while window.next_slice(slice) {
                if attributes.filter(window, budget)? == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
                let verified = window.verify_phrases(&mut phrases, plan, budget)?;
                let added = matches.add(&mut lengths, plan, window, &attributes, budget)?;
                if verified == Scan::Exhausted || added == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
            }
        }
        Ok(Scan::Complete)
    }
}

/// Ordinals of a slice where so many leaves score.
fn slice_len(leaves: usize) -> usize {
    (SLICE_WEIGHTS_MAX / leaves.max(1)).clamp(SLICE_MIN, SLICE_MAX).next_power_of_two()
}
