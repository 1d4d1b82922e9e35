//! What a search's own time goes into: the same stages in its answer, its trace and the metrics.

use std::time::{Duration, Instant};

use nautilus_proto::common::v1::Stage;
use nautilus_service::Clock;
use nautilus_service::traces::{StageTime, record_stages};

use crate::metrics::RootMetrics;

/// Grant, map version, bounds, query tree.
pub(crate) const VERIFY: &str = "verify";
/// Which partitions, and what goes to each.
pub(crate) const ROUTE: &str = "route";
/// From the first request sent to the last answer received.
pub(crate) const FAN_OUT: &str = "fan_out";
/// Putting the answers together.
pub(crate) const GATHER: &str = "gather";

/// Times one stage after the other, without gaps.
#[derive(Debug)]
pub(crate) struct Stages<'a> {
    clock: &'a Clock,
    metrics: &'a RootMetrics,
    began: Instant,
    last: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl<'a> Stages<'a> {
    pub(crate) fn begin(clock: &'a Clock, metrics: &'a RootMetrics) -> Self {
        let now = clock.now();
        Self { clock, metrics, began: now, last: now, done: Vec::with_capacity(4) }
    }

    /// When the first stage began.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// The stage that ran since the last one ended is over.
    pub(crate) fn end(&mut self, name: &'static str) {
        let now = self.clock.now();
        let elapsed = now.saturating_duration_since(self.last);
        self.last = now;
        self.metrics.stage(name, elapsed);
        self.done.push((name, elapsed));
    }

    /// All of them until now.
    pub(crate) fn elapsed(&self) -> Duration {
        self.last.saturating_duration_since(self.began)
    }

    /// Makes spans of them, below the current one, with the times that answer and metrics show.
    pub(crate) fn record_spans(&self) {
        let mut start = Duration::ZERO;
        let stage = |&(name, duration): &(&'static str, Duration)| {
            let stage = StageTime { name, start, duration };
            start += duration;
            stage
        };
        let times: Vec<_> = self.done.iter().map(stage).collect();
        record_stages(&times, self.clock.unix_time());
    }

    /// As they go on the wire.
    pub(crate) fn to_proto(&self) -> Vec<Stage> {
        let stage = |&(name, elapsed): &(&str, Duration)| Stage {
            name: name.to_owned(),
            duration_us: micros(elapsed),
            children: Vec::new(),
        };
        self.done.iter().map(stage).collect()
    }
}

/// Whole microseconds, at most `u64::MAX`.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
