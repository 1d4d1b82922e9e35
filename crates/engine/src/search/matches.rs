//! The matches that may be wanted, with what scoring needs, in flat memory.

use std::ops::Range;

use nautilus_query::scoring::decode_length;

use super::Budget;
use super::attributes::AttributeReader;
use super::conjunction::Conjunction;
use super::frequencies::{LeafFrequencies, LeafFrequency};
use super::plan::Plan;
use super::select::MatchIndex;
use super::window::Window;
use crate::keys::{self, Chunk, NamespaceNumber, Ordinal};
use crate::postings::Scan;

/// A document that matches.
#[derive(Debug, Clone, Copy)]
struct Match {
    ordinal: Ordinal,
    length_code: u8,
}

/// The matches of one namespace, ascending by ordinal.
#[derive(Debug, Clone)]
pub(super) struct NamespaceMatches {
    pub(super) scope_index: usize,
    pub(super) ns: NamespaceNumber,
    pub(super) indices: Range<MatchIndex>,
}

/// All matches of a search that may be wanted.
pub(super) struct Matches {
    /// Ascending by number; none without matches.
    namespaces: Vec<NamespaceMatches>,
    matches: Vec<Match>,
    frequencies: LeafFrequencies,
    /// What each match is sorted by; empty where that is its score.
    sort_values: Vec<Option<i64>>,
    leaves: usize,
    is_sorted_by_value: bool,
}

/// Bound of a search's memory for matches: a broad query over millions of documents ends here, truncated.
const MATCHES_BYTES_MAX: usize = 64 << 20;
/// Leaves looked up in a slice between two looks at the budget.
const LEAVES_PER_BUDGET_CHECK: usize = 4;

impl Matches {
    pub(super) fn new(plan: &Plan, is_sorted_by_value: bool) -> Self {
        Self {
            namespaces: Vec::new(),
            matches: Vec::new(),
            frequencies: LeafFrequencies::default(),
            sort_values: Vec::new(),
            leaves: plan.scoring.len(),
            is_sorted_by_value,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.matches.len()
    }

    /// The namespace of a match.
    pub(super) fn namespace_of(&self, index: MatchIndex) -> &NamespaceMatches {
        &self.namespaces[self.namespaces.partition_point(|of| of.indices.end <= index)]
    }

    /// The match of a document of the namespace, if it is one.
    pub(super) fn find(&self, of: &NamespaceMatches, ordinal: Ordinal) -> Option<MatchIndex> {
        let matches = &self.matches[of.indices.clone()];
        let at = matches.binary_search_by_key(&ordinal, |found| found.ordinal).ok()?;
        Some(of.indices.start + at)
    }

    pub(super) fn ordinal(&self, index: MatchIndex) -> Ordinal {
        self.matches[index].ordinal
    }

    pub(super) fn length(&self, index: MatchIndex) -> u32 {
        decode_length(self.matches[index].length_code)
    }

    /// Weighted frequencies of the scoring leaves it has, ascending by leaf.
    pub(super) fn frequencies(&self, index: MatchIndex) -> &[LeafFrequency] {
        self.frequencies.of(index)
    }

    /// Weighted frequency of each scoring leaf.
    pub(super) fn all_frequencies(&self, index: MatchIndex) -> Vec<u32> {
        let mut all = vec![0; self.leaves];
        for LeafFrequency { leaf, frequency } in self.frequencies(index) {
            if let Some(place) = usize::try_from(*leaf).ok().and_then(|leaf| all.get_mut(leaf)) {
                *place = *frequency;
            }
        }
        all
    }

    /// What the match is sorted by, where that is not its score.
    pub(super) fn sort_value(&self, index: MatchIndex) -> Option<i64> {
        self.sort_values.get(index).copied().flatten()
    }

    /// Begins the matches of another namespace.
    pub(super) fn begin_namespace(&mut self, scope_index: usize, ns: NamespaceNumber) {
        if self.namespaces.last().is_some_and(|last| last.indices.is_empty()) {
            self.namespaces.pop();
        }
        let indices = self.len()..self.len();
        self.namespaces.push(NamespaceMatches { scope_index, ns, indices });
    }

    /// Adds the window's matches, whose lengths are those of `codes`, to the last namespace begun; `Exhausted` where
    /// they would take too much time or memory.
    pub(super) fn add(
        &mut self,
        codes: &[u8],
        plan: &Plan,
        window: &Window,
        attributes: &AttributeReader<'_>,
        budget: &mut dyn Budget,
    ) -> Scan {
        let first = self.len();
        let scan = self.add_window(codes, plan, window, attributes, budget);
        self.end(first, scan)
    }

    /// Ends a slice whose matches begin with `first`.
    fn end(&mut self, first: usize, added: Scan) -> Scan {
        self.frequencies.end_slice(self.matches.len() - first);
        let bytes = self.matches.len() * (size_of::<Match>() + size_of::<Option<i64>>())
            + self.frequencies.len() * size_of::<LeafFrequency>();
        let scan = if bytes > MATCHES_BYTES_MAX { Scan::Exhausted } else { added };
        if scan == Scan::Exhausted {
            self.matches.truncate(first);
            self.frequencies.truncate(first);
            self.sort_values.truncate(first);
        }
        if let Some(last) = self.namespaces.last_mut() {
            last.indices.end = self.matches.len();
        }
        scan
    }

    /// Adds those of a conjunction's matches that stand at these places, which ascend, as [`Self::add`] does.
    pub(super) fn add_walked(
        &mut self,
        codes: &[u8],
        conjunction: &Conjunction,
        chunk: Chunk,
        places: impl Iterator<Item = usize>,
    ) -> Scan {
        let first = self.matches.len();
        let leaves = conjunction.leaves();
        for place in places {
            let Some(index) = conjunction.indexes().get(place).copied().map(usize::from) else {
                continue;
            };
            let at = self.matches.len() - first;
            let length_code = codes.get(index).copied().unwrap_or(0);
            self.matches.push(Match { ordinal: keys::ordinal_of(chunk, index), length_code });
            for leaf in 0..leaves {
                let frequency = conjunction.weights(leaf).get(place).copied().unwrap_or(0);
                self.frequencies.push(at, leaf, frequency);
            }
        }
        self.end(first, Scan::Complete)
    }

    fn add_window(
        &mut self,
        codes: &[u8],
        plan: &Plan,
        window: &Window,
        attributes: &AttributeReader<'_>,
        budget: &mut dyn Budget,
    ) -> Scan {
        let first = self.matches.len();
        for index in window.matched_indexes() {
            let ordinal = window.ordinal(index);
            // A code is only written where it is not 0: an empty document has none.
            let length_code = codes.get(index).copied().unwrap_or(0);
            self.matches.push(Match { ordinal, length_code });
            if self.is_sorted_by_value {
                self.sort_values.push(attributes.sort_value(ordinal));
            }
        }
        let (matches, frequencies) = (&self.matches[first..], &mut self.frequencies);
        for (leaf_index, &leaf) in plan.scoring.iter().enumerate() {
            // A leaf has at most a slice's documents, a query a thousand leaves.
            if leaf_index.is_multiple_of(LEAVES_PER_BUDGET_CHECK)
                && leaf_index > 0
                && budget.is_exhausted()
            {
                return Scan::Exhausted;
            }
            let mut at = 0;
            window.for_each_weight(leaf, |index, frequency| {
                let ordinal = window.ordinal(index);
                while matches.get(at).is_some_and(|found| found.ordinal < ordinal) {
                    at += 1;
                }
                frequencies.push(at, leaf_index, frequency);
            });
        }
        Scan::Complete
    }
}
