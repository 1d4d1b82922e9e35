//! Places in the order of hits as numbers that compare as the places do; ids break ties elsewhere.

use super::request::{Cursor, Sort, SortKey};

/// Where a hit stands, ids aside: the smaller the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    /// Without a number to sort by: last, whatever the direction.
    is_without: bool,
    key: u64,
}

impl Rank {
    /// The highest score first.
    pub(super) fn of_score(score: f64) -> Self {
        let bits = score.to_bits();
        // Bits of floating point numbers order as the numbers do, once the negative ones are turned round.
        let ascending = if score.is_sign_negative() { !bits } else { bits | SIGN };
        Self { is_without: false, key: !ascending }
    }

    /// The score it was made of.
    pub(super) fn score(self) -> f64 {
        let ascending = !self.key;
        f64::from_bits(if ascending & SIGN == 0 { !ascending } else { ascending & !SIGN })
    }

    /// In the direction of the sort; without a value last.
    pub(super) fn of_value(value: Option<i64>, is_ascending: bool) -> Self {
        let Some(value) = value else { return Self { is_without: true, key: 0 } };
        let ascending = value.cast_unsigned() ^ SIGN;
        Self { is_without: false, key: if is_ascending { ascending } else { !ascending } }
    }

    /// That of a cursor.
    pub(super) fn of_cursor(cursor: &Cursor, sort: Sort) -> Self {
        match sort.key {
            SortKey::Relevance => Self::of_score(cursor.score),
            SortKey::Modified | SortKey::Created | SortKey::Size => {
                Self::of_value(cursor.sort_value, sort.is_ascending)
            }
        }
    }
}

const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn scores_rank_in_their_total_order(a: u64, b: u64) {
            let (a, b) = (f64::from_bits(a), f64::from_bits(b));
            prop_assert_eq!(Rank::of_score(a).cmp(&Rank::of_score(b)), b.total_cmp(&a));
            prop_assert_eq!(Rank::of_score(a).score().to_bits(), a.to_bits());
        }

        #[test]
        fn values_rank_by_direction_and_none_is_last(a: Option<i64>, b: Option<i64>) {
            let ranks = |is_ascending| {
                Rank::of_value(a, is_ascending).cmp(&Rank::of_value(b, is_ascending))
            };
            let without = (a.is_none(), b.is_none());
            let absent = without.0.cmp(&without.1);
            prop_assert_eq!(ranks(true), absent.then(a.cmp(&b)));
            prop_assert_eq!(ranks(false), absent.then(b.cmp(&a)));
        }
    }
}
