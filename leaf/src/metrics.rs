//! What a leaf counts. Labels are bounded by configuration; never a namespace.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nautilus_types::PartitionId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Of a leaf as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeafLabels {
    replica_group: String,
    leaf: String,
}

/// Of one partition on one leaf.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    replica_group: String,
    leaf: String,
    partition: u32,
}

/// Of one partition in one state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    replica_group: String,
    leaf: String,
    partition: u32,
    state: &'static str,
}

/// Of a kind of request to a leaf.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    replica_group: String,
    leaf: String,
    call: &'static str,
}

/// Of a part of recovering.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabels {
    replica_group: String,
    leaf: String,
    phase: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

/// Bounds in seconds of what takes part in answering: finer than the 5 ms at which OpenTelemetry's begin.
const ANSWER_SECONDS: [f64; 15] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0,
];
/// Bounds in seconds of what recovering takes.
const RECOVERY_SECONDS: [f64; 10] = [0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0];

/// Makes histograms with given bounds.
#[derive(Clone, Copy)]
struct Bounds(&'static [f64]);

impl MetricConstructor<Histogram> for Bounds {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Histograms<S> = Family<S, Histogram, Bounds>;

/// What recovering is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Download,
    Open,
    Replay,
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Search,
    Suggest,
    Fetch,
    Highlight,
    List,
}

impl Call {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Suggest => "suggest",
            Self::Fetch => "fetch",
            Self::Highlight => "highlight",
            Self::List => "list",
        }
    }
}

/// The metrics of one leaf. Clones count together; what [`Self::of`] makes of one is registered with it.
#[derive(Clone)]
pub struct LeafMetrics {
    replica_group: String,
    leaf: String,
    scan_rows: Family<LeafLabels, Counter>,
    truncated: Family<CallLabels, Counter>,
    in_flight: Family<LeafLabels, Gauge>,
    queue_wait: Histograms<CallLabels>,
    duration: Histograms<CallLabels>,
    snapshot_failures: Family<LeafLabels, Counter>,
    lease_uncertain: Family<LeafLabels, Gauge>,
    recovery: Histograms<PhaseLabels>,
    applied_offset: Family<PartitionLabels, Gauge>,
    lag_records: Family<PartitionLabels, Gauge>,
    lag_seconds: Family<PartitionLabels, Seconds>,
    state: Family<StateLabels, Gauge>,
    snapshot_age: Family<PartitionLabels, Seconds>,
    apply_records: Family<PartitionLabels, Counter>,
    poison_failures: Family<PartitionLabels, Counter>,
    skipped_records: Family<PartitionLabels, Counter>,
    scrubbed_at: Family<PartitionLabels, Seconds>,
    scrub_damage: Family<LeafLabels, Counter>,
    digest_mismatch: Family<PartitionLabels, Gauge>,
    refuted: Family<LeafLabels, Counter>,
}

/// The counters of one partition that are too hot to look up each time.
#[derive(Clone)]
pub(crate) struct PartitionMetrics {
    records: Counter,
    skipped: Counter,
}

impl PartitionMetrics {
    pub(crate) fn applied_record(&self) {
        self.records.inc();
    }

    pub(crate) fn skipped_record(&self) {
        self.skipped.inc();
    }
}

/// What a partition's gauges show.
pub(crate) struct Sample {
    pub(crate) state: &'static str,
    pub(crate) applied_offset: u64,
    pub(crate) lag_records: u64,
    pub(crate) lag_ms: u64,
    pub(crate) snapshot_age_ms: Option<u64>,
}

impl LeafMetrics {
    /// Metrics of a leaf of this group and name, all at zero.
    #[must_use]
    pub fn new(replica_group: impl Into<String>, leaf: impl Into<String>) -> Self {
        let (answers, recoveries) = (Bounds(&ANSWER_SECONDS), Bounds(&RECOVERY_SECONDS));
        Self {
            replica_group: replica_group.into(),
            leaf: leaf.into(),
            scan_rows: Family::default(),
            truncated: Family::default(),
            in_flight: Family::default(),
            queue_wait: Family::new_with_constructor(answers),
            duration: Family::new_with_constructor(answers),
            snapshot_failures: Family::default(),
            lease_uncertain: Family::default(),
            recovery: Family::new_with_constructor(recoveries),
            applied_offset: Family::default(),
            lag_records: Family::default(),
            lag_seconds: Family::default(),
            state: Family::default(),
            snapshot_age: Family::default(),
            apply_records: Family::default(),
            poison_failures: Family::default(),
            skipped_records: Family::default(),
            scrubbed_at: Family::default(),
            scrub_damage: Family::default(),
            digest_mismatch: Family::default(),
            refuted: Family::default(),
        }
    }

