//! Removing a replica group for good.

use std::collections::BTreeSet;

use nautilus_registry::layout::{GroupName, GroupState, Key, prefix};
use nautilus_registry::{
    Condition, Entry, Operation, Registry, TRANSACTION_OPERATIONS_MAX, Transaction,
};
use nautilus_types::PartitionId;

use super::{GroupSnapshot, Refusal};
use crate::CoordinatorError;
use crate::election::within;

/// What is removed of a group: every key under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The keys, the group's standing last.
    pub keys: Vec<String>,
}

/// What [`remove_group`] would remove. Nothing is written. `Refused`.
pub async fn preview_removal(
    registry: &dyn Registry,
    group: &GroupName,
) -> Result<Removal, CoordinatorError> {
    let entries = removable(registry, group).await?;
    Ok(Removal { keys: entries.into_iter().map(|entry| entry.key).collect() })
}

/// Removes every key of a group that is drained and whose leaves and coordinators have stopped, while active groups
/// serve every partition. Its epochs are forgotten. Interrupted, it leaves a drained group, and can be repeated. `Refused`.
pub async fn remove_group(
    registry: &dyn Registry,
    group: &GroupName,
) -> Result<Removal, CoordinatorError> {
    let mut keys = Vec::new();
    loop {
        let entries = match removable(registry, group).await {
            Ok(entries) => entries,
            // Gone, by ourselves.
            Err(CoordinatorError::Refused(Refusal::UnknownGroup { .. })) if !keys.is_empty() => {
                return Ok(Removal { keys });
            }
            Err(error) => return Err(error),
        };
        // As many as fit beside the condition that nobody acts. The standing is in each, and goes with the last.
        let standing = entries.last().cloned();
        let batch = entries.len().min(TRANSACTION_OPERATIONS_MAX - 2);
        let coordinator = Key::Coordinator { group: group.clone() }.to_string();
        let unchanged = |it: &Entry| Condition::Unchanged(it.key.clone(), it.modified);
        let mut conditions = vec![Condition::Absent(coordinator)];
        conditions.extend(entries.iter().take(batch).map(unchanged));
        if batch < entries.len() {
            conditions.extend(standing.iter().map(unchanged));
        }
        let operations: Vec<_> =
            entries.iter().take(batch).map(|it| Operation::Delete(it.key.clone())).collect();
        within(registry.transact(Transaction { conditions, operations }))
            .await
            .map_err(CoordinatorError::while_("remove the group"))?;
        keys.extend(entries.into_iter().take(batch).map(|entry| entry.key));
    }
}

/// The partitions that no other active group serves: with this group gone, nobody would answer for them.
#[must_use]
pub fn needed_from(group: &GroupName, all: &[GroupSnapshot]) -> BTreeSet<PartitionId> {
    let others = || all.iter().filter(|it| it.group != *group);
    let served: BTreeSet<PartitionId> = others()
        .filter(|it| it.state() == GroupState::Active)
        .flat_map(GroupSnapshot::served)
        .collect();
    // Those of all groups: one that lost its own assignments must not look like one nobody needs.
    let known = all.iter().flat_map(|it| it.assignments.keys().copied());
    known.filter(|partition| !served.contains(partition)).collect()
}

/// Everything under the group's name, also what a newer version put there; its standing last.
async fn removable(
    registry: &dyn Registry,
    group: &GroupName,
) -> Result<Vec<Entry>, CoordinatorError> {
    let all = GroupSnapshot::read_all(registry).await?;
    let Some(own) = all.iter().find(|it| it.group == *group) else {
        return Err(Refusal::UnknownGroup { group: group.clone() }.into());
    };
    if own.state() != GroupState::Drained {
        return Err(Refusal::GroupActive { group: group.clone() }.into());
    }
    let mut leaves = own.observed.leaves.keys();
    if let Some(first) = leaves.next() {
        let (group, first, others) = (group.clone(), first.clone(), leaves.count());
        return Err(Refusal::LeavesRegistered { group, first, others }.into());
    }
    if let Some(coordinator) = own.coordinator() {
        let (group, coordinator) = (group.clone(), coordinator.clone());
        return Err(Refusal::CoordinatorActs { group, coordinator }.into());
    }
    if let Some(partition) = needed_from(group, &all).first().copied() {
        return Err(Refusal::LastGroup { group: group.clone(), partition }.into());
    }
    let listing = within(registry.list(&prefix::group(group)))
        .await
        .map_err(CoordinatorError::while_("read the group"))?;
    let standing = Key::Standing { group: group.clone() }.to_string();
    let mut entries = listing.entries;
    entries.sort_by_key(|entry| entry.key == standing);
    Ok(entries)
}
