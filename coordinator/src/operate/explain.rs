//! Why a partition is where it is, and what became of a move.

use nautilus_registry::Revision;
use nautilus_registry::layout::{
    Assignment, CoordinatorName, Cordon, GroupState, Key, LeafName, RefusedMove, Replica,
    ReplicaState,
};
use nautilus_types::PartitionId;

use super::{Forecast, GroupSnapshot, PartitionReport};
use crate::plan::{Reason, Wanted};

/// Everything that bears on where a partition of a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Who has it, and what is asked.
    pub report: PartitionReport,
    /// What the assignment's reason means; `None` = there is no assignment, or a newer version made it.
    pub because: Option<&'static str>,
    /// Who acts for the group; `None` = nothing will change by itself.
    pub coordinator: Option<CoordinatorName>,
    /// What the group is for roots.
    pub group_state: GroupState,
    /// Why the coordinator does not act.
    pub held_back: Option<String>,
    /// Marks that keep it from leaves, or move it away, by leaf.
    pub cordons: Vec<Cordon>,
    /// Leaves that say of themselves that they are draining.
    pub draining: Vec<LeafName>,
    /// Where it has stopped by an error.
    pub failures: Vec<Replica>,
    /// What would become of it: the forecast's changes of this partition alone.
    pub next: Forecast,
}

/// What became of a move that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveAnswer {
    /// It is not decided yet.
    Waiting,
    /// It is under way.
    Moving(Assignment),
    /// The new owner serves it.
    Done(Assignment),
    /// It cannot be made.
    Refused(RefusedMove),
    /// Neither: it was taken back, or something else came of the partition since.
    Overtaken,
}

impl GroupSnapshot {
    /// Why a partition is where it is, in a group that shall look like that.
    #[must_use]
    pub fn explain(&self, partition: PartitionId, wanted: &Wanted) -> Explanation {
        let report = self.partition(partition);
        let reason = report.assignment.as_ref().and_then(|it| Reason::parse(&it.reason));
        let failed = |it: &&Replica| it.state == ReplicaState::Failed;
        let draining = self.observed.leaves.values().filter(|leaf| leaf.is_draining);
        let mut next = self.forecast(wanted);
        next.changes.retain(|it| it.assignment.partition == partition);
        next.refused.retain(|it, _| *it == partition);
        next.unassigned.retain(|it, _| *it == partition);
        Explanation {
            because: reason.map(Reason::meaning),
            coordinator: self.coordinator().cloned(),
            group_state: self.state(),
            held_back: self.decision.held_back.clone(),
            cordons: self.view.cordons().map(|(cordon, _)| cordon.clone()).collect(),
            draining: draining.map(|leaf| leaf.leaf.clone()).collect(),
            failures: report.replicas.iter().filter(failed).cloned().collect(),
            next,
            report,
        }
    }

    /// What became of a move of the partition that was asked for at this revision.
    #[must_use]
    pub fn answer(&self, partition: PartitionId, asked_at: Revision) -> MoveAnswer {
        let group = self.group.clone();
        let modified = |key: Key| self.view.modified(&key);
        if modified(Key::Move { group: group.clone(), partition }) == Some(asked_at) {
            return MoveAnswer::Waiting;
        }
        let decided_at = modified(Key::Decision { group: group.clone() });
        let assigned_at = modified(Key::Assignment { group, partition });
        let assignment = self.assignments.get(&partition);
        let made = assignment.filter(|it| it.is_pinned && assigned_at > Some(asked_at));
        let refused = self.decision.refused_moves.iter().find(|it| it.partition == partition);
        // A refusal told of before a later move is not yet taken back in the moment after that was made.
        let is_newer = decided_at > Some(asked_at) && (made.is_none() || decided_at > assigned_at);
        match (refused.filter(|_| is_newer), made) {
            (Some(refused), _) => MoveAnswer::Refused(refused.clone()),
            (None, Some(it)) if it.retiring.is_some() => MoveAnswer::Moving(it.clone()),
            (None, Some(it)) => {
                if self.observed.is_serving(partition, &it.owner) {
                    MoveAnswer::Done(it.clone())
                } else {
                    MoveAnswer::Moving(it.clone())
                }
            }
            (None, None) => MoveAnswer::Overtaken,
        }
    }
}
