//! Searching one snapshot: from a query tree to ranked candidates with the features ranking needs.
//!
//! ```text
//! for each namespace of the scope
//!   prefixes: their whole range once
//!   for each chunk of ordinals: its lists, held as they are stored, and counted
//! statistics of the whole scope ─► what each leaf is worth
//! for each chunk, of one word or of words that must all be there: the shortest list ─► probed in the others ─► BM25
//!   of other queries: its lists ─► bit sets ─► the tree over bit sets
//!   for each slice of it: filter ─► phrases of the survivors ─► count ─► BM25, or the number sorted by
//!     ─► what may be among the wanted ones, with frequencies
//! ─► top-k, ties by document id
//! ```
//!
//! The lists of a chunk are read whole or not at all, and phrases are checked document by document, so a
//! search that runs out of time still returns only true matches, with `truncated` said. All matches are counted; only
//! those are kept that are not worse than as many others as are wanted.

mod attributes;
mod best;
mod conjunction;
mod frequencies;
mod held;
mod lengths;
mod matches;
mod order;
mod phrase;
mod plan;
mod request;
mod select;
mod ties;
mod top;
mod weigh;
mod window;

use std::collections::HashSet;

use nautilus_query::scoring::{Collection, Scorer};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset};

use crate::error::EngineError;
use crate::keys::{self, NamespaceNumber};
use crate::postings::{CHUNK_BITS, ChunkReader, PostingReader, Scan};
use crate::read::Searcher;
use crate::rows::namespace::NamespaceRow;
use attributes::AttributeReader;
use best::Best;
use conjunction::{Conjunction, Loaded};
use held::Held;
use lengths::Lengths;
use matches::Matches;
use order::Rank;
use phrase::PhraseChecker;
use plan::Plan;
use top::Ranking;
use weigh::Weigher;
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
/// With so few leaves, and no texts to be read, a whole chunk is weighed in a quarter of a millisecond.
const LEAVES_OF_WHOLE_CHUNKS_MAX: usize = 4;
/// Namespaces resolved between two looks at the budget.
const NAMESPACES_PER_BUDGET_CHECK: usize = 64;
/// Postings weighed in any case, half a millisecond: a search that used all its time for reading still returns something.
const POSTINGS_WEIGHED_MIN: usize = 131_072;

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
        let query = request.query.normalized(&self.shared.analyzer);
        let plan = Plan::new(&query)?;
        if let Some(given) = request.statistics {
            let (expected, found) = (plan.scoring.len(), given.document_frequencies.len());
            if expected != found {
                return Err(EngineError::StatisticsOfOtherQuery { expected, found });
            }
        }
        let next_offset = self.next_offset()?;
        let (namespaces, resolved) = self.resolve(request.scope, budget)?;
        let mut reading = Reading {
            searcher: self,
            window: Window::new(&plan),
            held: Held::default(),
            document_frequencies: vec![0; plan.scoring.len()],
            plan: &plan,
            rows_scanned: 0,
        };
        let mut read = resolved;
        for (number, (_, row)) in namespaces.iter().enumerate() {
            if read == Scan::Exhausted {
                break;
            }
            read = reading.namespace(number, row, budget)?;
        }
        let Reading { window, held, document_frequencies, rows_scanned, .. } = reading;

        let statistics = ScopeStatistics {
            documents: namespaces.iter().map(|(_, row)| row.documents).sum(),
            total_length: namespaces.iter().map(|(_, row)| row.total_length).sum(),
            document_frequencies,
        };
        let scorer = scorer(request.statistics.unwrap_or(&statistics));
        let cursor_rank = request.after.map(|cursor| Rank::of_cursor(cursor, request.sort));
        // Where documents are left out for having changed, any match may come to be wanted.
        let best = Best::new(request.limit, cursor_rank);
        let weigher = Weigher::new(&scorer, request.sort, best);
        let weigher = request.changed_before.is_none().then_some(weigher);
        let is_by_words = request.filter.is_open() && request.sort.key == SortKey::Relevance;
        let mut weighing = Weighing {
            searcher: self,
            request,
            next_offset,
            plan: &plan,
            window,
            held,
            conjunction: Conjunction::of(&plan).filter(|_| is_by_words && weigher.is_some()),
            weigher,
            matches: Matches::new(&plan, request.sort.key != SortKey::Relevance),
            total_hits: 0,
            spent: 0,
        };
        let weighed = weighing.chunks(&namespaces, budget)?;
        let Weighing { matches, total_hits, .. } = weighing;
        let ranking = Ranking::new(self, request, &matches, &scorer, cursor_rank);
        let (candidates, ranked) = ranking.best(budget)?;
        Ok(SearchOutcome {
            next_offset,
            candidates,
            total_hits,
            statistics,
            truncated: [read, weighed, ranked].contains(&Scan::Exhausted),
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
            if (scope.len() == 1 || seen.insert(entry))
                && let Some(row) = self.namespace(entry)?
            {
                rows.push((scope_index, row));
            }
        }
        Ok((rows, Scan::Complete))
    }
}

