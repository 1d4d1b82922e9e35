//! The root's metrics. Labels are bounded: never a namespace, a leaf or a reason of a leaf's making.

use std::collections::BTreeSet;
use std::time::Duration;

use nautilus_registry::layout::{GroupState, ReplicaState};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::routing::RoutingTable;
use crate::shadow::Offer;
use crate::work::WorkCounter;

/// Upper bounds of durations, in seconds: OpenTelemetry's for RPCs, and below them what a fan-out on
/// one network takes.
const SECONDS: [f64; 15] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];
/// Upper bounds of the share of partitions that answered.
const RATIOS: [f64; 6] = [0.0, 0.5, 0.9, 0.99, 0.999, 1.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabel {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// What became of requests beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HedgeResult {
    Sent,
    Won,
    Wasted,
    Denied,
}

/// What became of requests repeated on another replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryResult {
    Sent,
    Won,
    Failed,
    Denied,
}

/// The root's metrics. Clones count together.
#[derive(Debug, Clone)]
pub struct RootMetrics {
    /// Requests of callers under way.
    pub(crate) requests: WorkCounter,
    /// Requests to leaves under way.
    pub(crate) attempts: WorkCounter,
    search_duration: Family<OutcomeLabel, Histogram>,
    stage_duration: Family<StageLabel, Histogram>,
    hedges: Family<ResultLabel, Counter>,
    retries: Family<ResultLabel, Counter>,
    coverage: Histogram,
    partial: Family<ReasonLabel, Counter>,
    table_age_seconds: Gauge,
    registry_connected: Gauge,
    replicas: Family<StateLabel, Gauge>,
    drained_groups: Gauge,
    partitions_of_drained_groups: Gauge,
    drained_group_requests: Counter,
    leaf_requests: Counter,
    suspects: Gauge,
    refused: Gauge,
    refused_requests: Counter,
    shadow_offers: Family<ResultLabel, Counter>,
}

fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for RootMetrics {
    fn default() -> Self {
        Self {
            requests: WorkCounter::default(),
            attempts: WorkCounter::default(),
            search_duration: Family::new_with_constructor(durations),
            stage_duration: Family::new_with_constructor(durations),
            hedges: Family::default(),
            retries: Family::default(),
            coverage: Histogram::new(RATIOS),
            partial: Family::default(),
            table_age_seconds: Gauge::default(),
            registry_connected: Gauge::default(),
            replicas: Family::default(),
            drained_groups: Gauge::default(),
            partitions_of_drained_groups: Gauge::default(),
            drained_group_requests: Counter::default(),
            leaf_requests: Counter::default(),
            suspects: Gauge::default(),
            refused: Gauge::default(),
            refused_requests: Counter::default(),
            shadow_offers: Family::default(),
        }
    }
}

