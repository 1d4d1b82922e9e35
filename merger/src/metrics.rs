//! Metrics of the merger. No label has more values than there are stages or classes of errors.

use std::time::Duration;

use nautilus_types::Class;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the buckets, in seconds: those OpenTelemetry recommends for calls, and some
/// below, where most searches are.
pub(crate) const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0];

/// What was counted since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Searches answered.
    pub searches: u64,
    /// Of those, the ones that went on with any word because all found nothing.
    pub relaxed: u64,
    /// Of those, the ones whose time budget ended candidate fetching early.
    pub truncated: u64,
    /// Of those, the ones that showed only a part of their scope.
    pub partial: u64,
    /// Searches, answered or not, that took longer than the threshold of the slow log.
    pub slow: u64,
    /// Hits that the second access check took off a page. Each is a right that was withdrawn at
    /// that very moment, or a fault in one of the two checks.
    pub acl_dropped_hits: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(crate) struct Metrics {
    searches: Durations<Outcome>,
    suggestions: Durations<Outcome>,
    stages: Durations<Stage>,
    in_flight: Gauge,
    answered: Counter,
    pub(crate) relaxed: Counter,
    pub(crate) truncated: Counter,
    pub(crate) partial: Counter,
    pub(crate) slow: Counter,
    pub(crate) acl_dropped_hits: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self {
            searches: Family::new_with_constructor(histogram),
            suggestions: Family::new_with_constructor(histogram),
            stages: Family::new_with_constructor(histogram),
            in_flight: Gauge::default(),
            answered: Counter::default(),
            relaxed: Counter::default(),
            truncated: Counter::default(),
            partial: Counter::default(),
            slow: Counter::default(),
            acl_dropped_hits: Counter::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "nautilus_merger_search_duration_seconds",
            "Time of searches by what became of them",
            self.searches.clone(),
        );
        registry.register(
            "nautilus_merger_suggest_duration_seconds",
            "Time of suggestions by what became of them",
            self.suggestions.clone(),
        );
        registry.register(
            "nautilus_search_stage_duration_seconds",
            "Time of the stages of searches",
            self.stages.clone(),
        );
        registry.register("nautilus_merger_inflight", "Requests under way", self.in_flight.clone());
        for (name, help, counter) in [
            ("relaxed", "Searches that went on with any word", &self.relaxed),
            ("truncated", "Searches whose time budget ended early", &self.truncated),
            ("partial", "Searches that showed a part of their scope", &self.partial),
            ("slow", "Searches over the threshold of the slow log", &self.slow),
            ("acl_dropped_hits", "Hits the second access check took away", &self.acl_dropped_hits),
        ] {
            registry.register(format!("nautilus_merger_{name}"), help, counter.clone());
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            searches: self.answered.get(),
            relaxed: self.relaxed.get(),
            truncated: self.truncated.get(),
            partial: self.partial.get(),
            slow: self.slow.get(),
            acl_dropped_hits: self.acl_dropped_hits.get(),
        }
    }

    /// One request more is under way until the guard is gone: it goes with the work, also where the caller
    /// goes away or the time ends.
    pub(crate) fn begin(&self) -> InFlight {
        InFlight::begin(&self.in_flight)
    }

    /// A search took this long in all, and in each of its stages; `failure` is none of an answer.
    pub(crate) fn searched(
        &self,
        failure: Option<Class>,
        total: Duration,
        stages: &[(&'static str, Duration)],
    ) {
        if failure.is_none() {
            self.answered.inc();
        }
        let outcome = Outcome { outcome: outcome_name(failure) };
        self.searches.get_or_create(&outcome).observe(total.as_secs_f64());
        for (stage, spent) in stages {
            let stage = Stage { stage };
            self.stages.get_or_create(&stage).observe(spent.as_secs_f64());
        }
    }

    /// Suggestions took this long.
    pub(crate) fn suggested(&self, failure: Option<Class>, total: Duration) {
        let outcome = Outcome { outcome: outcome_name(failure) };
        self.suggestions.get_or_create(&outcome).observe(total.as_secs_f64());
    }
}

/// A request under way.
#[derive(Debug)]
#[must_use]
pub(crate) struct InFlight(Gauge);

impl InFlight {
    pub(crate) fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts one where something holds.
pub(crate) fn inc_if(counter: &Counter, counts: bool) {
    counter.inc_by(u64::from(counts));
}

/// What became of a request, as a label and in logs.
pub(crate) fn outcome_name(failure: Option<Class>) -> &'static str {
    match failure {
        None => "ok",
        Some(Class::Invalid) => "invalid",
        Some(Class::Unauthenticated) => "unauthenticated",
        Some(Class::Denied) => "denied",
        Some(Class::NotFound) => "not_found",
        Some(Class::Conflict) => "conflict",
        Some(Class::Precondition) => "precondition",
        Some(Class::Fenced) => "fenced",
        Some(Class::Overloaded) => "overloaded",
        Some(Class::Unavailable) => "unavailable",
        Some(Class::Deadline) => "deadline",
        Some(Class::Cancelled) => "cancelled",
        Some(Class::Corrupt) => "corrupt",
        Some(Class::Bug) => "bug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_names_dashboards_use() {
        let metrics = Metrics::default();
        metrics.searched(None, Duration::from_millis(3), &[("root", Duration::from_millis(2))]);
        metrics.searched(Some(Class::Deadline), Duration::from_secs(1), &[]);
        metrics.suggested(None, Duration::from_millis(1));
        inc_if(&metrics.relaxed, true);
        let (_under_way, ended) = (metrics.begin(), metrics.begin());
        drop(ended);
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
        for line in [
            "nautilus_merger_search_duration_seconds_count{outcome=\"ok\"} 1",
            "nautilus_merger_search_duration_seconds_count{outcome=\"deadline\"} 1",
            "nautilus_search_stage_duration_seconds_sum{stage=\"root\"} 0.002",
            "nautilus_merger_suggest_duration_seconds_count{outcome=\"ok\"} 1",
            "nautilus_merger_relaxed_total 1",
            "nautilus_merger_acl_dropped_hits_total 0",
            "nautilus_merger_slow_total 0",
            "nautilus_merger_inflight 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert_eq!(metrics.counts(), Counts { searches: 1, relaxed: 1, ..Counts::default() });
    }
}
