//! A replica group that shall be there.

use nautilus_registry::layout::{GroupName, GroupStanding, GroupState, Key, Note, Record, prefix};
use nautilus_registry::{Condition, Operation, Registry, Revision, Transaction};

use super::Refusal;
use crate::CoordinatorError;
use crate::election::within;

/// Records that a group shall be there: drained, so that searches are kept off until somebody has found it complete
/// and resumes it. Its coordinator and its leaves do the rest once they are started. `Refused`.
pub async fn add_group(
    registry: &dyn Registry,
    group: &GroupName,
    note: Note,
    placed_unix_ms: u64,
) -> Result<Revision, CoordinatorError> {
    let there = within(registry.list(&prefix::group(group)))
        .await
        .map_err(CoordinatorError::while_("read the group"))?;
    if !there.entries.is_empty() {
        return Err(Refusal::GroupThere { group: group.clone() }.into());
    }
    let standing = GroupStanding { state: GroupState::Drained, note, placed_unix_ms };
    let record = Record::Standing(group.clone(), standing);
    let value = record.encode().map_err(CoordinatorError::while_("encode the change"))?;
    let key = Key::Standing { group: group.clone() }.to_string();
    let transaction = Transaction {
        conditions: vec![Condition::Absent(key.clone())],
        operations: vec![Operation::Put { key, value, lease: None }],
    };
    within(registry.transact(transaction))
        .await
        .map_err(CoordinatorError::while_("write the change"))
}