    /// The same series for another leaf of this process: register one of them only.
    #[must_use]
    pub fn of(&self, replica_group: impl Into<String>, leaf: impl Into<String>) -> Self {
        Self { replica_group: replica_group.into(), leaf: leaf.into(), ..self.clone() }
    }

    /// Adds everything to a registry, under `nautilus_`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("nautilus");
        let r = registry;
        // Counters get `_total` from the encoding.
        r.register("leaf_scan_rows", "Posting rows read by searches", self.scan_rows.clone());
        r.register("leaf_truncated", "Answers cut short by their budget", self.truncated.clone());
        r.register("leaf_inflight", "Requests queued or running", self.in_flight.clone());
        r.register("leaf_queue_wait_seconds", "Waiting for a thread", self.queue_wait.clone());
        r.register("leaf_search_duration_seconds", "Work on a thread", self.duration.clone());
        r.register(
            "leaf_snapshot_failures",
            "Snapshots that were not published",
            self.snapshot_failures.clone(),
        );
        r.register(
            "leaf_lease_uncertain",
            "1 while the lease may have lapsed",
            self.lease_uncertain.clone(),
        );
        r.register(
            "recovery_duration_seconds",
            "Downloading, opening and replaying a partition",
            self.recovery.clone(),
        );
        r.register(
            "leaf_applied_offset",
            "Every record below it is visible",
            self.applied_offset.clone(),
        );
        r.register(
            "leaf_log_lag_records",
            "Records of the log not applied",
            self.lag_records.clone(),
        );
        r.register("leaf_log_lag_seconds", "Age of the oldest of them", self.lag_seconds.clone());
        r.register("leaf_partition_state", "1 for the state it is in", self.state.clone());
        r.register(
            "leaf_snapshot_age_seconds",
            "Age of the newest known snapshot",
            self.snapshot_age.clone(),
        );
        r.register("leaf_apply_records", "Records applied", self.apply_records.clone());
        r.register(
            "leaf_poison_failures",
            "Times that a record could not be applied and was itself at fault",
            self.poison_failures.clone(),
        );
        r.register(
            "leaf_skipped_records",
            "Records passed over because no replica can apply them",
            self.skipped_records.clone(),
        );
        r.register(
            "leaf_scrubbed_timestamp_seconds",
            "When every block of the partition was last read and found sound",
            self.scrubbed_at.clone(),
        );
        r.register(
            "leaf_scrub_damage",
            "Partitions found damaged by reading them through",
            self.scrub_damage.clone(),
        );
        r.register(
            "leaf_digest_mismatch",
            "1 where another replica group holds different content at the same offset",
            self.digest_mismatch.clone(),
        );
        r.register(
            "leaf_refuted",
            "Partitions taken out because making them anew from the log gave something else",
            self.refuted.clone(),
        );
    }

    fn leaf(&self) -> LeafLabels {
        LeafLabels { replica_group: self.replica_group.clone(), leaf: self.leaf.clone() }
    }

    fn call(&self, call: Call) -> CallLabels {
        let (replica_group, leaf) = (self.replica_group.clone(), self.leaf.clone());
        CallLabels { replica_group, leaf, call: call.name() }
    }

    fn labels(&self, partition: PartitionId) -> PartitionLabels {
        let (replica_group, leaf) = (self.replica_group.clone(), self.leaf.clone());
        PartitionLabels { replica_group, leaf, partition: partition.0 }
    }

    fn in_state(&self, partition: PartitionId, state: &'static str) -> StateLabels {
        let (replica_group, leaf) = (self.replica_group.clone(), self.leaf.clone());
        StateLabels { replica_group, leaf, partition: partition.0, state }
    }

    pub(crate) fn partition(&self, partition: PartitionId) -> PartitionMetrics {
        let labels = self.labels(partition);
        let records = self.apply_records.get_or_create(&labels).clone();
        let skipped = self.skipped_records.get_or_create(&labels).clone();
        PartitionMetrics { records, skipped }
    }

    pub(crate) fn scrubbed(&self, partition: PartitionId, now_unix_ms: u64) {
        self.scrubbed_at.get_or_create(&self.labels(partition)).set(seconds(now_unix_ms));
    }

    pub(crate) fn digests_compared(&self, partition: PartitionId, is_mismatch: bool) {
        self.digest_mismatch.get_or_create(&self.labels(partition)).set(i64::from(is_mismatch));
    }

    pub(crate) fn refuted(&self) {
        self.refuted.get_or_create(&self.leaf()).inc();
    }

    pub(crate) fn scrub_found_damage(&self) {
        self.scrub_damage.get_or_create(&self.leaf()).inc();
    }

    pub(crate) fn poisoned(&self, partition: PartitionId) {
        self.poison_failures.get_or_create(&self.labels(partition)).inc();
    }

    pub(crate) fn worked(&self, call: Call, queued: Duration, took: Duration) {
        let labels = self.call(call);
        self.queue_wait.get_or_create(&labels).observe(queued.as_secs_f64());
        self.duration.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn scanned(&self, call: Call, rows: u64, is_truncated: bool) {
        self.scan_rows.get_or_create(&self.leaf()).inc_by(rows);
        if is_truncated {
            self.truncated.get_or_create(&self.call(call)).inc();
        }
    }

    pub(crate) fn recovered(&self, phase: Phase, took: Duration) {
        let phase = match phase {
            Phase::Download => "download",
            Phase::Open => "open",
            Phase::Replay => "replay",
        };
        let (replica_group, leaf) = (self.replica_group.clone(), self.leaf.clone());
        let labels = PhaseLabels { replica_group, leaf, phase };
        self.recovery.get_or_create(&labels).observe(took.as_secs_f64());
    }

    pub(crate) fn snapshot_failed(&self) {
        self.snapshot_failures.get_or_create(&self.leaf()).inc();
    }

    pub(crate) fn set_leaf(&self, in_flight: u64, is_lease_uncertain: bool) {
        let labels = self.leaf();
        self.in_flight.get_or_create(&labels).set(gauge(in_flight));
        self.lease_uncertain.get_or_create(&labels).set(i64::from(is_lease_uncertain));
    }

    /// Shows a partition; `before` is the state it was last shown in.
    pub(crate) fn show(
        &self,
        partition: PartitionId,
        sample: &Sample,
        before: Option<&'static str>,
    ) {
        let labels = self.labels(partition);
        self.applied_offset.get_or_create(&labels).set(gauge(sample.applied_offset));
        self.lag_records.get_or_create(&labels).set(gauge(sample.lag_records));
        self.lag_seconds.get_or_create(&labels).set(seconds(sample.lag_ms));
        if let Some(before) = before.filter(|before| *before != sample.state) {
            self.state.remove(&self.in_state(partition, before));
        }
        self.state.get_or_create(&self.in_state(partition, sample.state)).set(1);
        if let Some(age_ms) = sample.snapshot_age_ms {
            self.snapshot_age.get_or_create(&labels).set(seconds(age_ms));
        }
    }

    /// Drops the series of a partition that is not here any more: a lag that nobody works off is no lag.
    pub(crate) fn forget(&self, partition: PartitionId, state: &'static str) {
        let labels = self.labels(partition);
        self.applied_offset.remove(&labels);
        self.lag_records.remove(&labels);
        self.lag_seconds.remove(&labels);
        self.snapshot_age.remove(&labels);
        self.apply_records.remove(&labels);
        self.poison_failures.remove(&labels);
        self.skipped_records.remove(&labels);
        self.scrubbed_at.remove(&labels);
        self.digest_mismatch.remove(&labels);
        self.state.remove(&self.in_state(partition, state));
    }
}

fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}
