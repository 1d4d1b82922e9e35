//! Which matches may be among those wanted, told while they come by: what is worse than as many others as are
//! wanted is forgotten at once.

use std::collections::BinaryHeap;

use super::order::Rank;

/// The ranks of the best matches so far.
pub(super) struct Best {
    wanted: usize,
    /// At most as many as are wanted, the worst at the top.
    ranks: BinaryHeap<Rank>,
    /// Where a listing goes on: what is before it is not wanted, ids decide about what is at it.
    cursor: Option<Rank>,
}

impl Best {
    pub(super) fn new(wanted: usize, cursor: Option<Rank>) -> Self {
        Self { wanted, ranks: BinaryHeap::new(), cursor }
    }

    /// Takes a match into account; whether it may be wanted.
    #[inline]
    pub(super) fn offer(&mut self, rank: Rank) -> bool {
        match self.cursor {
            Some(cursor) if rank < cursor => return false,
            Some(cursor) if rank == cursor => return true,
            Some(_) | None => {}
        }
        if self.ranks.len() < self.wanted {
            self.ranks.push(rank);
            return true;
        }
        match self.ranks.peek_mut() {
            Some(mut worst) if rank < *worst => {
                *worst = rank;
                true
            }
            Some(worst) => rank == *worst,
            None => false,
        }
    }

    /// Whether a match that was offered may still be wanted.
    pub(super) fn may_want(&self, rank: Rank) -> bool {
        self.cursor == Some(rank) || self.floor().is_none_or(|worst| rank <= worst)
    }

    /// What is worse than this is not wanted.
    pub(super) fn floor(&self) -> Option<Rank> {
        self.ranks.peek().copied().filter(|_| self.ranks.len() >= self.wanted)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn forgets_only_what_is_worse_than_enough_others(
            values in prop::collection::vec(0..20_i64, 0..100), wanted in 0..12_usize,
            cursor in prop::option::of(0..20_i64),
        ) {
            let rank = |value| Rank::of_value(Some(value), true);
            let mut best = Best::new(wanted, cursor.map(rank));
            let mut kept: Vec<i64> =
                values.iter().copied().filter(|value| best.offer(rank(*value))).collect();
            kept.retain(|value| best.may_want(rank(*value)));
            kept.sort_unstable();
            let mut after: Vec<i64> =
                values.iter().copied().filter(|value| cursor.is_none_or(|c| c < *value)).collect();
            after.sort_unstable();
            let last = wanted.checked_sub(1).and_then(|last| after.get(last)).or(after.last());
            let mut expected = values;
            expected.retain(|value| {
                cursor == Some(*value)
                    || wanted > 0 && cursor.is_none_or(|c| c < *value) && last.is_some_and(|l| value <= l)
            });
            expected.sort_unstable();
            prop_assert_eq!(kept, expected);
        }
    }
}
