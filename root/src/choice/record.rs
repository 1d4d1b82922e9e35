//! What is remembered of a replica between requests. Pure: the time comes in as data.

use std::time::{Duration, Instant};

use super::Availability;

/// How long a failure keeps requests away the first time; each further one doubles it.
const PROBATION_MIN: Duration = Duration::from_millis(100);
/// How long it does at most.
const PROBATION_MAX: Duration = Duration::from_secs(5);
/// Weight of what was known against one new measurement: the mean follows in about four.
const KEPT_WEIGHT: u32 = 3;
/// How often, at most, the time after which a request was given up is doubled: to 16 times.
const DOUBLINGS_MAX: u32 = 4;

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
    /// Requests given up since the last answer.
    abandoned: u32,
    /// What its latency is taken for at least, since more than one of them was.
    at_least: Duration,
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
        // What was only guessed counts no more.
        (self.abandoned, self.at_least) = (0, Duration::ZERO);
        self.measured(elapsed);
    }

    /// Nobody waits any more, after `elapsed`: an answer would have taken at least that. How much longer is not known, and
    /// a replica that answers nothing while others do is not nearly as fast as that: each further time without an answer
    /// doubles what is taken for its latency.
    pub fn abandoned(&mut self, elapsed: Duration) {
        self.ended();
        if self.latency.is_some_and(|usual| elapsed < usual / 2) {
            return;
        }
        if self.abandoned > 0 {
            let doubled = 2_u32.pow(self.abandoned.min(DOUBLINGS_MAX));
            self.at_least = self.at_least.max(elapsed.saturating_mul(doubled));
        } else if self.latency.is_none_or(|usual| elapsed > usual) {
            self.measured(elapsed);
        }
        self.abandoned = self.abandoned.saturating_add(1);
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

    /// Exponentially weighted mean of the time from sent to received, or more if answers stay away.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        self.latency.map(|latency| latency.max(self.at_least))
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
