//! How long the stages of a request took: the one list that answers, metrics, the slow log and
//! traces are made of.

use std::time::{Duration, Instant};

use nautilus_proto::common::v1::Stage;
use nautilus_service::Clock;
use nautilus_service::traces::{StageTime, record_stages};

/// Measures from stage to stage.
#[derive(Debug)]
pub struct Stopwatch {
    clock: Clock,
    start: Instant,
    last: Instant,
    /// A stage that ran twice has two.
    laps: Vec<StageTime>,
}

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start(clock: &Clock) -> Self {
        let start = clock.now();
        Self { clock: clock.clone(), start, last: start, laps: Vec::new() }
    }

    /// The time since the last lap was spent on the stage `name`.
    pub fn lap(&mut self, name: &'static str) {
        let now = self.clock.now();
        let duration = now.saturating_duration_since(self.last);
        let start = self.last.saturating_duration_since(self.start);
        self.laps.push(StageTime { name, start, duration });
        self.last = now;
    }

    /// Makes spans of the laps, below the current one.
    pub fn record_spans(&self) {
        record_stages(
            &self.laps,
            self.clock.unix_time().saturating_sub(self.total() - self.lapped()),
        );
    }

    fn lapped(&self) -> Duration {
        self.last.saturating_duration_since(self.start)
    }

    /// Every lap, in the order they ran.
    #[must_use]
    pub fn laps(&self) -> &[StageTime] {
        &self.laps
    }

    /// What each stage took in all, in the order they first ran.
    #[must_use]
    pub fn stages(&self) -> Vec<(&'static str, Duration)> {
        let mut stages: Vec<(&'static str, Duration)> = Vec::new();
        for lap in &self.laps {
            match stages.iter_mut().find(|(name, _)| *name == lap.name) {
                Some((_, total)) => *total += lap.duration,
                None => stages.push((lap.name, lap.duration)),
            }
        }
        stages
    }

    /// What was spent on the stage `name` so far.
    #[must_use]
    pub fn spent(&self, name: &str) -> Duration {
        self.laps.iter().filter(|lap| lap.name == name).map(|lap| lap.duration).sum()
    }

    /// The time since the start.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.start)
    }
}

/// A stage without parts.
pub(crate) fn stage(name: &str, duration_us: u64) -> Stage {
    Stage { name: name.to_owned(), duration_us, children: Vec::new() }
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
        hand.advance(Duration::from_millis(2));
        let ms = Duration::from_millis;
        assert_eq!(watch.stages(), [("root", ms(7)), ("rank", ms(1))]);
        assert_eq!((watch.spent("root"), watch.total()), (ms(7), ms(10)));
        let laps = watch.laps();
        assert!(laps.windows(2).all(|pair| pair[0].start + pair[0].duration == pair[1].start));
    }
}
