//! The best matches in the order asked for, from a place in it, reading ids only of what may be returned.
//!
//! ```text
//! all matches ─► rank (score or number) ─► best k, ties at the last place apart ─► ids ─► cursor, change ─► candidates
//!                      ▲                                                               │ too few left
//!                      └──────────────── twice as many, after the last place ──────────┘
//! ```
//!
//! What goes on once the budget has ended is bounded, so that a search that used all its time for reading still
//! returns something: the best of the first matches it found.

use nautilus_query::scoring::Scorer;
use nautilus_types::{DocumentId, NamespaceName};
use rocksdb::DBPinnableSlice;

use super::matches::Matches;
use super::order::Rank;
use super::request::{SearchRequest, SortKey};
use super::select::{MatchIndex, Selected, Selection};
use super::ties::Ties;
use super::{Budget, Candidate};
use crate::error::EngineError;
use crate::keys;
use crate::postings::Scan;
use crate::read::Searcher;
use crate::rows::Malformed;
use crate::rows::document::Header;

/// Frequencies weighed between two looks at the budget, and in any case: half a millisecond.
const FREQUENCIES_PER_BUDGET_CHECK: usize = 131_072;
/// Ids read in any case, about half a millisecond from memory.
const IDS_READ_MIN: usize = 256;
/// Ids read between two looks at the budget.
const IDS_PER_BUDGET_CHECK: usize = 32;

/// A match with its id.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) rank: Rank,
    pub(super) document_id: DocumentId,
    pub(super) index: MatchIndex,
}

/// What decides the order of the matches.
pub(super) struct Ranking<'a> {
    pub(super) searcher: &'a Searcher<'a>,
    pub(super) request: &'a SearchRequest<'a>,
    pub(super) matches: &'a Matches,
    scorer: &'a Scorer,
    cursor_rank: Option<Rank>,
}

impl<'a> Ranking<'a> {
    pub(super) fn new(
        searcher: &'a Searcher<'a>,
        request: &'a SearchRequest<'a>,
        matches: &'a Matches,
        scorer: &'a Scorer,
        cursor_rank: Option<Rank>,
    ) -> Self {
        Self { searcher, request, matches, scorer, cursor_rank }
    }

    /// The best matches after the cursor, at most the limit, best first; `Exhausted` where others may be better.
    pub(super) fn best(
        &self,
        budget: &mut dyn Budget,
    ) -> Result<(Vec<Candidate>, Scan), EngineError> {
        let limit = self.request.limit;
        let (mut hits, mut scan) = (Vec::new(), Scan::Complete);
        let (mut k, mut after) = (limit, None);
        while hits.len() < limit && scan == Scan::Complete {
            let (selected, ranked) = self.select(k, after, budget);
            let last = selected.last;
            let read = self.read(selected, limit, &mut hits, budget)?;
            scan = if ranked == Scan::Exhausted { ranked } else { read };
            // Too many were before the cursor or changed meanwhile: there may be more behind the last place.
            after = last;
            k = k.saturating_mul(2);
            if last.is_none() {
                break;
            }
        }
        Ok((hits.into_iter().map(|hit| self.candidate(hit)).collect(), scan))
    }

    /// The best `k` of those strictly after a rank, or what the budget allows.
    fn select(&self, k: usize, after: Option<Rank>, budget: &mut dyn Budget) -> (Selected, Scan) {
        let mut selection = Selection::new(k);
        let (mut spent, mut scan) = (0, Scan::Complete);
        for index in 0..self.matches.len() {
            let rank = self.rank(index);
            if after.is_none_or(|after| after < rank)
                && self.cursor_rank.is_none_or(|cursor| cursor <= rank)
            {
                selection.offer(rank, index);
            }
            spent += 1 + self.matches.frequencies(index).len();
            if spent >= FREQUENCIES_PER_BUDGET_CHECK {
                spent = 0;
                if budget.is_exhausted() && index + 1 < self.matches.len() {
                    scan = Scan::Exhausted;
                    break;
                }
            }
        }
        (selection.finish(), scan)
    }

    /// Reads the ids of what was selected and appends what is wanted of it, in order, up to the limit.
    fn read(
        &self,
        selected: Selected,
        limit: usize,
        hits: &mut Vec<Hit>,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let first = hits.len();
        let mut scan = Scan::Complete;
        for (count, &(rank, index)) in selected.better.iter().enumerate() {
            if count >= IDS_READ_MIN
                && count.is_multiple_of(IDS_PER_BUDGET_CHECK)
                && budget.is_exhausted()
            {
                scan = Scan::Exhausted;
                break;
            }
            hits.extend(self.hit(rank, index)?);
        }
        hits[first..].sort_unstable_by(|a, b| self.compare(a, b));
        hits.truncate(limit);
        if scan == Scan::Exhausted || hits.len() == limit {
            return Ok(scan);
        }
        if let Some(&tie) = selected.ties.first() {
            let rank = self.rank(tie);
            let mut ties = Ties::new(self, rank, limit - hits.len());
            scan = ties.find(&selected.ties, budget)?;
            hits.append(&mut ties.found);
        }
        Ok(scan)
    }

