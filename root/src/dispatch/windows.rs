//! How long answers took lately, by what was asked of which partition. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use nautilus_types::PartitionId;

use super::Operation;
use crate::hedge::LatencyWindow;

/// The windows of every partition, and of all of them together.
#[derive(Debug, Default)]
pub(super) struct Windows {
    of_partition: BTreeMap<(Operation, PartitionId), LatencyWindow>,
    of_all: BTreeMap<Operation, LatencyWindow>,
}

impl Windows {
    /// An answer took `elapsed`, or was given up after it.
    pub(super) fn add(&mut self, operation: Operation, partition: PartitionId, elapsed: Duration) {
        self.of_partition.entry((operation, partition)).or_default().add(elapsed);
        self.of_all.entry(operation).or_default().add(elapsed);
    }

    /// The time within which 95 of 100 came: of this partition, or of all where it gave too few answers, as after a
    /// start and for partitions seldom asked. None where all gave too few.
    pub(super) fn percentile(
        &self,
        operation: Operation,
        partition: PartitionId,
    ) -> Option<Duration> {
        let own = self.of_partition.get(&(operation, partition));
        let all = || self.of_all.get(&operation).and_then(LatencyWindow::percentile);
        own.and_then(LatencyWindow::percentile).or_else(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_partition_seldom_asked_goes_by_the_others() {
        let mut windows = Windows::default();
        let (often, seldom) = (PartitionId(1), PartitionId(2));
        for _ in 0..31 {
            windows.add(Operation::Search, often, MS);
        }
        assert_eq!(windows.percentile(Operation::Search, often), None);
        windows.add(Operation::Search, seldom, MS * 9);
        let of = |partition| windows.percentile(Operation::Search, partition);
        assert!(of(seldom).is_some_and(|delay| delay < MS * 2), "{:?}", of(seldom));
        assert_eq!(windows.percentile(Operation::Fetch, seldom), None, "another kind says nothing");
    }

    #[test]
    fn a_partition_often_asked_goes_by_itself() {
        let mut windows = Windows::default();
        let (fast, slow) = (PartitionId(1), PartitionId(2));
        for _ in 0..100 {
            windows.add(Operation::Search, fast, MS);
            windows.add(Operation::Search, slow, MS * 40);
        }
        let of = |partition| windows.percentile(Operation::Search, partition).expect("enough");
        assert!(of(fast) < MS * 2 && of(slow) >= MS * 40);
    }
}