fn scorer(statistics: &ScopeStatistics) -> Scorer {
    let ScopeStatistics { documents, total_length, document_frequencies } = statistics;
    let collection = Collection { documents: *documents, total_length: *total_length };
    Scorer::new(collection, document_frequencies)
}

/// The first part of a search: reading and counting.
struct Reading<'a> {
    searcher: &'a Searcher<'a>,
    plan: &'a Plan,
    /// One for all namespaces: for a thousand lists its memory is some megabytes.
    window: Window,
    held: Held,
    /// Of the scoring leaves, in the namespaces read so far.
    document_frequencies: Vec<u64>,
    rows_scanned: u64,
}

impl Reading<'_> {
    fn namespace(
        &mut self,
        number: usize,
        row: &NamespaceRow,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        if budget.is_exhausted() {
            return Ok(Scan::Exhausted);
        }
        if row.documents == 0 {
            return Ok(Scan::Complete);
        }
        let mut postings = ChunkReader::of(self.searcher, row.number, row.next_ordinal);
        let mut frequencies = vec![0_u64; self.plan.lists.len()];
        let scan = self.lists(number, row, &mut postings, &mut frequencies, budget)?;
        self.rows_scanned += postings.postings_read();
        self.plan.add_document_frequencies(&frequencies, &mut self.document_frequencies);
        Ok(scan)
    }

    fn lists(
        &mut self,
        number: usize,
        row: &NamespaceRow,
        postings: &mut ChunkReader<'_>,
        frequencies: &mut [u64],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let Self { plan, window, held, .. } = self;
        let ordinals = row.next_ordinal;
        if window.begin_namespace(plan, ordinals, postings, budget)? == Scan::Exhausted {
            return Ok(Scan::Exhausted);
        }
        for chunk in 0..=keys::chunk_of(ordinals.saturating_sub(1)).0 {
            let place = (number, ordinals, chunk);
            let scan = window.read(plan, place, postings, held, frequencies, budget)?;
            if scan == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
        }
        Ok(Scan::Complete)
    }
}

/// The second part of a search: matching and weighing what was read.
struct Weighing<'a> {
    searcher: &'a Searcher<'a>,
    request: &'a SearchRequest<'a>,
    next_offset: Offset,
    plan: &'a Plan,
    window: Window,
    held: Held,
    /// Of a query that is walked, posting by posting; only with a weigher.
    conjunction: Option<Conjunction>,
    /// None where every match is kept.
    weigher: Option<Weigher<'a>>,
    matches: Matches,
    total_hits: u64,
    /// Postings gone through.
    spent: usize,
}

