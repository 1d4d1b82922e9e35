//! What shadow searches of one candidate have come to. Pure.

use std::cmp::Ordering;
use std::time::Duration;

use nautilus_proto::admin::v1::ShadowReport;

use super::Comparison;
use crate::stopwatch::micros;

/// What became of a search that was to be shadowed.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Both answered.
    Answered(Comparison),
    /// The candidate did not.
    Failed,
    /// It was not run: enough were under way.
    Dropped,
}

/// Sums over shadow searches of one candidate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    report: ShadowReport,
}

impl Tally {
    /// Of a candidate, from now on.
    #[must_use]
    pub fn new(build: &str, now_unix_ms: u64) -> Self {
        let since_unix_ms = i64::try_from(now_unix_ms).unwrap_or(i64::MAX);
        let build = build.to_owned();
        Self { report: ShadowReport { build, since_unix_ms, ..ShadowReport::default() } }
    }

    /// Whether it is of this candidate.
    #[must_use]
    pub fn is_of(&self, build: &str) -> bool {
        self.report.build == build
    }

    /// One more.
    pub fn add(&mut self, outcome: &Outcome) {
        let report = &mut self.report;
        match outcome {
            Outcome::Failed => report.failed += 1,
            Outcome::Dropped => report.dropped += 1,
            Outcome::Answered(comparison) => add(report, comparison),
        }
    }

    /// For operators.
    #[must_use]
    pub fn report(&self) -> &ShadowReport {
        &self.report
    }
}

fn add(report: &mut ShadowReport, comparison: &Comparison) {
    let Comparison { pages, are_partial, are_truncated, took: (shown, candidate) } = comparison;
    let sum = |to: &mut u64, time: Duration| *to = to.saturating_add(micros(time));
    sum(&mut report.shown_us, *shown);
    sum(&mut report.candidate_us, *candidate);
    report.shown_partial += u64::from(are_partial.0);
    report.candidate_partial += u64::from(are_partial.1);
    report.shown_truncated += u64::from(are_truncated.0);
    report.candidate_truncated += u64::from(are_truncated.1);
    let Some(pages) = pages else {
        report.incomplete += 1;
        return;
    };
    report.compared += 1;
    report.overlap_sum += pages.overlap;
    report.same_order += u64::from(pages.are_equal);
    report.same_first += u64::from(pages.is_same_first);
    report.slower += u64::from(candidate > shown);
    match pages.hits {
        Ordering::Greater => report.more_hits += 1,
        Ordering::Less => report.fewer_hits += 1,
        Ordering::Equal => {}
    }
}
