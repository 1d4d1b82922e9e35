//! Deadlines: a point in monotonic time, on the wire as `grpc-timeout`.
//!
//! The caller states a duration; on arrival it becomes a point in this process's time; each
//! outgoing call states what is left of it, less a margin for the way back.

use std::time::{Duration, Instant};

/// Kept back on each hop so that an answer is under way before its caller gives up. Also the
/// part of security's "each hop subtracts 5 ms" that does not depend on measured round trips.
pub const HOP_MARGIN: Duration = Duration::from_millis(5);

/// Name of the header, as gRPC over HTTP/2 fixes it.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Largest value the header's eight digits hold in any unit.
const DIGITS_MAX: u128 = 99_999_999;

/// When an answer must be there, by this process's monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline {
    at: Instant,
}

impl Deadline {
    /// The deadline `budget` after `now`. A budget beyond what the clock can hold is cut to a day.
    #[must_use]
    pub fn after(now: Instant, budget: Duration) -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { at: now.checked_add(budget).unwrap_or_else(|| now + day) }
    }

    /// The deadline at this instant.
    #[must_use]
    pub fn at(at: Instant) -> Self {
        Self { at }
    }

    /// The point in time.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.at
    }

    /// What is left; zero when it is past.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.at.saturating_duration_since(now)
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_past(self, now: Instant) -> bool {
        self.at <= now
    }

    /// This deadline or `budget` from now, whichever comes first.
    #[must_use]
    pub fn or_sooner(self, now: Instant, budget: Duration) -> Self {
        self.min(Self::after(now, budget))
    }

    /// What an outgoing call may take so that its answer leaves `margin` for the way back; none
    /// when there is nothing left to give.
    #[must_use]
    pub fn for_next_hop(self, now: Instant, margin: Duration) -> Option<Duration> {
        self.remaining(now).checked_sub(margin).filter(|budget| !budget.is_zero())
    }

    /// States on an outgoing request what is left, less [`HOP_MARGIN`]. Returns the budget stated,
    /// or none (and states nothing) when there is nothing left: do not send it then.
    pub fn state_on<T>(self, now: Instant, request: &mut tonic::Request<T>) -> Option<Duration> {
        let budget = self.for_next_hop(now, HOP_MARGIN)?;
        set_timeout(request, budget);
        Some(budget)
    }

    /// The deadline the server's outermost layer found for this request, already less the margin
    /// for the answer; none where the method has no time limit and the caller stated none.
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<Self> {
        request.extensions().get::<Self>().copied()
    }
}

/// A `grpc-timeout` that does not follow the specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("timeout is not one to eight digits and one of H, M, S, m, u, n")]
pub struct BadTimeout;

/// Reads a `grpc-timeout` value.
pub fn parse_timeout(value: &str) -> Result<Duration, BadTimeout> {
    let unit = value.chars().next_back().ok_or(BadTimeout)?;
    let digits = value.strip_suffix(unit).ok_or(BadTimeout)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(BadTimeout);
    }
    let amount: u64 = digits.parse().map_err(|_| BadTimeout)?;
    match unit {
        'H' => Ok(Duration::from_secs(amount * 3_600)),
        'M' => Ok(Duration::from_secs(amount * 60)),
        'S' => Ok(Duration::from_secs(amount)),
        'm' => Ok(Duration::from_millis(amount)),
        'u' => Ok(Duration::from_micros(amount)),
        'n' => Ok(Duration::from_nanos(amount)),
        _ => Err(BadTimeout),
    }
}

/// Writes a `grpc-timeout` value in the finest unit that holds it, rounded down so that no hop
/// gains time, and at least one nanosecond because the specification has no zero.
#[must_use]
pub fn format_timeout(budget: Duration) -> String {
    let amounts = [
        (budget.as_nanos().max(1), 'n'),
        (budget.as_micros(), 'u'),
        (budget.as_millis(), 'm'),
        (u128::from(budget.as_secs()), 'S'),
        (u128::from(budget.as_secs() / 60), 'M'),
    ];
    for (amount, unit) in amounts {
        if amount <= DIGITS_MAX {
            return format!("{amount}{unit}");
        }
    }
    format!("{}H", u128::from(budget.as_secs() / 3_600).min(DIGITS_MAX))
}

/// States the timeout of an outgoing request.
pub fn set_timeout<T>(request: &mut tonic::Request<T>, budget: Duration) {
    // Digits and one letter are always a legal header value.
    if let Ok(value) = format_timeout(budget).parse() {
        request.metadata_mut().insert(GRPC_TIMEOUT, value);
    }
}

/// The timeout an incoming request states, if it states one.
pub fn timeout_of(headers: &http::HeaderMap) -> Result<Option<Duration>, BadTimeout> {
    match headers.get(GRPC_TIMEOUT) {
        None => Ok(None),
        Some(value) => parse_timeout(value.to_str().map_err(|_| BadTimeout)?).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read() {
        let cases = [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("10S", Duration::from_secs(10)),
            ("500m", Duration::from_millis(500)),
            ("00000007u", Duration::from_micros(7)),
            ("99999999n", Duration::from_nanos(99_999_999)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timeout(text), Ok(expected), "{text}");
        }
        for text in ["", "S", "5", "5s", "-5S", "+5S", " 5S", "5 S", "100000000n", "5é", "五S"] {
            assert_eq!(parse_timeout(text), Err(BadTimeout), "{text:?}");
        }
    }

    #[test]
    fn writing_never_adds_time_and_loses_little() {
        let samples = [0, 1, 99_999_999, 100_000_000, 123_456_789_012, 9_876_543_210_987_654_321];
        for nanos in samples {
            let budget = Duration::from_nanos(nanos);
            let text = format_timeout(budget);
            assert!(text.len() <= 9, "{text}");
            let read = parse_timeout(&text).expect("own format");
            assert!(read <= budget.max(Duration::from_nanos(1)), "{text}");
            assert!(read >= budget.mul_f64(0.999_98), "{text} for {budget:?}");
        }
        assert_eq!(format_timeout(Duration::from_millis(500)), "500000u");
        assert_eq!(format_timeout(Duration::MAX), "99999999H");
    }

    #[test]
    fn a_hop_gives_less_than_it_has() {
        let now = crate::Clock::system().now();
        let deadline = Deadline::after(now, Duration::from_millis(100));
        assert_eq!(deadline.for_next_hop(now, HOP_MARGIN), Some(Duration::from_millis(95)));
        let late = now + Duration::from_millis(96);
        assert_eq!(deadline.for_next_hop(late, HOP_MARGIN), None);
        assert_eq!(deadline.remaining(now + Duration::from_secs(1)), Duration::ZERO);
        assert!(deadline.is_past(deadline.instant()));
        assert_eq!(deadline.or_sooner(now, Duration::from_secs(9)), deadline);

        let mut request = tonic::Request::new(());
        assert_eq!(deadline.state_on(now, &mut request), Some(Duration::from_millis(95)));
        let stated = timeout_of(request.metadata().as_ref());
        assert_eq!(stated, Ok(Some(Duration::from_millis(95))));

        let mut unsent = tonic::Request::new(());
        assert_eq!(deadline.state_on(late, &mut unsent), None);
        assert_eq!(timeout_of(unsent.metadata().as_ref()), Ok(None));
    }

    #[test]
    fn an_endless_budget_does_not_overflow() {
        let now = crate::Clock::system().now();
        assert!(!Deadline::after(now, Duration::MAX).is_past(now));
    }
}
