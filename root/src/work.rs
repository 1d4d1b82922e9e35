//! How much is under way: what must be nothing when every request has ended.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::gauge::Gauge;

/// What is under way at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Requests of callers.
    pub requests: u64,
    /// Requests to leaves on their behalf.
    pub attempts: u64,
}

impl Work {
    /// Nothing is.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

/// Counts one kind of work, and is its metric.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkCounter {
    count: Gauge<i64, AtomicI64>,
}

impl WorkCounter {
    /// One more until the guard is dropped.
    pub(crate) fn begin(&self) -> WorkGuard {
        self.count.inc();
        WorkGuard { count: self.count.clone() }
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.count.get()).unwrap_or(0)
    }

    /// To be registered.
    pub(crate) fn gauge(&self) -> Gauge<i64, AtomicI64> {
        self.count.clone()
    }
}

/// One piece of work under way.
#[derive(Debug)]
pub(crate) struct WorkGuard {
    count: Gauge<i64, AtomicI64>,
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.count.dec();
    }
}
