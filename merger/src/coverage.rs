//! Coverage: which part of the scope answered. Pure.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_proto::common::v1::PartitionLabel;
use nautilus_proto::root::v1::PartitionFailure;
use nautilus_proto::search::v1 as search;
use nautilus_types::{Offset, PartitionId};

use crate::MergerError;

/// The root's word for a partition whose time ran out.
const DEADLINE: &str = "DEADLINE";
/// The root's word for a partition whose stored data is damaged wherever it was read.
const PARTITION_CORRUPT: &str = "PARTITION_CORRUPT";
/// The root's word for a partition of which nobody serves the build that was asked for.
const BUILD_NOT_SERVED: &str = "BUILD_NOT_SERVED";
/// For a partition the root says nothing about.
const NO_ANSWER: &str = "NO_ANSWER";

/// Which partitions a request concerns, with the offset each must show at least.
pub type Asked = BTreeMap<PartitionId, Offset>;

/// What became of the partitions asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Coverage {
    /// How many there are.
    pub asked: usize,
    /// Those that answered, and below which offset everything is shown.
    pub served: BTreeMap<PartitionId, Offset>,
    /// Those that did not, and why.
    pub missing: BTreeMap<PartitionId, String>,
}

/// A root's answer that is not one to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CoverageProblem {
    /// An answer without a label.
    #[error("an answer has no label")]
    NoLabel,
    /// A partition that was not asked, or one that both answered and failed, or answered twice.
    #[error("partition {0} was not asked or is counted twice")]
    NotOnce(PartitionId),
    /// An answer that shows less than was asked for.
    #[error("partition {0} shows less than was asked for")]
    TooOld(PartitionId),
}

