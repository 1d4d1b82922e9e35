//! Searching one snapshot: from a query tree to ranked candidates with the features ranking needs.
//!
//! ```text
//! for each namespace of the scope
//!   prefixes: their whole range once
//!   for each window of ordinals
//!     lists ─► bit sets ─► the tree over bit sets ─► phrases of the survivors ─► matches with frequencies
//! statistics of the whole scope ─► BM25 ─► top-k, ties by document id
//! ```
//!
//! A window is searched whole or not at all, so a search that runs out of time still returns only true
//! matches, with `truncated` said.

mod bits;
mod matches;
mod phrase;
mod plan;
mod top;
mod window;

use std::collections::HashSet;

use nautilus_query::Node;
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::error::EngineError;
use crate::keys::Ordinal;
use crate::postings::{PostingReader, RowReader, Scan};
use crate::read::Searcher;
use crate::rows::namespace::NamespaceRow;
use matches::Matches;
use plan::Plan;
use window::Window;

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
    /// At most the limit, best first: score descending, document id ascending, namespace ascending.
    pub candidates: Vec<Candidate>,
    /// Of the scope, for scoring.
    pub statistics: ScopeStatistics,
    /// Documents that match; a lower bound where truncated.
    pub total_hits: u64,
    /// The budget ended before everything was searched.
    pub truncated: bool,
    /// Posting rows read.
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
    /// BM25 with the statistics of this scope.
    pub score: f64,
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

/// Ordinals of the first window; each next one is twice as long up to [`WINDOW_MAX`]. A short first window
/// gives a search with little time something to return.
const WINDOW_FIRST: Ordinal = 2_048;
/// Bit sets of 2 KiB, lists of at most 256 KiB.
const WINDOW_MAX: Ordinal = 16_384;
/// With phrases, whose check takes tens of microseconds a document: what a window that runs out of time loses.
const WINDOW_MAX_WITH_PHRASES: Ordinal = WINDOW_FIRST;

impl Searcher<'_> {
    /// The best `limit` documents of `scope` that match `query`.
    ///
    /// The scope's entries are searched in the order given; one that does not exist here, or not in this
    /// incarnation, contributes nothing, and one that is there twice counts once. `query` must be well formed (`nautilus_query::validate`).
    pub fn search(
        &self,
        scope: &[ScopeEntry],
        query: &Node,
        limit: usize,
        budget: &mut dyn Budget,
    ) -> Result<SearchOutcome, EngineError> {
        let next_offset = self.next_offset()?;
        let plan = Plan::new(query)?;
        let mut matches = Matches::new(&plan);
        let mut statistics = ScopeStatistics {
            document_frequencies: vec![0; plan.scoring.len()],
            ..ScopeStatistics::default()
        };
        let mut truncated = false;
        let mut rows_scanned = 0;
        let mut seen = HashSet::new();

        for (scope_index, entry) in scope.iter().enumerate() {
            if !seen.insert(entry) {
                continue;
            }
            let Some(row) = self.namespace(entry)? else { continue };
            statistics.documents += row.documents;
            statistics.total_length += row.total_length;
            if truncated || row.documents == 0 {
                continue;
            }
            let mut postings = RowReader::new(&self.snapshot, row.number);
            let mut frequencies = vec![0_u64; plan.lists.len()];
            let scan = self.search_namespace(
                scope_index,
                &row,
                &plan,
                &mut postings,
                budget,
                &mut matches,
                &mut frequencies,
            )?;
            truncated |= scan == Scan::Exhausted;
            rows_scanned += postings.rows_read();
            plan.add_document_frequencies(&frequencies, &mut statistics.document_frequencies);
        }

        let total_hits = matches.len() as u64;
        let candidates = top::best(self, scope, &statistics, &matches, limit)?;
        Ok(SearchOutcome {
            next_offset,
            candidates,
            statistics,
            total_hits,
            truncated,
            rows_scanned,
        })
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one loop's state, taken apart for its length only"
    )]
    fn search_namespace(
        &self,
        scope_index: usize,
        row: &NamespaceRow,
        plan: &Plan,
        postings: &mut dyn PostingReader,
        budget: &mut dyn Budget,
        matches: &mut Matches,
        frequencies: &mut [u64],
    ) -> Result<Scan, EngineError> {
        let mut window = Window::new(plan);
        if window.read_prefixes(plan, postings, budget)? == Scan::Exhausted {
            return Ok(Scan::Exhausted);
        }
        let size_max = if plan.phrases.is_empty() { WINDOW_MAX } else { WINDOW_MAX_WITH_PHRASES };
        let (mut start, mut size) = (0, WINDOW_FIRST);
        while start < row.next_ordinal {
            let end = start.saturating_add(size).min(row.next_ordinal);
            if budget.is_exhausted()
                || window.read(plan, start..end, postings, budget)? == Scan::Exhausted
                || window.verify_phrases(self, row.number, plan, budget)? == Scan::Exhausted
            {
                return Ok(Scan::Exhausted);
            }
            window.count_documents(frequencies);
            if matches.add(self, scope_index, row.number, plan, &window)? == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
            start = end;
            size = size.saturating_mul(2).min(size_max);
        }
        Ok(Scan::Complete)
    }
}
