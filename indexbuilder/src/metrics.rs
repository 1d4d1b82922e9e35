//! What the ingest gateway counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nautilus_annotate::Annotation;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Why something came in, or did not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    /// `acknowledged`, `refused` (the write's own fault) or `failed`.
    pub(crate) outcome: &'static str,
}

/// Which bound was met.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Limit {
    /// `in_flight_bytes` or `replica_lag`.
    pub(crate) limit: &'static str,
}

/// Which annotator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnnotatorLabel {
    annotator: &'static str,
}

/// What became of it on a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnnotatorOutcome {
    annotator: &'static str,
    /// `found`, `nothing`, or the reason of the failure.
    outcome: &'static str,
}

/// What annotators do. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct AnnotationMetrics {
    outcomes: Family<AnnotatorOutcome, Counter>,
    seconds: Family<AnnotatorLabel, Histogram, fn() -> Histogram>,
}

impl AnnotationMetrics {
    fn new() -> Self {
        // 16 µs to 0.5 s.
        let histogram = || Histogram::new(exponential_buckets(0.000_016, 2.0, 16));
        Self { outcomes: Family::default(), seconds: Family::new_with_constructor(histogram) }
    }

    pub(crate) fn made(&self, annotator: &'static str, annotation: &Annotation) {
        let outcome = match &annotation.outcome {
            Ok(values) if values.is_empty() => "nothing",
            Ok(_) => "found",
            Err(failure) => failure.reason.name(),
        };
        self.outcomes.get_or_create(&AnnotatorOutcome { annotator, outcome }).inc();
    }

    pub(crate) fn took(&self, annotator: &'static str, time: Duration) {
        let histogram = self.seconds.get_or_create(&AnnotatorLabel { annotator });
        histogram.observe(time.as_secs_f64());
    }
}

/// Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) annotations: AnnotationMetrics,
    pub(crate) writes: Family<Outcome, Counter>,
    pub(crate) rejected: Family<Limit, Counter>,
    pub(crate) append_seconds: Histogram,
    pub(crate) lag_records: Gauge<u64, AtomicU64>,
    in_flight: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            annotations: AnnotationMetrics::new(),
            writes: Family::default(),
            rejected: Family::default(),
            // 0.5 ms to 4 s: from a warm disk cache to a disk in trouble.
            append_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 14)),
            lag_records: Gauge::default(),
            in_flight: Gauge::default(),
        }
    }

    /// One batch more is under way until the guard is gone.
    pub(crate) fn begin(&self) -> UnderWay {
        self.in_flight.inc();
        UnderWay(self.in_flight.clone())
    }

    pub(crate) fn register(&self, registry: &mut Registry) {
        let ingest = registry.sub_registry_with_prefix("nautilus_ingest");
        ingest.register("writes", "Writes of batches, by what became of them", self.writes.clone());
        ingest.register("rejected", "Batches pushed back, by bound", self.rejected.clone());
        ingest.register_with_unit(
            "append_duration",
            "From handing a batch to the log until it is durable",
            Unit::Seconds,
            self.append_seconds.clone(),
        );
        ingest.register(
            "lag_records",
            "Records waiting to become searchable in the slowest replica group, of the partition where most do",
            self.lag_records.clone(),
        );
        ingest.register(
            "annotations",
            "Documents annotators looked at, by what became of it",
            self.annotations.outcomes.clone(),
        );
        ingest.register_with_unit(
            "annotation_duration",
            "An annotator on a document",
            Unit::Seconds,
            self.annotations.seconds.clone(),
        );
        ingest.register("inflight", "Batches under way", self.in_flight.clone());
    }
}

/// A batch under way.
#[derive(Debug)]
#[must_use]
pub(crate) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}
