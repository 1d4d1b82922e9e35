//! What plans would come to if nothing else happened: for people who want to know before they ask.

use nautilus_registry::layout::{Assignment, LeafName, Replica, ReplicaState};

use super::model::{Assignments, Outlook, Plan, PlannedChange, Wanted};
use super::observed::Observed;
use super::plan;
use super::reason::Reason;

/// Every change that would follow, in order, as if each new owner served as soon as it is asked to; and the first
/// plan, which says what is held back, refused or unassigned now.
#[must_use]
pub fn forecast(
    observed: &Observed,
    wanted: &Wanted,
    previous: &Assignments,
    outlook: &Outlook,
) -> (Plan, Vec<PlannedChange>) {
    let (mut observed, mut assignments) = (observed.clone(), previous.clone());
    let first = plan(&observed, wanted, &assignments, outlook);
    let mut next = first.clone();
    let mut changes = Vec::new();
    // Each partition moves and arrives, once for a request and once for what follows from it.
    let rounds_max = usize::try_from(wanted.partitions).unwrap_or(usize::MAX).saturating_mul(4);
    for _ in 0..rounds_max {
        if next.changes.is_empty() && next.refused.is_empty() {
            break;
        }
        for change in next.changes {
            let assignment = &change.assignment;
            if change.reason == Reason::OperatorMove {
                observed.requests.remove(&assignment.partition);
            }
            serve(&mut observed, assignment);
            assignments.insert(assignment.partition, assignment.clone());
            changes.push(change);
        }
        for partition in next.refused.keys() {
            observed.requests.remove(partition);
        }
        next = plan(&observed, wanted, &assignments, outlook);
    }
    (first, changes)
}

/// The new owner serves; who holds it no more has let it go.
fn serve(observed: &mut Observed, assignment: &Assignment) {
    let Assignment { partition, owner, retiring, .. } = assignment;
    let Some(address) = observed.leaves.get(&owner.leaf).map(|leaf| leaf.address.clone()) else {
        return;
    };
    let holds = |leaf: &LeafName| {
        owner.leaf == *leaf || retiring.as_ref().is_some_and(|it| it.leaf == *leaf)
    };
    observed.replicas.retain(|(of, leaf), _| of != partition || holds(leaf));
    let replica = Replica {
        partition: *partition,
        leaf: owner.leaf.clone(),
        address,
        epoch: owner.epoch,
        state: ReplicaState::Serving,
        build: None,
    };
    observed.replicas.insert((*partition, owner.leaf.clone()), replica);
}
