//! What a coordinator counts. Labels are bounded by configuration and by our own reasons.

use nautilus_registry::layout::GroupName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::plan::{Assignments, Observed, Plan, Reason, Wanted, WhyRefused};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GroupLabel {
    replica_group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MoveLabels {
    replica_group: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    replica_group: String,
    why: &'static str,
}

/// What an acting coordinator sees of its group; all zeros where it stands by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    idle_leaves: usize,
    spare_leaves_wanted: usize,
    cordoned_leaves: usize,
    draining_leaves: usize,
    unassigned: usize,
    pinned: usize,
    requests: usize,
    is_held_back: bool,
}

impl Sight {
    pub(crate) fn of(
        observed: &Observed,
        wanted: &Wanted,
        assignments: &Assignments,
        plan: &Plan,
    ) -> Self {
        let live = || observed.leaves.keys();
        Self {
            idle_leaves: observed.idle_leaves(assignments),
            spare_leaves_wanted: wanted.spares(observed.open_leaves().count()),
            cordoned_leaves: live().filter(|leaf| observed.cordons.contains_key(*leaf)).count(),
            draining_leaves: live().filter(|leaf| observed.is_leaving(leaf)).count(),
            unassigned: plan.unassigned.len(),
            pinned: assignments.values().filter(|it| it.is_pinned).count(),
            requests: observed.requests.len(),
            is_held_back: plan.held_back.is_some(),
        }
    }
}

/// The metrics of all coordinators of a process. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CoordinatorMetrics {
    idle_leaves: Family<GroupLabel, Gauge>,
    spare_leaves_wanted: Family<GroupLabel, Gauge>,
    cordoned_leaves: Family<GroupLabel, Gauge>,
    draining_leaves: Family<GroupLabel, Gauge>,
    pinned_partitions: Family<GroupLabel, Gauge>,
    move_requests: Family<GroupLabel, Gauge>,
    moves_refused: Family<RefusedLabels, Counter>,
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
            "Live leaves without a partition that may be given some, as the acting coordinator sees them",
            self.idle_leaves.clone(),
        );
        registry.register(
            "coordinator_spare_leaves_wanted",
            "So many idle leaves are kept idle to replace lost ones",
            self.spare_leaves_wanted.clone(),
        );
        registry.register(
            "coordinator_cordoned_leaves",
            "Live leaves that somebody has cordoned or drained",
            self.cordoned_leaves.clone(),
        );
        registry.register(
            "coordinator_draining_leaves",
            "Live leaves that are being emptied",
            self.draining_leaves.clone(),
        );
        registry.register(
            "coordinator_pinned_partitions",
            "Partitions that stay where somebody has placed them",
            self.pinned_partitions.clone(),
        );
        registry.register(
            "coordinator_move_requests",
            "Moves asked for and not yet decided",
            self.move_requests.clone(),
        );
        registry.register(
            "coordinator_moves_refused",
            "Moves asked for that could not be made, by cause",
            self.moves_refused.clone(),
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

    pub(crate) fn planned(&self, group: &GroupName, sight: Sight) {
        let label = label(group);
        let set = |family: &Family<GroupLabel, Gauge>, count| {
            family.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.idle_leaves, sight.idle_leaves);
        set(&self.spare_leaves_wanted, sight.spare_leaves_wanted);
        set(&self.cordoned_leaves, sight.cordoned_leaves);
        set(&self.draining_leaves, sight.draining_leaves);
        set(&self.unassigned_partitions, sight.unassigned);
        set(&self.pinned_partitions, sight.pinned);
        set(&self.move_requests, sight.requests);
        set(&self.held_back, usize::from(sight.is_held_back));
    }

    /// A coordinator that stands by sees nothing, and says so with zeros.
    pub(crate) fn leads(&self, group: &GroupName, is_leader: bool) {
        self.is_leader.get_or_create(&label(group)).set(i64::from(is_leader));
        if !is_leader {
            self.planned(group, Sight::default());
        }
    }

    pub(crate) fn changed(&self, group: &GroupName, reason: Reason) {
        let replica_group = group.to_string();
        self.moves.get_or_create(&MoveLabels { replica_group, reason: reason.as_str() }).inc();
    }

    pub(crate) fn refused(&self, group: &GroupName, why: WhyRefused) {
        let replica_group = group.to_string();
        self.moves_refused.get_or_create(&RefusedLabels { replica_group, why: why.as_str() }).inc();
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
        let sight = Sight {
            idle_leaves: 2,
            spare_leaves_wanted: 1,
            cordoned_leaves: 4,
            draining_leaves: 5,
            unassigned: 3,
            pinned: 6,
            requests: 7,
            is_held_back: true,
        };
        metrics.planned(&group, sight);
        metrics.refused(&group, WhyRefused::LeafGone);
        metrics.changed(&group, Reason::OwnerLost);
        for line in [
            "nautilus_coordinator_idle_leaves{replica_group=\"a\"} 2",
            "nautilus_coordinator_unassigned_partitions{replica_group=\"a\"} 3",
            "nautilus_coordinator_spare_leaves_wanted{replica_group=\"a\"} 1",
            "nautilus_coordinator_cordoned_leaves{replica_group=\"a\"} 4",
            "nautilus_coordinator_draining_leaves{replica_group=\"a\"} 5",
            "nautilus_coordinator_pinned_partitions{replica_group=\"a\"} 6",
            "nautilus_coordinator_move_requests{replica_group=\"a\"} 7",
            "nautilus_coordinator_moves_refused_total{replica_group=\"a\",why=\"LEAF_GONE\"} 1",
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
