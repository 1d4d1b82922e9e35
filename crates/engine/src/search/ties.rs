//! The first by id among matches of one rank, without reading the id of each: there may be as many as documents.
//!
//! A namespace's id rows lie in the order wanted, so a walk over them meets the first few soon where many of its
//! documents tie. Where the walk takes longer than reading the tied documents' ids would, these are read.

use nautilus_types::DocumentId;
use rocksdb::ReadOptions;

use super::Budget;
use super::matches::NamespaceMatches;
use super::order::Rank;
use super::select::MatchIndex;
use super::top::{Hit, Ranking};
use crate::error::EngineError;
use crate::keys::{self, Kind};
use crate::postings::Scan;
use crate::rows::Malformed;
use crate::rows::id::IdRow;

/// Steps of a walk that cost as much as reading one header by itself.
const STEPS_PER_READ: usize = 8;
/// Steps between two looks at the budget.
const STEPS_PER_BUDGET_CHECK: usize = 256;
/// Steps taken in any case, about half a millisecond from memory: the best of few are found without any time left.
const STEPS_MIN: usize = 2_048;

/// Matches of one rank, of which the first `need` by id and namespace are wanted.
pub(super) struct Ties<'a> {
    ranking: &'a Ranking<'a>,
    rank: Rank,
    need: usize,
    /// Ascending by id and namespace.
    pub(super) found: Vec<Hit>,
    /// Steps taken, of all namespaces.
    steps: usize,
    /// The budget is looked at where there are so many.
    next_look: usize,
}

impl<'a> Ties<'a> {
    pub(super) fn new(ranking: &'a Ranking<'a>, rank: Rank, need: usize) -> Self {
        Self { ranking, rank, need, found: Vec::new(), steps: 0, next_look: STEPS_MIN }
    }

    /// Goes through all ties, ascending by number. Where the budget ends first, what was found is there, sorted.
    pub(super) fn find(
        &mut self,
        ties: &[MatchIndex],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let mut scan = Scan::Complete;
        let mut rest = ties;
        while let Some(&first) = rest.first() {
            let of = self.ranking.matches.namespace_of(first);
            let here;
            (here, rest) = rest.split_at(rest.partition_point(|&index| index < of.indices.end));
            scan = self.find_in_namespace(of, here, budget)?;
            self.keep_needed();
            if scan == Scan::Exhausted {
                break;
            }
        }
        Ok(scan)
    }

    fn find_in_namespace(
        &mut self,
        of: &NamespaceMatches,
        ties: &[MatchIndex],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        if ties.len() > self.need {
            let before = self.found.len();
            match self.walk(of, ties.len() * STEPS_PER_READ, budget)? {
                Some(scan) => return Ok(scan),
                None => self.found.truncate(before),
            }
        }
        for &index in ties {
            if self.is_stopped(STEPS_PER_READ, budget) {
                return Ok(Scan::Exhausted);
            }
            self.found.extend(self.ranking.hit(self.rank, index)?);
        }
        Ok(Scan::Complete)
    }

    /// The first ones in the order of id rows; `None` where that took more than `steps_max`.
    fn walk(
        &mut self,
        of: &NamespaceMatches,
        steps_max: usize,
        budget: &mut dyn Budget,
    ) -> Result<Option<Scan>, EngineError> {
        let ranking = self.ranking;
        // What is already there in full bounds what may still come before it.
        let bound = self.need.checked_sub(1).and_then(|last| self.found.get(last));
        let bound = bound.map(|hit| hit.document_id.clone());
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(keys::after_namespace(Kind::Id, of.ns));
        let mut rows = ranking.searcher.snapshot.raw_iterator_opt(options);
        match ranking.first_id_at(self.rank) {
            Some(id) => rows.seek(keys::id(of.ns, id.as_bytes())),
            None => rows.seek(keys::of_namespace(Kind::Id, of.ns)),
        }
        let (mut steps, mut found) = (0, 0);
        while found < self.need
            && let Some((key, value)) = rows.item()
        {
            if steps == steps_max {
                return Ok(None);
            }
            if self.is_stopped(1, budget) {
                return Ok(Some(Scan::Exhausted));
            }
            steps += 1;
            let id = keys::document_id_of(key).unwrap_or_default();
            if bound.as_ref().is_some_and(|bound| bound.as_bytes() < id) {
                break;
            }
            let row = IdRow::decode(value)?;
            if let Some(live) = row.live
                && let Some(index) = ranking.matches.find(of, live.ordinal)
                && ranking.rank(index) == self.rank
            {
                let document_id = DocumentId::new(id).map_err(|_| Malformed { row: "id" })?;
                let hit = Hit { rank: self.rank, document_id, index };
                if !ranking.is_unchanged(row.offset) {
                    // Its header is read, to learn whether that record changed anything.
                    self.steps += STEPS_PER_READ;
                }
                if ranking.is_wanted(&hit, row.offset)? {
                    self.found.push(hit);
                    found += 1;
                }
            }
            rows.next();
        }
        rows.status().map_err(EngineError::read)?;
        Ok(Some(Scan::Complete))
    }

    /// Counts steps; whether to stop before they are taken.
    fn is_stopped(&mut self, steps: usize, budget: &mut dyn Budget) -> bool {
        self.steps += steps;
        if self.steps < self.next_look {
            return false;
        }
        self.next_look = self.steps + STEPS_PER_BUDGET_CHECK;
        budget.is_exhausted()
    }

    fn keep_needed(&mut self) {
        let ranking = self.ranking;
        self.found.sort_unstable_by(|a, b| ranking.compare(a, b));
        self.found.truncate(self.need);
    }
}
