//! The documents that match, with what scoring needs, in flat memory.

use super::plan::Plan;
use super::window::Window;
use crate::error::EngineError;
use crate::keys::{self, LENGTHS_PER_ROW, NamespaceNumber, Ordinal};
use crate::postings::Scan;
use crate::read::Searcher;

/// A document that matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Match {
    pub(super) scope_index: usize,
    pub(super) ns: NamespaceNumber,
    pub(super) ordinal: Ordinal,
    pub(super) length_code: u8,
}

/// All matches of a search.
pub(super) struct Matches {
    matches: Vec<Match>,
    /// One number per scoring leaf and match.
    frequencies: Vec<u32>,
    leaves: usize,
}

/// Bound of a search's memory for matches: a broad query over millions of documents ends here, truncated.
const MATCHES_BYTES_MAX: usize = 64 << 20;

impl Matches {
    pub(super) fn new(plan: &Plan) -> Self {
        Self { matches: Vec::new(), frequencies: Vec::new(), leaves: plan.scoring.len() }
    }

    pub(super) fn len(&self) -> usize {
        self.matches.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Match, &[u32])> {
        // A query without scoring leaves has no positive part and no matches.
        self.matches.iter().zip(self.frequencies.chunks_exact(self.leaves.max(1)))
    }

    pub(super) fn get(&self, index: usize) -> Option<(&Match, &[u32])> {
        let from = index.checked_mul(self.leaves)?;
        Some((self.matches.get(index)?, self.frequencies.get(from..from + self.leaves)?))
    }

    /// Adds the window's matches; `Exhausted` where they would take too much memory.
    pub(super) fn add(
        &mut self,
        searcher: &Searcher<'_>,
        scope_index: usize,
        ns: NamespaceNumber,
        plan: &Plan,
        window: &Window,
    ) -> Result<Scan, EngineError> {
        let first = self.matches.len();
        let mut lengths = Lengths { searcher, ns, row: None };
        for ordinal in window.matched() {
            let length_code = lengths.code(ordinal)?;
            self.matches.push(Match { scope_index, ns, ordinal, length_code });
        }
        let added = self.matches.len() - first;
        let bytes = self.matches.len() * (size_of::<Match>() + self.leaves * size_of::<u32>());
        if bytes > MATCHES_BYTES_MAX {
            self.matches.truncate(first);
            return Ok(Scan::Exhausted);
        }
        self.frequencies.resize(self.frequencies.len() + added * self.leaves, 0);
        for (leaf_index, &leaf) in plan.scoring.iter().enumerate() {
            let mut at = first;
            for (ordinal, frequency) in window.weighted(plan, leaf) {
                while self.matches.get(at).is_some_and(|found| found.ordinal < ordinal) {
                    at += 1;
                }
                match self.matches.get(at) {
                    Some(found) if found.ordinal == ordinal => {
                        self.frequencies[at * self.leaves + leaf_index] = frequency;
                    }
                    Some(_) => {}
                    None => break,
                }
            }
        }
        Ok(Scan::Complete)
    }
}

/// Length codes by ordinal, one row at a time: matches come in ascending order.
struct Lengths<'a> {
    searcher: &'a Searcher<'a>,
    ns: NamespaceNumber,
    row: Option<(Ordinal, Vec<u8>)>,
}

impl Lengths<'_> {
    fn code(&mut self, ordinal: Ordinal) -> Result<u8, EngineError> {
        let chunk = ordinal / LENGTHS_PER_ROW;
        if self.row.as_ref().is_none_or(|(held, _)| *held != chunk) {
            let row = self.searcher.get(&keys::lengths(self.ns, ordinal))?;
            self.row = Some((chunk, row.unwrap_or_default()));
        }
        let at = usize::try_from(ordinal % LENGTHS_PER_ROW).unwrap_or(0);
        // A code is only written where it is not 0: an empty document has none.
        Ok(self.row.as_ref().and_then(|(_, row)| row.get(at)).copied().unwrap_or(0))
    }
}
