//! When a second request goes out for a slow one. Pure.
//!
//! "After percentile": once the first has taken longer than 95 of 100 usually do (Dean and Barroso,
//! *The Tail at Scale*, CACM 56(2), 2013). A token bucket bounds how many there are.
//!
//! "All": every replica is asked at once and the first answer counts, which takes as much work again for each
//! further replica. What was never answered is not sent to all of them: it might be what a leaf dies of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::choice::Availability;
use crate::routing::Standing;

/// When second requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HedgeMode {
    /// After the time within which most answers come.
    #[default]
    AfterPercentile,
    /// To every replica at once, if the same was answered before; else as after the percentile.
    All,
    /// Never.
    Off,
}

/// Answers seen before the percentile is believed.
const SAMPLES_MIN: u32 = 32;
/// At this many all counts are halved, so that the last few hundred answers decide.
const SAMPLES_MAX: u32 = 512;
/// Waited for while the percentile is not believed.
const DELAY_UNKNOWN: Duration = Duration::from_millis(50);
/// Which percentile.
const PERCENT: u32 = 95;

/// Upper bounds of the buckets grow by a sixteenth of a doubling from here. With quarters the delay was so much too long
/// that three of a hundred requests were hedged where five may be.
const SMALLEST_US: u64 = 64;
/// Buckets of a doubling.
const STEPS: usize = 16;
/// To about 67 s.
const BUCKETS: usize = 20 * STEPS + 1;

/// How long the answers of one partition took lately, as counts by logarithmic buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyWindow {
    counts: [u32; BUCKETS],
    total: u32,
}

impl Default for LatencyWindow {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], total: 0 }
    }
}

impl LatencyWindow {
    /// An answer took `elapsed`, or was given up after it.
    pub fn add(&mut self, elapsed: Duration) {
        if self.total >= SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
        }
        if let Some(count) = self.counts.get_mut(bucket_of(elapsed)) {
            *count += 1;
            self.total += 1;
        }
    }

    /// The time within which 95 of 100 came, rounded up by at most a sixteenth; none before there are
    /// enough.
    #[must_use]
    pub fn percentile(&self) -> Option<Duration> {
        if self.total < SAMPLES_MIN {
            return None;
        }
        let needed = (u64::from(self.total) * u64::from(PERCENT)).div_ceil(100);
        let mut seen = 0_u64;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= needed {
                return Some(upper_bound(bucket));
            }
        }
        None
    }
}

/// What is done about a request that may turn out slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hedging {
    /// Nothing.
    Never,
    /// A second request after this time without an answer.
    After(Duration),
    /// The other replicas are asked along with the first.
    AtOnce,
}

/// What `mode` means for one request. `was_answered`: the same was answered before. `percentile`: the time within which
/// most answers come, where it is known.
#[must_use]
pub fn hedging(
    mode: HedgeMode,
    was_answered: bool,
    percentile: Option<Duration>,
    delay_min: Duration,
) -> Hedging {
    match mode {
        HedgeMode::Off => Hedging::Never,
        HedgeMode::All if was_answered => Hedging::AtOnce,
        HedgeMode::All | HedgeMode::AfterPercentile => {
            Hedging::After(percentile.unwrap_or(DELAY_UNKNOWN).max(delay_min))
        }
    }
}

/// A replica as one that a second request might go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Second {
    /// Whether it may be expected to answer.
    pub availability: Availability,
    /// What it is good for.
    pub standing: Standing,
    /// It is known not to have reached the offset asked for.
    pub is_behind: bool,
    /// Its files are of the build that the first one's are of.
    pub is_of_same_build: bool,
}

/// Whether a second request may go there, the first having gone to one of standing `first`: one search is of one
/// build and shows at least the offset asked for, and slowness is no reason to ask whom somebody has drained.
#[must_use]
pub fn is_eligible(second: &Second, first: Standing) -> bool {
    let Second { availability, standing, is_behind, is_of_same_build } = *second;
    let is_kept_away = standing == Standing::GroupDrained && first != Standing::GroupDrained;
    availability != Availability::Unavailable && !is_behind && is_of_same_build && !is_kept_away
}

fn bucket_of(elapsed: Duration) -> usize {
    let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).max(1);
    (0..BUCKETS - 1).find(|&bucket| us <= upper_bound_us(bucket)).unwrap_or(BUCKETS - 1)
}