impl Weighing<'_> {
    fn chunks(
        &mut self,
        namespaces: &[(usize, NamespaceRow)],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let mut number = 0;
        while let Some(first) = self.held.chunk(number) {
            let Some((scope_index, row)) = namespaces.get(first.namespace) else { break };
            self.matches.begin_namespace(*scope_index, row.number);
            let scan = self.namespace(row.number, &mut number, budget)?;
            if scan == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
        }
        Ok(Scan::Complete)
    }

    /// Goes through the chunks of one namespace, from `number` on.
    fn namespace(
        &mut self,
        ns: NamespaceNumber,
        number: &mut usize,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let Self { searcher, request, next_offset, plan, window, held, .. } = self;
        let Self { conjunction, weigher, .. } = self;
        let mut attributes = AttributeReader::new(searcher, ns, request.filter, request.sort.key);
        let mut lengths = Lengths::new(searcher, ns, *next_offset);
        let mut phrases = PhraseChecker::new(searcher, ns, plan);
        let slice = slice_len(plan, weigher.is_some());
        let namespace = held.chunk(*number).map(|chunk| chunk.namespace);
        while let Some(chunk) = held.chunk(*number).filter(|c| Some(c.namespace) == namespace) {
            *number += 1;
            let spent = &mut self.spent;
            let mut spend = |postings| {
                *spent += POSTINGS_PER_LIST + postings;
                let is_over = *spent >= POSTINGS_WEIGHED_MIN && budget.is_exhausted();
                if is_over { Scan::Exhausted } else { Scan::Complete }
            };
            let loaded = match &mut *conjunction {
                Some(conjunction) => conjunction.load(held, chunk, &mut spend)?,
                None => Loaded::TooMany,
            };
            match (loaded, &*conjunction, &mut *weigher) {
                (Loaded::Exhausted, _, _) => return Ok(Scan::Exhausted),
                (Loaded::Walked, Some(conjunction), Some(weigher)) => {
                    let found = conjunction.indexes();
                    let wanted = (found.len(), found.iter().map(|&index| usize::from(index)));
                    let codes = match found {
                        [] => continue,
                        _ => lengths.codes((chunk.chunk, chunk.len), wanted)?,
                    };
                    self.spent += found.len() * plan.scoring.len();
                    self.total_hits += found.len() as u64;
                    let best = weigher.best_of(conjunction, codes);
                    let added = self.matches.add_walked(codes, conjunction, chunk.chunk, best);
                    if added == Scan::Exhausted {
                        return Ok(Scan::Exhausted);
                    }
                    continue;
                }
                (Loaded::Walked | Loaded::TooMany, _, _) => {}
            }
            if window.load(plan, held, chunk, &mut spend)? == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
            while window.next_slice(slice) {
                if self.spent >= POSTINGS_WEIGHED_MIN && budget.is_exhausted() {
                    return Ok(Scan::Exhausted);
                }
                if attributes.filter(window, budget)? == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
                let verified = window.verify_phrases(&mut phrases, plan, budget)?;
                let matches = window.matches();
                let wanted = (matches, window.matched_indexes());
                let codes = lengths.codes(window.place(), wanted)?;
                self.spent += matches * plan.scoring.len();
                if let Some(weigher) = weigher {
                    weigher.keep_best(window, plan, codes, &attributes);
                }
                let added = self.matches.add(codes, plan, window, &attributes, budget);
                if added == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
                self.total_hits += matches as u64;
                if verified == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
            }
        }
        Ok(Scan::Complete)
    }
}

/// What a list costs beside its postings, in postings.
const POSTINGS_PER_LIST: usize = 64;

/// Ordinals of a slice.
fn slice_len(plan: &Plan, is_weighed: bool) -> usize {
    let leaves = plan.scoring.len();
    if is_weighed && leaves <= LEAVES_OF_WHOLE_CHUNKS_MAX && plan.phrases.is_empty() {
        return CHUNK_BITS;
    }
    (SLICE_WEIGHTS_MAX / leaves.max(1)).clamp(SLICE_MIN, SLICE_MAX).next_power_of_two()
}
