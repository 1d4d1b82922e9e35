//! How much work there is: every request from its admission to its end, or to that of its job if that is later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::pulse::Pulse;

/// Requests at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Waiting for an offset or for a thread.
    pub queued: u64,
    /// On a thread.
    pub running: u64,
}

/// Counts; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    counts: Arc<Counts>,
    pulse: Pulse,
}

#[derive(Debug, Default)]
struct Counts {
    queued: AtomicU64,
    running: AtomicU64,
}

/// One request. Moves with it, from its handler into its job; gone with whichever holds it last.
#[derive(Debug)]
pub(crate) struct Admitted {
    workload: Workload,
    is_running: bool,
}

impl Workload {
    pub(crate) fn new(pulse: Pulse) -> Self {
        Self { counts: Arc::default(), pulse }
    }

    pub(crate) fn admit(&self) -> Admitted {
        self.counts.queued.fetch_add(1, Ordering::Relaxed);
        self.pulse.beat();
        Admitted { workload: self.clone(), is_running: false }
    }

    pub(crate) fn now(&self) -> Work {
        Work {
            queued: self.counts.queued.load(Ordering::Relaxed),
            running: self.counts.running.load(Ordering::Relaxed),
        }
    }
}

impl Admitted {
    /// It has a thread now.
    pub(crate) fn run(&mut self) {
        self.is_running = true;
        self.workload.counts.running.fetch_add(1, Ordering::Relaxed);
        self.workload.counts.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let counts = &self.workload.counts;
        let count = if self.is_running { &counts.running } else { &counts.queued };
        count.fetch_sub(1, Ordering::Relaxed);
        self.workload.pulse.beat();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_counted_until_it_is_gone() {
        let workload = Workload::new(Pulse::new());
        let (waiting, mut running) = (workload.admit(), workload.admit());
        running.run();
        assert_eq!(workload.now(), Work { queued: 1, running: 1 });
        drop(running);
        drop(waiting);
        assert_eq!(workload.now(), Work::default());
    }
}