impl Coverage {
    /// The coverage that answers and failures give of what was asked.
    pub fn of<'a>(
        asked: &Asked,
        labels: impl IntoIterator<Item = Option<&'a PartitionLabel>>,
        failures: &[PartitionFailure],
    ) -> Result<Self, CoverageProblem> {
        let mut coverage = Self { asked: asked.len(), ..Self::default() };
        let mut open: BTreeSet<PartitionId> = asked.keys().copied().collect();
        for label in labels {
            let label = label.ok_or(CoverageProblem::NoLabel)?;
            let (partition, offset) = (PartitionId(label.partition), Offset(label.next_offset));
            if !open.remove(&partition) {
                return Err(CoverageProblem::NotOnce(partition));
            }
            if asked.get(&partition).is_some_and(|min| offset < *min) {
                return Err(CoverageProblem::TooOld(partition));
            }
            coverage.served.insert(partition, offset);
        }
        for failure in failures {
            let partition = PartitionId(failure.partition);
            if !open.remove(&partition) {
                return Err(CoverageProblem::NotOnce(partition));
            }
            coverage.missing.insert(partition, failure.reason.clone());
        }
        coverage.missing.extend(open.into_iter().map(|partition| (partition, NO_ANSWER.into())));
        Ok(coverage)
    }

    /// How many partitions answered.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.served.len()
    }

    /// Whether every partition asked answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether there is something to show to a caller who does or does not take a part.
    #[must_use]
    pub fn is_usable(&self, allow_partial: bool) -> bool {
        self.is_complete() || (allow_partial && !self.served.is_empty())
    }

    /// Whether nothing answered, and only because of the time.
    #[must_use]
    pub fn is_all_late(&self) -> bool {
        self.served.is_empty()
            && !self.missing.is_empty()
            && self.missing.values().all(|reason| reason == DEADLINE)
    }

    /// An answer of a part is an error unless the caller takes a part.
    pub(crate) fn require_usable(&self, allow_partial: bool) -> Result<(), MergerError> {
        if self.is_usable(allow_partial) {
            Ok(())
        } else {
            Err(MergerError::not_covered(self.clone()))
        }
    }

    /// Whether a partition is missing because its data is damaged: asking again brings nothing better.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.missing.values().any(|reason| reason == PARTITION_CORRUPT)
    }

    /// Whether nobody serves the build asked for, of some partition.
    #[must_use]
    pub fn is_without_build(&self) -> bool {
        self.missing.values().any(|reason| reason == BUILD_NOT_SERVED)
    }

    /// A partition that answered failed to give more of the answer.
    pub fn lose(&mut self, partition: PartitionId, reason: &str) {
        self.served.remove(&partition);
        self.missing.insert(partition, reason.to_owned());
    }

    /// `2:DEADLINE,5:LEAF_UNAVAILABLE`, for the details of an error.
    #[must_use]
    pub fn missing_text(&self) -> String {
        let missing =
            self.missing.iter().map(|(partition, reason)| format!("{partition}:{reason}"));
        missing.collect::<Vec<_>>().join(",")
    }

    /// For the client.
    #[must_use]
    pub fn to_proto(&self) -> search::Coverage {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        search::Coverage {
            complete: self.is_complete(),
            partitions_asked: count(self.asked),
            partitions_answered: count(self.answered()),
            missing: self
                .missing
                .iter()
                .map(|(partition, reason)| search::MissingPartition {
                    partition: partition.0,
                    reason: reason.clone(),
                })
                .collect(),
            build: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(partition: u32, next_offset: u64) -> PartitionLabel {
        PartitionLabel { partition, next_offset, ..PartitionLabel::default() }
    }

    fn failure(partition: u32, reason: &str) -> PartitionFailure {
        PartitionFailure { partition, reason: reason.into() }
    }

    fn of(
        labels: &[PartitionLabel],
        failures: &[PartitionFailure],
    ) -> Result<Coverage, CoverageProblem> {
        let asked = [(1, 0), (2, 7)].map(|(p, o)| (PartitionId(p), Offset(o)));
        Coverage::of(&asked.into(), labels.iter().map(Some), failures)
    }

    #[test]
    fn complete_means_each_partition_once() {
        let coverage = of(&[label(2, 7), label(1, 3)], &[]).expect("sound");
        assert!(coverage.is_complete() && coverage.is_usable(false));
        assert_eq!(coverage.to_proto().partitions_answered, 2);
        assert_eq!(
            of(&[label(1, 3), label(1, 3)], &[]),
            Err(CoverageProblem::NotOnce(PartitionId(1)))
        );
        assert_eq!(of(&[label(3, 3)], &[]), Err(CoverageProblem::NotOnce(PartitionId(3))));
        let both = of(&[label(1, 3)], &[failure(1, "X")]);
        assert_eq!(both, Err(CoverageProblem::NotOnce(PartitionId(1))));
        assert_eq!(of(&[label(2, 6)], &[]), Err(CoverageProblem::TooOld(PartitionId(2))));
    }

    #[test]
    fn silence_is_missing() {
        let coverage = of(&[label(1, 3)], &[]).expect("sound");
        assert_eq!(coverage.missing_text(), "2:NO_ANSWER");
        assert!(!coverage.is_usable(false) && coverage.is_usable(true));
    }

    #[test]
    fn late_means_that_nothing_came_for_want_of_time() {
        let all = of(&[], &[failure(1, "DEADLINE"), failure(2, "DEADLINE")]).expect("sound");
        assert!(all.is_all_late() && !all.is_usable(true));
        let one = of(&[label(1, 1)], &[failure(2, "DEADLINE")]).expect("sound");
        assert!(!one.is_all_late());
        let other = of(&[], &[failure(1, "DEADLINE"), failure(2, "LEAF_UNAVAILABLE")]);
        assert!(!other.expect("sound").is_all_late());
        let damaged = of(&[], &[failure(1, "DEADLINE"), failure(2, "PARTITION_CORRUPT")]);
        let damaged = damaged.expect("sound");
        assert!(damaged.is_corrupt() && !damaged.is_all_late());
        assert!(!Coverage::default().is_all_late() && Coverage::default().is_complete());
    }
}
