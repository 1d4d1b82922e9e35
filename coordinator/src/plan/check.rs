//! A linter for plans: the rules once more, as claims about what a plan may not do.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{Assignment, Holder, LeafName};
use nautilus_types::{Epoch, PartitionId};

use super::model::{Assignments, Plan, PlannedChange, Wanted};
use super::observed::{Observed, holders};
use super::reason::Reason;

/// What is wrong with a plan: a fault of the planner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the plan for partition {partition} {problem}")]
pub struct PlanFault {
    /// For which partition.
    pub partition: PartitionId,
    /// What it must not do.
    pub problem: &'static str,
}

/// Whether a plan keeps the rules. It is called before a plan is executed, and by tests.
pub fn check_plan(
    observed: &Observed,
    wanted: &Wanted,
    previous: &Assignments,
    plan: &Plan,
) -> Result<(), PlanFault> {
    let epochs = observed.epochs(previous);
    let mut assignments = previous.clone();
    let mut changed = BTreeSet::new();
    for change in &plan.changes {
        let partition = change.assignment.partition;
        let fault = |problem| Err(PlanFault { partition, problem });
        if plan.held_back.is_some() {
            return fault("changes something while changes are held back");
        }
        if partition.0 >= wanted.partitions {
            return fault("is for a partition that is not wanted");
        }
        if !changed.insert(partition) {
            return fault("changes it twice");
        }
        let context = Context { observed, wanted, assignments: &assignments, epochs: &epochs };
        if let Err(problem) = context.check(change) {
            return fault(problem);
        }
        assignments.insert(partition, change.assignment.clone());
    }
    check_refused(observed, plan)?;
    check_moves(wanted, previous, &assignments)?;
    check_unassigned(observed, wanted, &assignments, plan)
}

/// The state in which one change is looked at: the earlier ones are done.
struct Context<'a> {
    observed: &'a Observed,
    wanted: &'a Wanted,
    assignments: &'a Assignments,
    epochs: &'a BTreeMap<PartitionId, Epoch>,
}

impl Context<'_> {
    fn check(&self, change: &PlannedChange) -> Result<(), &'static str> {
        let PlannedChange { assignment: new, reason } = change;
        let old = self.assignments.get(&new.partition);
        let refuse = |is_wrong, problem| if is_wrong { Err(problem) } else { Ok(()) };
        refuse(new.reason != reason.as_str(), "states another reason than its own")?;
        let was_pinned = old.is_some_and(|old| old.is_pinned && old.owner == new.owner);
        let is_pinned = was_pinned || *reason == Reason::OperatorMove;
        refuse(new.is_pinned != is_pinned, "pins it, or lets it go, without being asked")?;
        self.check_owner(old, new)?;
        self.check_retiring(old, new)?;
        let Some(old) = old else {
            return refuse(*reason != Reason::NewPartition, "finds a reason in nothing");
        };
        // Make before break: who serves goes on, if need be under a new epoch.
        let goes_on = |it: &Holder| holders(new).any(|h| h == it) || new.owner.leaf == it.leaf;
        let mut serving =
            holders(old).filter(|it| self.observed.is_serving(new.partition, it)).peekable();
        let breaks = serving.peek().is_some() && !serving.any(goes_on);
        refuse(breaks, "takes the partition from the leaf that serves it")?;
        refuse(!self.has_cause(old, change), "has no cause")
    }

    fn check_owner(&self, old: Option<&Assignment>, new: &Assignment) -> Result<(), &'static str> {
        if old.is_some_and(|old| old.owner == new.owner) {
            return Ok(());
        }
        if self.epochs.get(&new.partition).is_some_and(|highest| new.owner.epoch <= *highest) {
            return Err("gives an epoch that is not new");
        }
        if !self.observed.is_live(&new.owner.leaf) {
            return Err("gives it to a leaf that is gone");
        }
        let held = |leaf: &LeafName| self.count(|it| holders(it).any(|h| h.leaf == *leaf));
        if old.is_some_and(|old| holders(old).any(|it| it.leaf == new.owner.leaf)) {
            return Ok(());
        }
        if !self.observed.is_open(&new.owner.leaf) {
            return Err("gives it to a leaf that is draining or cordoned");
        }
        let is_full = |max| held(&new.owner.leaf) >= max;
        if self.wanted.partitions_per_leaf_max.is_some_and(is_full) {
            return Err("gives it to a leaf that is full");
        }
        Ok(())
    }

    fn check_retiring(
        &self,
        old: Option<&Assignment>,
        new: &Assignment,
    ) -> Result<(), &'static str> {
        let Some(retiring) = &new.retiring else { return Ok(()) };
        let goes_elsewhere = new.reason == Reason::OperatorMove.as_str()
            && old.is_some_and(|old| old.retiring.as_ref() == Some(retiring));
        if retiring.leaf == new.owner.leaf {
            return Err("moves it from a leaf to itself");
        }
        if retiring.epoch >= new.owner.epoch {
            return Err("retires an epoch that is not older");
        }
        if !self.observed.is_live(&retiring.leaf) {
            return Err("retires a leaf that is gone");
        }
        if !goes_elsewhere && !old.is_some_and(|old| old.owner == *retiring) {
            return Err("retires a leaf that did not own it");
        }
        Ok(())
    }

    /// Whether what the change says of its cause is so.
    fn has_cause(&self, old: &Assignment, change: &PlannedChange) -> bool {
        let PlannedChange { assignment: new, reason } = change;
        let observed = self.observed;
        let partition = new.partition;
        let is_move = new.retiring.as_ref() == Some(&old.owner);
        let is_end = new.owner == old.owner && new.retiring.is_none() && old.retiring.is_some();
        let is_return = new.retiring.is_none()
            && old.retiring.as_ref().is_some_and(|it| it.leaf == new.owner.leaf);
        match reason {
            Reason::NewPartition => false,
            Reason::OwnerLost => !observed.is_live(&old.owner.leaf),
            Reason::OwnerFailed => observed.is_failed(partition, &old.owner),
            Reason::OwnerServes => is_end && observed.is_serving(partition, &old.owner),
            Reason::RetiringLost => {
                is_end && old.retiring.as_ref().is_some_and(|it| !observed.is_live(&it.leaf))
            }
            Reason::RetiringFailed => {
                is_end && old.retiring.as_ref().is_some_and(|it| observed.is_failed(partition, it))
            }
            Reason::NewOwnerLost => is_return && !observed.is_live(&old.owner.leaf),
            Reason::NewOwnerFailed => is_return && observed.is_failed(partition, &old.owner),
            Reason::NewOwnerDraining => is_return && observed.is_leaving(&old.owner.leaf),
            Reason::OperatorMove => self.is_asked_for(old, new),
            Reason::LeafDraining => is_move && observed.is_leaving(&old.owner.leaf),
            Reason::Balance => {
                let owned = |leaf: &LeafName| self.count(|it| it.owner.leaf == *leaf);
                let unpinned = self.count(|it| it.owner.leaf == old.owner.leaf && !it.is_pinned);
                is_move
                    && observed.is_serving(partition, &old.owner)
                    && !old.is_pinned
                    && unpinned > owned(&new.owner.leaf) + 1
                    && !self.is_spare(&new.owner.leaf)
            }
        }
    }

    /// Whether somebody asked for just that.
    fn is_asked_for(&self, old: &Assignment, new: &Assignment) -> bool {
        self.observed.requests.get(&new.partition).is_some_and(|request| {
            request.epoch.is_none_or(|epoch| epoch == old.owner.epoch)
                && request.to.as_ref().is_none_or(|to| *to == new.owner.leaf)
                && new.owner.leaf != old.owner.leaf
        })
    }

    /// Whether the leaf is idle, and one of no more than are to be spared.
    fn is_spare(&self, leaf: &LeafName) -> bool {
        let is_idle = |leaf: &LeafName| self.count(|it| holders(it).any(|h| h.leaf == *leaf)) == 0;
        let idle = self.observed.open_leaves().filter(|leaf| is_idle(leaf)).count();
        is_idle(leaf) && idle <= self.wanted.spares(self.observed.open_leaves().count())
    }

    fn count(&self, has: impl Fn(&Assignment) -> bool) -> usize {
        let wanted = self.assignments.range(..PartitionId(self.wanted.partitions));
        wanted.filter(|(_, it)| has(it)).count()
    }
}

