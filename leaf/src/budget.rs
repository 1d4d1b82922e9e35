//! The time a search may take, and its end when the caller goes away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use nautilus_engine::Budget;
use nautilus_service::Clock;

/// Ends at a moment, or when its caller has gone.
pub(crate) struct TimeBudget {
    clock: Clock,
    until: Instant,
    is_cancelled: Arc<AtomicBool>,
}

/// Held by the request's future: dropping it, finished or not, ends the budget.
pub(crate) struct CancelOnDrop(Arc<AtomicBool>);

impl TimeBudget {
    pub(crate) fn until(clock: Clock, until: Instant) -> (Self, CancelOnDrop) {
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let guard = CancelOnDrop(Arc::clone(&is_cancelled));
        (Self { clock, until, is_cancelled }, guard)
    }
}

impl Budget for TimeBudget {
    fn is_exhausted(&mut self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed) || self.clock.now() >= self.until
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn ends_with_its_time_or_its_caller() {
        let (clock, hands) = Clock::manual(0);
        let until = clock.now() + Duration::from_millis(5);
        let (mut budget, caller) = TimeBudget::until(clock.clone(), until);
        assert!(!budget.is_exhausted());
        hands.advance(Duration::from_millis(5));
        assert!(budget.is_exhausted());

        let (mut budget, gone) = TimeBudget::until(clock, until + Duration::from_secs(1));
        assert!(!budget.is_exhausted());
        drop(gone);
        assert!(budget.is_exhausted());
        drop(caller);
    }
}
