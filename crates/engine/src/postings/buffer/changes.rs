//! How the postings of one term changed, by ordinal, those of one ordinal oldest first: as lists on disk have them.
//!
//! Of a frequent word a rewritten document changes a posting somewhere in the middle. To put it there is a search through
//! memory far away and a move of half of the rest, which was two fifths of what a leaf's feed took. So changes that do
//! not belong at the end wait behind the others, not in order, until they are an eighth of all; a reader sorts its copy.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::keys::Ordinal;

/// Changes that stand with their term: as many as a rare word has.
const INLINE: usize = 2;
/// Up to this many each is put where it belongs: a few lines of the cache.
const ORDERED_MIN: usize = 64;
/// With more, one of so many may wait.
const WAITING_PART: usize = 8;

/// What one record made of one posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) ordinal: Ordinal,
    /// Offset of the record, counted from the buffer's first.
    pub(super) since: u32,
    /// The first byte, 0 for a removal; above it the number of its frequencies where that does not say all.
    pub(super) posting: u32,
}

/// The changes of one term.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Those that wait are in the order they came.
    all: SmallVec<[Change; INLINE]>,
    /// How many do.
    waiting: u32,
}

impl Changes {
    /// Adds a change of a record that is not before any other. Returns among how many it is, unless its document has a
    /// higher ordinal than all.
    #[inline]
    pub(super) fn insert(&mut self, change: Change) -> Option<usize> {
        let (among, last) = (self.all.len(), self.all.last().map(|last| last.ordinal));
        if self.waiting == 0 && last.is_none_or(|last| last <= change.ordinal) {
            self.all.push(change);
            return Some(among).filter(|_| last == Some(change.ordinal));
        }
        if among < ORDERED_MIN {
            let at = self.all.partition_point(|other| other.ordinal <= change.ordinal);
            self.all.insert(at, change);
        } else {
            self.all.push(change);
            self.waiting += 1;
            if self.waiting() > among / WAITING_PART {
                self.all.sort_by_key(|change| change.ordinal);
                self.waiting = 0;
            }
        }
        Some(among)
    }

    /// Forgets the changes of records from this one on.
    pub(super) fn forget_from(&mut self, since: u32) {
        let waiting = self.all.iter().rev().take(self.waiting());
        let forgotten = waiting.filter(|change| change.since >= since).count();
        self.waiting -= u32::try_from(forgotten).unwrap_or(self.waiting);
        self.all.retain(|change| change.since < since);
    }

    /// All of them.
    pub(super) fn in_order(&self) -> Cow<'_, [Change]> {
        if self.waiting == 0 {
            return Cow::Borrowed(&self.all);
        }
        let mut all = self.all.to_vec();
        // Stable, and quick for what is in order but for a few at the end.
        all.sort_by_key(|change| change.ordinal);
        Cow::Owned(all)
    }

    fn waiting(&self) -> usize {
        usize::try_from(self.waiting).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever comes in which order, and whatever is forgotten at the end: all are there, by ordinal and age.
        #[test]
        fn they_are_in_order(
            ordinals in proptest::collection::vec(0..300_u32, 0..600),
            kept in 0..600_u32,
        ) {
            let change = |(since, ordinal)| Change { ordinal, since, posting: 1 };
            let mut model: Vec<Change> = (0..).zip(ordinals).map(change).collect();
            let mut changes = Changes::default();
            for (count, change) in model.iter().enumerate() {
                let is_last = model[..count].iter().all(|other| other.ordinal < change.ordinal);
                let among = changes.insert(*change);
                // It may be behind all others and yet wait with them.
                prop_assert!(among == Some(count) || (is_last && among.is_none()));
            }
            model.sort_by_key(|change| change.ordinal);
            prop_assert_eq!(&*changes.in_order(), &model);
            changes.forget_from(kept);
            model.retain(|change| change.since < kept);
            prop_assert_eq!(&*changes.in_order(), &model);
            let next = Change { ordinal: 150, since: kept, posting: 2 };
            changes.insert(next);
            model.push(next);
            model.sort_by_key(|change| change.ordinal);
            prop_assert_eq!(&*changes.in_order(), &model);
        }
    }
}
