//! The best `k` of a stream of ranks in memory that does not grow with the stream, ties with the last place apart.

use super::order::Rank;

/// Number of a match.
pub(super) type MatchIndex = usize;

/// Keeps what may be among the best `k`, for a `k` of at least 1.
///
/// Ties with the last place are all kept, since ids decide among them and ids are not known here.
pub(super) struct Selection {
    k: usize,
    /// Better than the last place, at most `2k` of them.
    better: Vec<(Rank, MatchIndex)>,
    last: Option<Rank>,
    /// At the last place, ascending.
    ties: Vec<MatchIndex>,
    has_dropped: bool,
}

/// What was selected.
pub(super) struct Selected {
    /// Better than the last place, best first.
    pub(super) better: Vec<(Rank, MatchIndex)>,
    /// Everything at the last place, ascending by number; none where all fit in.
    pub(super) ties: Vec<MatchIndex>,
    /// The last place, if anything was worse than it.
    pub(super) last: Option<Rank>,
}

impl Selection {
    pub(super) fn new(k: usize) -> Self {
        let k = k.max(1);
        Self { k, better: Vec::new(), last: None, ties: Vec::new(), has_dropped: false }
    }

    /// Takes a match into account; numbers must ascend from call to call.
    pub(super) fn offer(&mut self, rank: Rank, index: MatchIndex) {
        match self.last {
            Some(last) if rank > last => self.has_dropped = true,
            Some(last) if rank == last => self.ties.push(index),
            Some(_) | None => {
                self.better.push((rank, index));
                if self.better.len() >= self.k.saturating_mul(2) {
                    self.compact();
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Selected {
        if self.better.len() >= self.k {
            self.compact();
        }
        self.better.sort_unstable();
        let last = self.last.filter(|_| self.has_dropped);
        Selected { better: self.better, ties: self.ties, last }
    }

    /// Finds the new last place: there are `k` better than the old one.
    fn compact(&mut self) {
        let (_, &mut (last, _), _) =
            self.better.select_nth_unstable_by_key(self.k - 1, |(rank, _)| *rank);
        self.has_dropped |= !self.ties.is_empty();
        self.ties.clear();
        let (ties, has_dropped) = (&mut self.ties, &mut self.has_dropped);
        self.better.retain(|&(rank, index)| {
            if rank == last {
                ties.push(index);
            }
            *has_dropped |= rank > last;
            rank < last
        });
        self.ties.sort_unstable();
        self.last = Some(last);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_all_up_to_the_last_place(
            values in prop::collection::vec(prop::option::of(0..20_i64), 0..300), k in 1..40_usize,
        ) {
            let rank = |value: Option<i64>| Rank::of_value(value, true);
            let mut selection = Selection::new(k);
            for (index, value) in values.iter().enumerate() {
                selection.offer(rank(*value), index);
            }
            let selected = selection.finish();
            let mut all: Vec<_> = values.iter().map(|value| rank(*value)).zip(0..).collect();
            all.sort();
            let kept = selected.better.len() + selected.ties.len();
            prop_assert_eq!(selected.last.is_some(), kept < all.len());
            prop_assert!(kept >= k.min(all.len()));
            prop_assert!(selected.better.len() < k || selected.ties.is_empty() && kept == all.len());
            prop_assert_eq!(&selected.better[..], &all[..selected.better.len()]);
            let ties: Vec<_> = all[selected.better.len()..kept].iter().map(|(_, index)| *index).collect();
            prop_assert_eq!(&selected.ties, &ties);
            if let Some(last) = selected.last {
                prop_assert!(selected.ties.iter().all(|&index| rank(values[index]) == last));
                prop_assert!(all[kept..].iter().all(|(rank, _)| *rank > last));
            }
        }
    }
}
