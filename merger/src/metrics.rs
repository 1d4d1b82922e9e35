//! Counters of the merger.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Searches answered.
    pub searches: u64,
    /// Of those, the ones that went on with any word because all found nothing.
    pub relaxed: u64,
    /// Of those, the ones whose time budget ended candidate fetching early.
    pub truncated: u64,
    /// Of those, the ones that showed only a part of their scope.
    pub partial: u64,
    /// Hits that the second access check took off a page. Each is a right that was withdrawn at
    /// that very moment, or a fault in one of the two checks.
    pub acl_dropped_hits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) searches: Counter,
    pub(crate) relaxed: Counter,
    pub(crate) truncated: Counter,
    pub(crate) partial: Counter,
    pub(crate) acl_dropped_hits: Counter,
}

impl Metrics {
    pub(crate) fn counts(&self) -> Counts {
        Counts {
            searches: self.searches.get(),
            relaxed: self.relaxed.get(),
            truncated: self.truncated.get(),
            partial: self.partial.get(),
            acl_dropped_hits: self.acl_dropped_hits.get(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn add_if(&self, counts: bool) {
        self.add(usize::from(counts));
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