    /// Where the match stands.
    pub(super) fn rank(&self, index: MatchIndex) -> Rank {
        match self.request.sort.key {
            SortKey::Relevance => Rank::of_score(self.score(index)),
            SortKey::Modified | SortKey::Created | SortKey::Size => {
                Rank::of_value(self.matches.sort_value(index), self.request.sort.is_ascending)
            }
        }
    }

    fn score(&self, index: MatchIndex) -> f64 {
        let frequencies = self.matches.frequencies(index).iter();
        let frequencies = frequencies.map(|of| (of.leaf, of.frequency));
        self.scorer.score(self.matches.length(index), frequencies)
    }

    /// The match with its id, if it is wanted.
    pub(super) fn hit(&self, rank: Rank, index: MatchIndex) -> Result<Option<Hit>, EngineError> {
        let ids = &self.searcher.shared.document_ids;
        let (ns, ordinal) = (self.matches.namespace_of(index).ns, self.matches.ordinal(index));
        if self.request.changed_before.is_none()
            && let Some(document_id) = ids.get(ns, ordinal)
        {
            let hit = Hit { rank, document_id, index };
            return Ok(self.is_after_cursor(&hit).then_some(hit));
        }
        let header = self.header(index)?;
        let (id, changed_at) = Header::decode_id_and_change(&header)?;
        let document_id = DocumentId::new(id).map_err(|_| Malformed { row: "header" })?;
        ids.insert(ns, ordinal, &document_id);
        let hit = Hit { rank, document_id, index };
        Ok((self.is_after_cursor(&hit) && self.is_unchanged(changed_at)).then_some(hit))
    }

    /// Whether the hit is wanted, for one whose id row is of a record at `touched_at`.
    pub(super) fn is_wanted(&self, hit: &Hit, touched_at: u64) -> Result<bool, EngineError> {
        if !self.is_after_cursor(hit) || self.is_unchanged(touched_at) {
            return Ok(self.is_after_cursor(hit));
        }
        // That record may have changed nothing: the header knows the last that did.
        let header = self.header(hit.index)?;
        let (_, changed_at) = Header::decode_id_and_change(&header)?;
        Ok(self.is_unchanged(changed_at))
    }

    fn is_after_cursor(&self, hit: &Hit) -> bool {
        let Some(cursor) = self.request.after else { return true };
        let cursor_place = (&cursor.document_id, &cursor.namespace);
        self.cursor_rank != Some(hit.rank) || cursor_place < (&hit.document_id, self.namespace(hit))
    }

    pub(super) fn is_unchanged(&self, changed_at: u64) -> bool {
        self.request.changed_before.is_none_or(|bound| changed_at < bound.0)
    }

    /// The smallest id that may be wanted among matches of this rank.
    pub(super) fn first_id_at(&self, rank: Rank) -> Option<&DocumentId> {
        let cursor = self.request.after.filter(|_| self.cursor_rank == Some(rank))?;
        Some(&cursor.document_id)
    }

    /// The order of hits.
    pub(super) fn compare(&self, a: &Hit, b: &Hit) -> std::cmp::Ordering {
        let by_rank = a.rank.cmp(&b.rank);
        let by_id = || a.document_id.cmp(&b.document_id);
        by_rank.then_with(by_id).then_with(|| self.namespace(a).cmp(self.namespace(b)))
    }

    fn namespace(&self, hit: &Hit) -> &NamespaceName {
        let of = self.matches.namespace_of(hit.index);
        &self.request.scope[of.scope_index].namespace
    }

    fn header(&self, index: MatchIndex) -> Result<DBPinnableSlice<'_>, EngineError> {
        let ns = self.matches.namespace_of(index).ns;
        let header = self.searcher.get_pinned(&keys::header(ns, self.matches.ordinal(index)))?;
        header.ok_or(EngineError::Missing { row: "header" })
    }

    fn candidate(&self, hit: Hit) -> Candidate {
        let Hit { document_id, index, .. } = hit;
        Candidate {
            scope_index: self.matches.namespace_of(index).scope_index,
            document_id,
            length: self.matches.length(index),
            frequencies: self.matches.all_frequencies(index),
            score: self.score(index),
            sort_value: self.matches.sort_value(index),
        }
    }
}