impl RootMetrics {
    /// Adds them to a registry that gives the prefix `nautilus`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "root_search_duration_seconds",
            "Time of a search in the root",
            self.search_duration.clone(),
        );
        registry.register(
            "root_stage_duration_seconds",
            "Time of one stage of a search in the root",
            self.stage_duration.clone(),
        );
        registry.register("root_inflight", "Requests of callers under way", self.requests.gauge());
        registry.register(
            "root_leaf_inflight",
            "Requests to leaves under way",
            self.attempts.gauge(),
        );
        registry.register(
            "root_leaf_requests",
            "Partitions' parts of requests; hedges and retries are what was sent beyond these",
            self.leaf_requests.clone(),
        );
        registry.register(
            "root_hedges",
            "Requests beside the first: sent, won, wasted, denied by the budget",
            self.hedges.clone(),
        );
        registry.register(
            "root_retries",
            "Requests repeated on another replica: sent, won, failed, denied by the budget",
            self.retries.clone(),
        );
        registry.register(
            "root_coverage_ratio",
            "Share of a search's partitions that answered",
            self.coverage.clone(),
        );
        registry.register(
            "root_partial_responses",
            "Partitions that did not answer a search, by kind of reason",
            self.partial.clone(),
        );
        registry.register(
            "root_routing_table_age_seconds",
            "Time since the registry last confirmed the routing table; -1 = it was never read",
            self.table_age_seconds.clone(),
        );
        registry.register(
            "root_registry_connected",
            "Whether the registry answers",
            self.registry_connected.clone(),
        );
        registry.register("root_replicas", "Replicas by announced state", self.replicas.clone());
        registry.register(
            "root_drained_groups",
            "Replica groups that somebody has drained",
            self.drained_groups.clone(),
        );
        registry.register(
            "root_partitions_only_in_drained_groups",
            "Partitions that no other group serves, so that a drained one is asked",
            self.partitions_of_drained_groups.clone(),
        );
        registry.register(
            "root_suspect_queries",
            "Queries that were under way on a leaf that was lost, and not answered since",
            self.suspects.clone(),
        );
        registry.register(
            "root_quarantined_queries",
            "Of those, queries that are refused because it happened twice",
            self.refused.clone(),
        );
        registry.register(
            "root_quarantined_requests",
            "Requests refused because leaves died of their like",
            self.refused_requests.clone(),
        );
        registry.register(
            "root_drained_group_requests",
            "Requests sent to a drained group because no other one could answer",
            self.drained_group_requests.clone(),
        );
        registry.register(
            "root_shadow_searches",
            "Searches drawn to be shadowed: offered to the merger, or why not: suspect, not_served, same_build",
            self.shadow_offers.clone(),
        );
    }

    /// How many fingerprints are suspect, and how many of those refused.
    pub(crate) fn suspects(&self, suspect: usize, refused: usize) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.suspects.set(gauge(suspect));
        self.refused.set(gauge(refused));
    }

    /// A request was refused because leaves died of its like.
    pub(crate) fn refused(&self) {
        self.refused_requests.inc();
    }

    /// A search was drawn to be shadowed.
    pub(crate) fn shadow_offer(&self, offer: Offer) {
        self.shadow_offers.get_or_create(&ResultLabel { result: offer.name() }).inc();
    }

    pub(crate) fn searched(&self, outcome: &'static str, elapsed: Duration) {
        let label = OutcomeLabel { outcome };
        self.search_duration.get_or_create(&label).observe(elapsed.as_secs_f64());
    }

    pub(crate) fn stage(&self, stage: &'static str, elapsed: Duration) {
        let label = StageLabel { stage };
        self.stage_duration.get_or_create(&label).observe(elapsed.as_secs_f64());
    }

    /// A partition's part begins.
    pub(crate) fn asked(&self) {
        self.leaf_requests.inc();
    }

    pub(crate) fn hedge(&self, result: HedgeResult) {
        self.hedge_by(result, 1);
    }

    pub(crate) fn hedge_by(&self, result: HedgeResult, count: u64) {
        let result = match result {
            HedgeResult::Sent => "sent",
            HedgeResult::Won => "won",
            HedgeResult::Wasted => "wasted",
            HedgeResult::Denied => "denied",
        };
        self.hedges.get_or_create(&ResultLabel { result }).inc_by(count);
    }

    pub(crate) fn retry(&self, result: RetryResult) {
        let result = match result {
            RetryResult::Sent => "sent",
            RetryResult::Won => "won",
            RetryResult::Failed => "failed",
            RetryResult::Denied => "denied",
        };
        self.retries.get_or_create(&ResultLabel { result }).inc();
    }

    /// `answered` of `asked` partitions did.
    pub(crate) fn covered(&self, answered: usize, asked: usize) {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let ratio = if asked == 0 { 1.0 } else { count(answered) / count(asked) };
        self.coverage.observe(ratio);
    }

    pub(crate) fn partial(&self, reason: &'static str) {
        self.partial.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(crate) fn table_age(&self, age: Option<Duration>) {
        let seconds = age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        self.table_age_seconds.set(seconds);
    }

    pub(crate) fn registry_connected(&self, is_connected: bool) {
        self.registry_connected.set(i64::from(is_connected));
    }

    pub(crate) fn asked_drained_group(&self) {
        self.drained_group_requests.inc();
    }

    pub(crate) fn table(&self, table: &RoutingTable) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let drained = table.groups.values().filter(|group| group.state() == GroupState::Drained);
        self.drained_groups.set(gauge(drained.count()));
        let needed: BTreeSet<_> =
            table.groups.values().flat_map(|group| &group.still_needed).collect();
        self.partitions_of_drained_groups.set(gauge(needed.len()));
        for state in REPLICA_STATES {
            let all = table.replicas.values().flatten();
            let count = all.filter(|replica| replica.state == state).count();
            let label = StateLabel { state: state_name(state) };
            self.replicas.get_or_create(&label).set(gauge(count));
        }
    }
}

const REPLICA_STATES: [ReplicaState; 5] = [
    ReplicaState::Downloading,
    ReplicaState::Replaying,
    ReplicaState::Serving,
    ReplicaState::Draining,
    ReplicaState::Failed,
];

/// The name programs compare.
pub(crate) fn state_name(state: ReplicaState) -> &'static str {
    match state {
        ReplicaState::Downloading => "DOWNLOADING",
        ReplicaState::Replaying => "REPLAYING",
        ReplicaState::Serving => "SERVING",
        ReplicaState::Draining => "DRAINING",
        ReplicaState::Failed => "FAILED",
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn names_are_those_of_the_dashboards() {
        let metrics = RootMetrics::default();
        metrics.searched("complete", Duration::from_millis(3));
        metrics.stage("fan_out", Duration::from_millis(2));
        metrics.hedge(HedgeResult::Denied);
        metrics.retry(RetryResult::Won);
        metrics.covered(3, 4);
        metrics.partial("deadline");
        metrics.table_age(None);
        metrics.registry_connected(true);
        metrics.asked_drained_group();
        metrics.asked();
        metrics.suspects(3, 1);
        metrics.refused();
        metrics.shadow_offer(Offer::NotServed);
        let _under_way = metrics.requests.begin();
        metrics.table(&RoutingTable::unknown(nautilus_types::PartitionMap::divided(1)));
        let mut registry = Registry::with_prefix("nautilus");
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).expect("text");
        for line in [
            "nautilus_root_search_duration_seconds_count{outcome=\"complete\"} 1",
            "nautilus_root_stage_duration_seconds_count{stage=\"fan_out\"} 1",
            "nautilus_root_hedges_total{result=\"denied\"} 1",
            "nautilus_root_retries_total{result=\"won\"} 1",
            "nautilus_root_coverage_ratio_bucket{le=\"0.9\"} 1",
            "nautilus_root_partial_responses_total{reason=\"deadline\"} 1",
            "nautilus_root_routing_table_age_seconds -1",
            "nautilus_root_registry_connected 1",
            "nautilus_root_replicas{state=\"SERVING\"} 0",
            "nautilus_root_drained_groups 0",
            "nautilus_root_partitions_only_in_drained_groups 0",
            "nautilus_root_drained_group_requests_total 1",
            "nautilus_root_suspect_queries 3",
            "nautilus_root_quarantined_queries 1",
            "nautilus_root_quarantined_requests_total 1",
            "nautilus_root_shadow_searches_total{result=\"not_served\"} 1",
            "nautilus_root_inflight 1",
            "nautilus_root_leaf_inflight 0",
            "nautilus_root_leaf_requests_total 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