/// What is refused was asked for, and is not done at the same time.
fn check_refused(observed: &Observed, plan: &Plan) -> Result<(), PlanFault> {
    let made = plan.changes.iter().filter(|it| it.reason == Reason::OperatorMove);
    let made: BTreeSet<PartitionId> = made.map(|it| it.assignment.partition).collect();
    for partition in plan.refused.keys() {
        let fault = |problem| Err(PlanFault { partition: *partition, problem });
        if !observed.requests.contains_key(partition) {
            return fault("refuses what nobody asked for");
        }
        if made.contains(partition) || plan.held_back.is_some() {
            return fault("refuses a move and makes it, or is held back");
        }
    }
    Ok(())
}

fn check_moves(
    wanted: &Wanted,
    before: &Assignments,
    after: &Assignments,
) -> Result<(), PlanFault> {
    let is_moving = |it: &&Assignment| it.retiring.is_some();
    let moves = |all: &Assignments| {
        all.range(..PartitionId(wanted.partitions)).filter(|it| is_moving(&it.1)).count()
    };
    if moves(after) <= wanted.moves_max.max(moves(before)) {
        return Ok(());
    }
    let last = after.values().rev().find(is_moving).map_or(PartitionId(0), |it| it.partition);
    Err(PlanFault { partition: last, problem: "is a move too many" })
}

/// A partition is named as unassigned exactly if nobody could serve it after the changes.
fn check_unassigned(
    observed: &Observed,
    wanted: &Wanted,
    after: &Assignments,
    plan: &Plan,
) -> Result<(), PlanFault> {
    for partition in (0..wanted.partitions).map(PartitionId) {
        let can_serve =
            |it: &Holder| observed.is_live(&it.leaf) && !observed.is_failed(partition, it);
        let is_assigned = after.get(&partition).is_some_and(|it| holders(it).any(can_serve));
        let is_named = plan.unassigned.contains_key(&partition);
        let fault = |problem| Err(PlanFault { partition, problem });
        if !is_assigned && !is_named {
            return fault("leaves it to nobody without saying so");
        }
        if is_assigned && is_named {
            return fault("says that nobody has it");
        }
    }
    Ok(())
}
