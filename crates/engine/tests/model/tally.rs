//! What a run did, for the test to check that it did enough.

use std::collections::BTreeMap;
use std::fmt;

use nautilus_engine::Outcome;

use super::history::Step;

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: BTreeMap<Step, usize>,
    pub(crate) outcomes: BTreeMap<Outcome, usize>,
    /// Everything else that is counted.
    pub(crate) counts: BTreeMap<Count, usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Count {
    Answers,
    AnswersWithHits,
    Labels,
    /// Filters that left some matches and took some away.
    PartFiltered,
    /// Orders by a number, of more than one candidate.
    Sorted,
    /// Pages after the first.
    Pages,
    /// Of them, those after which a record was applied since the page before.
    PagesAfterChanges,
    /// Pages that left out a document because it had changed.
    PagesWithoutChanged,
    /// Followed to their end.
    Listings,
    /// Listings to their end while records were applied.
    ListingsAfterChanges,
    Suggestions,
    Checkpoints,
    /// Checkpoints that hold a record which was applied after they had begun.
    CheckpointsWithLater,
    Crashes,
}

impl Tally {
    pub(crate) fn count(&mut self, what: Count, is_one: bool) {
        *self.counts.entry(what).or_default() += usize::from(is_one);
    }

    fn of(&self, what: Count) -> usize {
        self.counts.get(&what).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (step, count) in &other.steps {
            *self.steps.entry(*step).or_default() += count;
        }
        for (outcome, count) in &other.outcomes {
            *self.outcomes.entry(*outcome).or_default() += count;
        }
        for (what, count) in &other.counts {
            *self.counts.entry(*what).or_default() += count;
        }
    }

    pub(crate) fn assert_covered(&self) {
        let steps: usize = self.steps.values().sum();
        for (step, _) in Step::WEIGHTED {
            let count = self.steps.get(&step).copied().unwrap_or(0);
            assert!(count * 20 >= steps / Step::WEIGHTED.len(), "{step:?} occurred {count} times");
        }
        let answers = self.of(Count::Answers);
        for (what, at_least) in [
            (Count::AnswersWithHits, answers / 5),
            (Count::Labels, steps / 50),
            (Count::PartFiltered, answers / 50),
            (Count::Sorted, answers / 30),
            (Count::Pages, answers / 20),
            (Count::PagesAfterChanges, answers / 50),
            (Count::PagesWithoutChanged, answers / 200),
            (Count::Listings, answers / 100),
            (Count::ListingsAfterChanges, answers / 200),
            (Count::Suggestions, answers / 5),
            (Count::Checkpoints, steps / 500),
        ] {
            assert!(self.of(what) >= at_least, "too few of {what:?}: {self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let steps: usize = self.steps.values().sum();
        writeln!(f, "{steps} steps {:?}", self.steps)?;
        writeln!(f, "outcomes {:?}", self.outcomes)?;
        write!(f, "{:?}", self.counts)
    }
}
