//! What is remembered of a replica between requests. Pure: the time comes in as data.

use std::time::{Duration, Instant};

use super::Availability;

/// How long a failure keeps requests away the first time; each further one doubles it.
const PROBATION_MIN: Duration = Duration::from_millis(100);
/// How long it does at most.
const PROBATION_MAX: Duration = Duration::from_secs(5);
/// Weight of what was known against one new measurement: the mean follows in about four.
const KEPT_WEIGHT: u32 = 3;

/// Failures in a row, and until when they keep requests away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Probation {
    failures: u32,
    until: Option<Instant>,
}

impl Probation {
    /// It failed at `now`. Failures of requests sent before the last one was known count as that one.
    pub fn failed(&mut self, now: Instant) {
        if self.until.is_some_and(|until| now < until) {
            return;
        }
        let doubled = 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.until = Some(now + PROBATION_MIN.saturating_mul(doubled).min(PROBATION_MAX));
    }

    /// It answered: all is forgotten.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// What it may be used for at `now`.
    #[must_use]
    pub fn availability(&self, now: Instant) -> Availability {
        match self.until {
            None => Availability::Available,
            Some(until) if now < until => Availability::Unavailable,
            Some(_) => Availability::Probing,
        }
    }
}

/// One replica's record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplicaRecord {
    latency: Option<Duration>,
    in_flight: u32,
    probation: Probation,
}

impl ReplicaRecord {
    /// A request goes there.
    pub fn started(&mut self) {
        self.in_flight = self.in_flight.saturating_add(1);
    }

    /// An answer came after `elapsed`.
    pub fn succeeded(&mut self, elapsed: Duration) {
        self.ended();
        self.probation.succeeded();
        self.measured(elapsed);
    }

    /// Nobody waits any more, after `elapsed`: an answer would have taken at least that.
    pub fn abandoned(&mut self, elapsed: Duration) {
        self.ended();
        if self.latency.is_none_or(|usual| elapsed > usual) {
            self.measured(elapsed);
        }
    }

    /// The replica failed at `now` in a way that the next request would meet too.
    pub fn failed(&mut self, now: Instant) {
        self.ended();
        self.probation.failed(now);
    }

    /// The request ended in a way that says nothing of the replica.
    pub fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Exponentially weighted mean of the time from sent to received.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// What it may be used for at `now`. One request at a time finds out whether it is back.
    #[must_use]
    pub fn availability(&self, now: Instant) -> Availability {
        match self.probation.availability(now) {
            Availability::Probing if self.in_flight > 0 => Availability::Unavailable,
            other @ (Availability::Available
            | Availability::Probing
            | Availability::Unavailable) => other,
        }
    }

    fn measured(&mut self, elapsed: Duration) {
        self.latency = Some(match self.latency {
            None => elapsed,
            Some(usual) => (usual.saturating_mul(KEPT_WEIGHT) + elapsed) / (KEPT_WEIGHT + 1),
        });
    }
}
