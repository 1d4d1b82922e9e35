//! Where time comes from: the only home of the monotonic and the wall clock.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of monotonic and wall time; cheap to clone, handed to whatever needs `now`.
///
/// The system clock follows tokio's clock inside a runtime whose time is paused, so that tests
/// with paused time need no other arrangement.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    manual: Option<Arc<ManualState>>,
}

#[derive(Debug)]
struct ManualState {
    origin: Instant,
    origin_unix_ms: u64,
    elapsed_ns: AtomicU64,
}

/// The hand that moves a manual clock.
#[derive(Debug, Clone)]
pub struct ManualClock {
    state: Arc<ManualState>,
}

impl Clock {
    /// The real clocks of this machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands at `unix_ms` until its hand moves it.
    #[must_use]
    pub fn manual(unix_ms: u64) -> (Self, ManualClock) {
        let state = Arc::new(ManualState {
            origin: monotonic_now(),
            origin_unix_ms: unix_ms,
            elapsed_ns: AtomicU64::new(0),
        });
        (Self { manual: Some(Arc::clone(&state)) }, ManualClock { state })
    }

    /// Monotonic time: for deadlines, leases and durations.
    #[must_use]
    pub fn now(&self) -> Instant {
        match &self.manual {
            Some(state) => state.origin + state.elapsed(),
            None => monotonic_now(),
        }
    }

    /// Wall time in milliseconds since 1970-01-01 UTC: for stored times and token lifetimes. It
    /// may step; nothing may be ordered or timed by it.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        match &self.manual {
            Some(state) => state.origin_unix_ms.saturating_add(saturating_ms(state.elapsed())),
            None => saturating_ms(wall_unix_time()),
        }
    }

    /// As [`Self::unix_ms`], to the nanosecond: for the times of exported spans.
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        match &self.manual {
            Some(state) => Duration::from_millis(state.origin_unix_ms) + state.elapsed(),
            None => wall_unix_time(),
        }
    }
}

impl ManualState {
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::SeqCst))
    }
}

impl ManualClock {
    /// Moves both times forward. Nothing that sleeps is woken: this clock only answers `now`.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.state.elapsed_ns.fetch_add(ns, Ordering::SeqCst);
    }
}

/// Whole milliseconds of a duration, at most `u64::MAX`.
#[must_use]
pub fn saturating_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// tokio's `Instant` is the std one except where a test has paused time.
fn monotonic_now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[allow(clippy::disallowed_methods, reason = "the one home of the wall clock")]
fn wall_unix_time() -> Duration {
    // A clock before 1970 reads as 1970: such a machine has no usable wall time at all.
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_clock_moves_only_by_hand() {
        let (clock, hand) = Clock::manual(1_000);
        let start = clock.now();
        assert_eq!(clock.now(), start);
        hand.advance(Duration::from_millis(250));
        assert_eq!(clock.now() - start, Duration::from_millis(250));
        assert_eq!(clock.unix_ms(), 1_250);
    }

    #[tokio::test(start_paused = true)]
    async fn the_system_clock_follows_paused_time() {
        let clock = Clock::system();
        let start = clock.now();
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now() - start, Duration::from_secs(90));
    }

    #[test]
    fn wall_time_is_past_2024() {
        assert!(Clock::system().unix_ms() > 1_704_067_200_000);
    }
}
