//! How long the stages of a request took.

use std::time::{Duration, Instant};

use nautilus_proto::search::v1::{Stage, Timing};
use nautilus_service::Clock;

/// Measures from stage to stage.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    clock: Clock,
    start: Instant,
    last: Instant,
    stages: Vec<(&'static str, Duration)>,
}

impl Stopwatch {
    pub(crate) fn start(clock: &Clock) -> Self {
        let start = clock.now();
        Self { clock: clock.clone(), start, last: start, stages: Vec::new() }
    }

    /// The time since the last lap was spent on `stage`; more than once it adds up.
    pub(crate) fn lap(&mut self, stage: &'static str) {
        let now = self.clock.now();
        let spent = now.saturating_duration_since(self.last);
        self.last = now;
        match self.stages.iter_mut().find(|(name, _)| *name == stage) {
            Some((_, total)) => *total += spent,
            None => self.stages.push((stage, spent)),
        }
    }

    /// What was spent on `stage` so far.
    pub(crate) fn spent(&self, stage: &str) -> Duration {
        let of_stage = self.stages.iter().find(|(name, _)| *name == stage);
        of_stage.map_or(Duration::ZERO, |(_, spent)| *spent)
    }

    pub(crate) fn to_proto(&self) -> Timing {
        let stage = |(name, spent): &(&'static str, Duration)| Stage {
            name: (*name).to_owned(),
            duration_us: micros(*spent),
        };
        Timing {
            stages: self.stages.iter().map(stage).collect(),
            total_us: micros(self.last.saturating_duration_since(self.start)),
        }
    }
}

/// Whole microseconds, at most `u64::MAX`.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_in_their_order() {
        let (clock, hand) = Clock::manual(0);
        let mut watch = Stopwatch::start(&clock);
        for (stage, ms) in [("root", 3), ("rank", 1), ("root", 4)] {
            hand.advance(Duration::from_millis(ms));
            watch.lap(stage);
        }
        let timing = watch.to_proto();
        let stages: Vec<_> =
            timing.stages.iter().map(|s| (s.name.as_str(), s.duration_us)).collect();
        assert_eq!(stages, [("root", 7_000), ("rank", 1_000)]);
        assert_eq!(timing.total_us, 8_000);
    }
}
