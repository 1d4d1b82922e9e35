//! Samples of durations, and what is said of them.

use std::time::Duration;

use serde_json::{Value, json};

/// Durations of one kind, in milliseconds.
#[derive(Debug, Default, Clone)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn add(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1e3);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least this share of all does not exceed; 0 where there are none.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank: not negative, not above the number of samples"
        )]
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted
            .get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0.0)
    }

    pub(super) fn line(&self) -> String {
        format!(
            "p50 {:8.2} ms  p90 {:8.2}  p99 {:8.2}  p99.9 {:8.2}  max {:8.2}  of {}",
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.percentile(0.999),
            self.percentile(1.0),
            self.len()
        )
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "count": self.len(),
            "p50_ms": self.percentile(0.5),
            "p90_ms": self.percentile(0.9),
            "p99_ms": self.percentile(0.99),
            "p999_ms": self.percentile(0.999),
            "max_ms": self.percentile(1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.percentile(0.5).to_bits(), 0.0_f64.to_bits());
        for ms in [4, 1, 3, 2] {
            samples.add(Duration::from_millis(ms));
        }
        let rounded = |share| format!("{:.0}", samples.percentile(share));
        assert_eq!([0.0, 0.5, 0.51, 0.99, 1.0].map(rounded), ["1", "2", "3", "4", "4"]);
    }
}