fn upper_bound(bucket: usize) -> Duration {
    Duration::from_micros(upper_bound_us(bucket))
}

/// 64, 68, 72, … 128, 136, … microseconds.
fn upper_bound_us(bucket: usize) -> u64 {
    let doubled = SMALLEST_US << (bucket / STEPS);
    let steps = u64::try_from(bucket % STEPS).unwrap_or(0);
    doubled + doubled / 16 * steps
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn window(samples: impl IntoIterator<Item = Duration>) -> LatencyWindow {
        let mut window = LatencyWindow::default();
        samples.into_iter().for_each(|elapsed| window.add(elapsed));
        window
    }

    #[test]
    fn few_answers_say_nothing() {
        let few = window(vec![MS; 31]);
        assert_eq!(few.percentile(), None);
        let hedging = |mode, was_answered| hedging(mode, was_answered, few.percentile(), MS * 2);
        for was_answered in [false, true] {
            let after = Hedging::After(DELAY_UNKNOWN);
            assert_eq!(hedging(HedgeMode::AfterPercentile, was_answered), after);
            assert_eq!(hedging(HedgeMode::Off, was_answered), Hedging::Never);
        }
        assert_eq!(hedging(HedgeMode::All, true), Hedging::AtOnce);
        assert_eq!(hedging(HedgeMode::All, false), Hedging::After(DELAY_UNKNOWN));
    }

    #[test]
    fn the_delay_has_a_floor() {
        let fast = window(vec![MS / 10; 100]);
        let hedging = |window: &LatencyWindow| {
            hedging(HedgeMode::AfterPercentile, true, window.percentile(), MS * 2)
        };
        assert_eq!(hedging(&fast), Hedging::After(MS * 2));
        let slow = window(vec![MS * 20; 100]);
        let Hedging::After(delay) = hedging(&slow) else { panic!("on") };
        assert!((MS * 20..MS * 85 / 4).contains(&delay), "{delay:?}");
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let samples = std::iter::repeat_n(MS * 500, 512).chain(std::iter::repeat_n(MS, 5_000));
        assert!(window(samples).percentile().expect("enough") < MS * 2);
    }

    fn second() -> impl Strategy<Value = Second> {
        let availability = proptest::sample::select(vec![
            Availability::Available,
            Availability::Probing,
            Availability::Unavailable,
        ]);
        let standing = proptest::sample::select(STANDINGS.to_vec());
        (availability, standing, any::<bool>(), any::<bool>()).prop_map(
            |(availability, standing, is_behind, is_of_same_build)| Second {
                availability,
                standing,
                is_behind,
                is_of_same_build,
            },
        )
    }

    const STANDINGS: [Standing; 4] =
        [Standing::Serving, Standing::Draining, Standing::GroupDrained, Standing::Outdated];

    proptest! {
        /// Whatever else is true of a replica, it gets no second request when it is behind, of another build,
        /// or not expected to answer.
        #[test]
        fn second_requests_go_only_where_the_same_answer_is(
            second in second(),
            first in proptest::sample::select(STANDINGS.to_vec()),
        ) {
            if is_eligible(&second, first) {
                prop_assert!(!second.is_behind && second.is_of_same_build);
                prop_assert!(second.availability != Availability::Unavailable);
                let is_drained = |standing| standing == Standing::GroupDrained;
                prop_assert!(is_drained(first) || !is_drained(second.standing));
            }
            let sound = Second {
                availability: Availability::Available,
                standing: Standing::Serving,
                is_behind: false,
                is_of_same_build: true,
            };
            prop_assert!(is_eligible(&sound, first));
        }

        /// At least 95 of 100 are within the percentile, and it is at most a sixteenth above the exact one.
        #[test]
        fn the_percentile_is_that_of_the_samples(
            mut us in proptest::collection::vec(1..60_000_000_u64, 32..512),
        ) {
            let found = window(us.iter().map(|&us| Duration::from_micros(us)));
            let found = found.percentile().expect("enough").as_micros();
            us.sort_unstable();
            let exact = us[(us.len() * 95).div_ceil(100) - 1];
            prop_assert!(found >= u128::from(exact));
            prop_assert!(found <= u128::from(exact.max(SMALLEST_US)) * 17 / 16 + 1);
        }
    }
}
