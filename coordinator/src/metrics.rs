//! What a coordinator counts. Labels are bounded by configuration and by our own reasons.

use nautilus_registry::layout::GroupName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::plan::Reason;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    replica_group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MoveLabels {
    replica_group: String,
    reason: &'static str,
}

/// The metrics of all coordinators of a process. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CoordinatorMetrics {
    idle_leaves: Family<GroupLabel, Gauge>,
    unassigned_partitions: Family<GroupLabel, Gauge>,
    is_leader: Family<GroupLabel, Gauge>,
    held_back: Family<GroupLabel, Gauge>,
    moves: Family<MoveLabels, Counter>,
}

impl CoordinatorMetrics {
    /// Adds them to a registry that gives the prefix `nautilus`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "coordinator_idle_leaves",
            "Live leaves without a partition, as the acting coordinator sees them",
            self.idle_leaves.clone(),
        );
        registry.register(
            "coordinator_unassigned_partitions",
            "Partitions without an owner that could serve, as the acting coordinator sees them",
            self.unassigned_partitions.clone(),
        );
        registry.register(
            "coordinator_is_leader",
            "Whether this coordinator acts for its group",
            self.is_leader.clone(),
        );
        registry.register(
            "coordinator_held_back",
            "Whether the acting coordinator changes nothing: too many leaves went at once, or they are still coming",
            self.held_back.clone(),
        );
        registry.register(
            "coordinator_moves",
            "Changes of assignments, by reason",
            self.moves.clone(),
        );
    }

    pub(crate) fn planned(
        &self,
        group: &GroupName,
        idle_leaves: usize,
        unassigned: usize,
        is_held_back: bool,
    ) {
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let label = label(group);
        self.idle_leaves.get_or_create(&label).set(gauge(idle_leaves));
        self.unassigned_partitions.get_or_create(&label).set(gauge(unassigned));
        self.held_back.get_or_create(&label).set(i64::from(is_held_back));
    }

    /// A coordinator that stands by sees nothing, and says so with zeros.
    pub(crate) fn leads(&self, group: &GroupName, is_leader: bool) {
        self.is_leader.get_or_create(&label(group)).set(i64::from(is_leader));
        if !is_leader {
            self.planned(group, 0, 0, false);
        }
    }

    pub(crate) fn changed(&self, group: &GroupName, reason: Reason) {
        let replica_group = group.to_string();
        self.moves.get_or_create(&MoveLabels { replica_group, reason: reason.as_str() }).inc();
    }
}

fn label(group: &GroupName) -> GroupLabel {
    GroupLabel { replica_group: group.to_string() }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn names_are_those_of_the_dashboards() {
        let metrics = CoordinatorMetrics::default();
        let group = GroupName::new("a").expect("valid");
        let text = || {
            let mut registry = Registry::with_prefix("nautilus");
            metrics.register(&mut registry);
            let mut text = String::new();
            encode(&mut text, &registry).expect("text");
            text
        };
        metrics.leads(&group, true);
        metrics.planned(&group, 2, 3, true);
        metrics.changed(&group, Reason::OwnerLost);
        for line in [
            "nautilus_coordinator_idle_leaves{replica_group=\"a\"} 2",
            "nautilus_coordinator_unassigned_partitions{replica_group=\"a\"} 3",
            "nautilus_coordinator_is_leader{replica_group=\"a\"} 1",
            "nautilus_coordinator_held_back{replica_group=\"a\"} 1",
            "nautilus_coordinator_moves_total{replica_group=\"a\",reason=\"OWNER_LOST\"} 1",
        ] {
            assert!(text().contains(line), "{line} is not in\n{}", text());
        }
        metrics.leads(&group, false);
        for line in ["is_leader{replica_group=\"a\"} 0", "held_back{replica_group=\"a\"} 0"] {
            assert!(text().contains(line), "{line} is not in\n{}", text());
        }
    }
}
