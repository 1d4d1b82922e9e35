//! What happened to every request.

use std::collections::BTreeMap;
use std::time::Duration;

use tonic::Code;

use super::writes::Key;
use crate::history::{Acknowledged, Answer};

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer.
    Complete,
    /// An answer that says a part is missing.
    Incomplete,
    /// None; the code, and the reason in the error's details or its text.
    Failed(Code, String),
}

/// One search.
#[derive(Debug, Clone)]
pub struct SearchSample {
    /// When its time had come, since the load began.
    pub due: Duration,
    /// From then to its answer.
    pub took: Duration,
    /// What came.
    pub outcome: Outcome,
}

/// Documents sent, by what came of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteTally {
    /// Durable.
    pub acknowledged: u64,
    /// Certainly not written: pushed back or refused.
    pub refused: u64,
    /// Written or not.
    pub unknown: u64,
}

/// What must be, or may be, the stored state of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// The latest acknowledged version; 0 = none.
    pub acknowledged: u64,
    /// Later versions whose outcome is unknown.
    pub possible: Vec<u64>,
}

/// The latest acknowledged write.
#[derive(Debug, Clone)]
pub(super) struct Latest {
    pub(super) key: Key,
    /// From its acknowledgement.
    pub(super) token: String,
}

/// The whole record.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// In the order of their answers; without those in `fresh`.
    pub searches: Vec<SearchSample>,
    /// Searches for a write just acknowledged, with its token, which may be refused instead.
    pub fresh: Vec<SearchSample>,
    /// What all of them were answered.
    pub answers: Vec<Answer>,
    /// Every acknowledged write.
    pub acknowledged: Vec<Acknowledged>,
    pub(super) latest: Option<Latest>,
    /// Of all writes.
    pub writes: WriteTally,
    /// By namespace number and document number.
    pub documents: BTreeMap<(u64, u64), Stored>,
}

/// Of latencies, in the order p50, p99, p99.9, largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentiles {
    /// Half are below.
    pub p50: Duration,
    /// 99 of 100 are below.
    pub p99: Duration,
    /// 999 of 1,000 are below.
    pub p999: Duration,
    /// The slowest.
    pub max: Duration,
    /// How many there are.
    pub count: usize,
}

impl Report {
    /// Searches that were not answered completely.
    pub fn failures(&self) -> impl Iterator<Item = &SearchSample> {
        self.searches.iter().filter(|sample| sample.outcome != Outcome::Complete)
    }

    /// How often each failure happened.
    #[must_use]
    pub fn failures_by_kind(&self) -> BTreeMap<String, usize> {
        by_kind(self.failures())
    }

    /// The same of those that asked for a write just acknowledged.
    #[must_use]
    pub fn fresh_by_kind(&self) -> BTreeMap<String, usize> {
        by_kind(&self.fresh)
    }

    /// Latency of the searches that were due in this stretch of time.
    #[must_use]
    pub fn latency(&self, from: Duration, to: Duration) -> Percentiles {
        let due = self.searches.iter().filter(|sample| (from..to).contains(&sample.due));
        let mut took: Vec<Duration> = due.map(|sample| sample.took).collect();
        took.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (took.len() * per_mille).div_ceil(1_000).max(1) - 1;
            took.get(rank.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
        };
        Percentiles { p50: at(500), p99: at(990), p999: at(999), max: at(1_000), count: took.len() }
    }
}

impl std::fmt::Display for Percentiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        write!(
            f,
            "p50 {:.1} ms, p99 {:.1}, p99.9 {:.1}, max {:.1} of {}",
            ms(self.p50),
            ms(self.p99),
            ms(self.p999),
            ms(self.max),
            self.count
        )
    }
}

fn by_kind<'a>(samples: impl IntoIterator<Item = &'a SearchSample>) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for sample in samples {
        let kind = match &sample.outcome {
            Outcome::Complete => continue,
            Outcome::Incomplete => "incomplete".to_owned(),
            Outcome::Failed(code, why) => format!("{code:?}: {why}"),
        };
        *kinds.entry(kind).or_insert(0) += 1;
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let ms = Duration::from_millis;
        let sample = |n: u64| SearchSample { due: ms(n), took: ms(n), outcome: Outcome::Complete };
        let report = Report { searches: (1..=1_000).map(sample).collect(), ..Report::default() };
        let all = report.latency(Duration::ZERO, ms(2_000));
        assert_eq!((all.p50, all.p99, all.p999, all.max), (ms(500), ms(990), ms(999), ms(1_000)));
        assert_eq!(report.latency(ms(1), ms(2)).max, ms(1));
        assert_eq!(report.latency(ms(5_000), ms(6_000)).count, 0);
    }
}
