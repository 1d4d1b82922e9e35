//! How much is under way: what must be nothing when every request has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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

/// Counts one kind of work.
#[derive(Debug, Clone, Default)]
pub(crate) struct WorkCounter {
    count: Arc<AtomicU64>,
}

impl WorkCounter {
    /// One more until the guard is dropped.
    pub(crate) fn begin(&self) -> WorkGuard {
        self.count.fetch_add(1, Ordering::SeqCst);
        WorkGuard { count: Arc::clone(&self.count) }
    }

    pub(crate) fn now(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

/// One piece of work under way.
#[derive(Debug)]
pub(crate) struct WorkGuard {
    count: Arc<AtomicU64>,
}

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}
