//! Metrics of shadow searches. Which build is the candidate is no label: names are people's to choose.

use std::cmp::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::{Comparison, Outcome};
use crate::metrics::{InFlight, SECONDS};

/// Upper bounds of the share of documents on both pages.
const RATIOS: [f64; 8] = [0.0, 0.25, 0.5, 0.7, 0.8, 0.9, 0.99, 1.0];

const SHOWN: &str = "shown";
const CANDIDATE: &str = "candidate";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabel {
    side: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HitsLabel {
    candidate: &'static str,
}

#[derive(Debug)]
pub(super) struct ShadowMetrics {
    searches: Family<ResultLabel, Counter>,
    overlap: Histogram,
    same_order: Counter,
    same_first: Counter,
    hits: Family<HitsLabel, Counter>,
    partial: Family<SideLabel, Counter>,
    truncated: Family<SideLabel, Counter>,
    durations: Family<SideLabel, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

impl Default for ShadowMetrics {
    fn default() -> Self {
        Self {
            searches: Family::default(),
            overlap: Histogram::new(RATIOS),
            same_order: Counter::default(),
            same_first: Counter::default(),
            hits: Family::default(),
            partial: Family::default(),
            truncated: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        }
    }
}

impl ShadowMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let name = |name: &str| format!("nautilus_merger_shadow_{name}");
        let families =
            "Shadow searches: compared, incomplete (one answer was not whole), failed, dropped";
        registry.register(name("searches"), families, self.searches.clone());
        let overlap = "Share of documents on both pages, of compared ones";
        registry.register(name("overlap_ratio"), overlap, self.overlap.clone());
        let order = "Of compared ones, those whose pages were the same";
        registry.register(name("same_order"), order, self.same_order.clone());
        let first = "Of compared ones, those with the same first document";
        registry.register(name("same_first"), first, self.same_first.clone());
        let hits = "Compared ones by whether the candidate counted more matches, fewer, or as many";
        registry.register(name("hits"), hits, self.hits.clone());
        let partial = "Answers without some partition, of what was shown and of the candidate";
        registry.register(name("partial"), partial, self.partial.clone());
        let truncated =
            "Answers whose time budget ended early, of what was shown and of the candidate";
        registry.register(name("truncated"), truncated, self.truncated.clone());
        let durations =
            "From the question to the ranked page, of what was shown and of the candidate";
        registry.register(name("duration_seconds"), durations, self.durations.clone());
        registry.register(name("inflight"), "Shadow searches under way", self.in_flight.clone());
    }

    /// One is under way until the guard is gone.
    pub(super) fn begin(&self) -> InFlight {
        InFlight::begin(&self.in_flight)
    }

    pub(super) fn count(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Failed => "failed",
            Outcome::Dropped => "dropped",
            Outcome::Answered(comparison) => {
                self.compared(comparison);
                if comparison.pages.is_some() { "compared" } else { "incomplete" }
            }
        };
        self.searches.get_or_create(&ResultLabel { result }).inc();
    }

    fn compared(&self, comparison: &Comparison) {
        let Comparison { pages, are_partial, are_truncated, took } = comparison;
        self.took(SHOWN, took.0);
        self.took(CANDIDATE, took.1);
        for (family, (shown, candidate)) in
            [(&self.partial, are_partial), (&self.truncated, are_truncated)]
        {
            for (side, is_so) in [(SHOWN, shown), (CANDIDATE, candidate)] {
                family.get_or_create(&SideLabel { side }).inc_by(u64::from(*is_so));
            }
        }
        let Some(pages) = pages else { return };
        self.overlap.observe(pages.overlap);
        self.same_order.inc_by(u64::from(pages.are_equal));
        self.same_first.inc_by(u64::from(pages.is_same_first));
        let candidate = match pages.hits {
            Ordering::Greater => "more",
            Ordering::Less => "fewer",
            Ordering::Equal => "as_many",
        };
        self.hits.get_or_create(&HitsLabel { candidate }).inc();
    }

    fn took(&self, side: &'static str, took: Duration) {
        self.durations.get_or_create(&SideLabel { side }).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shadow::{Answered, compare};

    #[test]
    fn metrics_have_the_names_dashboards_use() {
        let answer = |total_hits, is_partial| Answered {
            documents: Vec::new(),
            total_hits,
            is_partial,
            is_truncated: false,
            took: Duration::from_millis(3),
        };
        let metrics = ShadowMetrics::default();
        let shown = answer(1, false);
        metrics.count(&Outcome::Answered(compare(&shown, &answer(2, false))));
        metrics.count(&Outcome::Answered(compare(&shown, &answer(2, true))));
        metrics.count(&Outcome::Failed);
        metrics.count(&Outcome::Dropped);
        let _under_way = metrics.begin();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            "nautilus_merger_shadow_searches_total{result=\"compared\"} 1",
            "nautilus_merger_shadow_searches_total{result=\"incomplete\"} 1",
            "nautilus_merger_shadow_searches_total{result=\"failed\"} 1",
            "nautilus_merger_shadow_searches_total{result=\"dropped\"} 1",
            "nautilus_merger_shadow_overlap_ratio_bucket{le=\"0.99\"} 0",
            "nautilus_merger_shadow_overlap_ratio_count 1",
            "nautilus_merger_shadow_same_order_total 1",
            "nautilus_merger_shadow_same_first_total 1",
            "nautilus_merger_shadow_hits_total{candidate=\"more\"} 1",
            "nautilus_merger_shadow_partial_total{side=\"candidate\"} 1",
            "nautilus_merger_shadow_truncated_total{side=\"shown\"} 0",
            "nautilus_merger_shadow_duration_seconds_count{side=\"candidate\"} 2",
            "nautilus_merger_shadow_inflight 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }
}
