//! Weighted frequencies of the scoring leaves by match; only those above 0, since of a thousand words a document
//! holds few.

use super::select::MatchIndex;

/// One leaf in one match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LeafFrequency {
    /// Number of the scoring leaf.
    pub(super) leaf: u32,
    /// Above 0.
    pub(super) frequency: u32,
}

/// The frequencies of all matches, filled slice by slice, within a slice leaf by leaf.
#[derive(Default)]
pub(super) struct LeafFrequencies {
    /// By match, then by leaf.
    entries: Vec<LeafFrequency>,
    /// Where each match's entries end, and the next one's begin.
    ends: Vec<u32>,
    /// Of the slice being filled: number of the match in it, and the entry.
    slice: Vec<(u32, LeafFrequency)>,
}

impl LeafFrequencies {
    /// Those of a match, ascending by leaf.
    pub(super) fn of(&self, index: MatchIndex) -> &[LeafFrequency] {
        let end = |index: usize| self.ends.get(index).map_or(0, |&end| to_usize(end));
        let from = index.checked_sub(1).map_or(0, end);
        self.entries.get(from..end(index)).unwrap_or_default()
    }

    /// How many there are of all matches together.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes one of the slice being filled; leaves must ascend from call to call.
    pub(super) fn push(&mut self, match_of_slice: usize, leaf: usize, frequency: u32) {
        let (Ok(at), Ok(leaf)) = (u32::try_from(match_of_slice), u32::try_from(leaf)) else {
            return;
        };
        if frequency > 0 {
            self.slice.push((at, LeafFrequency { leaf, frequency }));
        }
    }

    /// Ends a slice of so many matches: lays what was noted of it in their order.
    pub(super) fn end_slice(&mut self, matches: usize) {
        let first = self.ends.len();
        self.ends.resize(first + matches, 0);
        let ends = &mut self.ends[first..];
        for &(at, _) in &self.slice {
            ends[to_usize(at)] += 1;
        }
        // Bounded by the memory of a search, far below 2^32.
        let mut next = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        for end in ends.iter_mut() {
            next = next.saturating_add(std::mem::replace(end, next));
        }
        self.entries.resize(to_usize(next), LeafFrequency::default());
        for (at, entry) in self.slice.drain(..) {
            let place = &mut ends[to_usize(at)];
            self.entries[to_usize(*place)] = entry;
            *place += 1;
        }
    }

    /// Forgets the matches from `matches` on, and what was noted of the slice being filled.
    pub(super) fn truncate(&mut self, matches: usize) {
        self.slice.clear();
        self.ends.truncate(matches);
        self.entries.truncate(self.ends.last().map_or(0, |&end| to_usize(end)));
    }
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_what_was_noted_by_match(
            slices in prop::collection::vec(
                (1..20_usize).prop_flat_map(|matches| {
                    prop::collection::vec(prop::collection::vec(0..3_u32, matches), 1..5)
                }),
                0..5,
            ),
            cut in 0..100_usize,
        ) {
            let mut frequencies = LeafFrequencies::default();
            let mut expected: Vec<Vec<LeafFrequency>> = Vec::new();
            for slice in &slices {
                let matches = slice[0].len();
                expected.extend(vec![Vec::new(); matches]);
                let first = expected.len() - matches;
                for (leaf, of_matches) in slice.iter().enumerate() {
                    for (at, &frequency) in of_matches.iter().enumerate() {
                        frequencies.push(at, leaf, frequency);
                        if let (true, Ok(leaf)) = (frequency > 0, u32::try_from(leaf)) {
                            expected[first + at].push(LeafFrequency { leaf, frequency });
                        }
                    }
                }
                frequencies.end_slice(matches);
            }
            let all: Vec<_> = (0..expected.len()).map(|index| frequencies.of(index).to_vec()).collect();
            prop_assert_eq!(&all, &expected);
            frequencies.push(0, 0, 1);
            frequencies.truncate(cut);
            expected.truncate(cut);
            prop_assert_eq!(frequencies.len(), expected.iter().map(Vec::len).sum::<usize>());
            frequencies.end_slice(1);
            prop_assert_eq!(frequencies.of(expected.len()), &[]);
        }
    }
}
