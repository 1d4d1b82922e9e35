//! What a person changes: prepared against a snapshot, then shown or written in one transaction.

use std::collections::BTreeSet;
use std::time::Duration;

use nautilus_registry::layout::{
    BuildRef, Cordon, CordonKind, GroupBuild, GroupName, GroupStanding, GroupState, Key, LeafName,
    MoveRequest, Note, Record,
};
use nautilus_registry::{Condition, LeaseId, Operation, Registry, Revision, Transaction};
use nautilus_types::PartitionId;

use super::{Forecast, GroupSnapshot, Refusal};
use crate::CoordinatorError;
use crate::election::within;
use crate::plan::{Observed, Wanted};

/// What is to change in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Mark a leaf. It may be one that is not there yet, or no more.
    Cordon {
        /// Which.
        leaf: LeafName,
        /// What it may not do.
        kind: CordonKind,
        /// Who says so and why.
        note: Note,
        /// When, in milliseconds since 1970.
        placed_unix_ms: u64,
        /// It ends after this time, at most an hour; `None` = it stays.
        ttl: Option<Duration>,
    },
    /// Take a leaf's mark away.
    Uncordon {
        /// Of which leaf.
        leaf: LeafName,
    },
    /// Ask for a move.
    Move {
        /// Of which partition.
        partition: PartitionId,
        /// Where to; `None` = any other leaf than its owner.
        to: Option<LeafName>,
        /// Who asks and why.
        note: Note,
    },
    /// Ask for a partition to be built anew on another leaf than its present owner.
    Recover {
        /// Which.
        partition: PartitionId,
        /// Who asks and why.
        note: Note,
    },
    /// Take back a move that is not decided yet.
    Withdraw {
        /// Of which partition.
        partition: PartitionId,
    },
    /// Say whether roots send searches to the group.
    Standing {
        /// What it is from now on.
        state: GroupState,
        /// Who says so and why.
        note: Note,
        /// When, in milliseconds since 1970.
        placed_unix_ms: u64,
        /// It ends after this time, at most an hour, and the group is active then; `None` = it stays.
        ttl: Option<Duration>,
    },
    /// Have the group's leaves serve another build.
    Build {
        /// Which.
        build: BuildRef,
        /// Whether it is a step back: then there is nothing to go back to afterwards.
        is_back: bool,
        /// Who says so and why.
        note: Note,
        /// When, in milliseconds since 1970.
        placed_unix_ms: u64,
    },
}

/// One key that a change writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// It is written; it ends after this time, if any.
    Put(Record, Option<Duration>),
    /// It is removed.
    Delete(Key),
}

/// What a person should know before, or after: it hinders nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// The marked leaf is not registered: the mark holds when it comes.
    LeafNotRegistered(LeafName),
    /// Nobody acts for the group: nothing follows until somebody does.
    NoCoordinator(GroupName),
    /// Nothing follows while this holds the coordinator back.
    HeldBack(String),
    /// Only this group, or drained ones, serve these: searches for them still go to it.
    StillNeeded(BTreeSet<PartitionId>),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// When: what became of a move is asked with it.
    pub revision: Revision,
    /// What.
    pub writes: Vec<Write>,
    /// What to know of it.
    pub warnings: Vec<Warning>,
}

/// What would be written, and what would follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// What would be written.
    pub writes: Vec<Write>,
    /// What to know of it.
    pub warnings: Vec<Warning>,
    /// What the coordinator would do then.
    pub follows: Forecast,
}

/// A change with what it was made from.
struct Prepared {
    snapshot: GroupSnapshot,
    write: Write,
    /// What must be as it was seen, beside what is written.
    seen: Vec<Key>,
    warnings: Vec<Warning>,
}

/// Carries out a change, if all it depends on is still as it was read. `Refused`, or a conflict: try again.
pub async fn apply(
    registry: &dyn Registry,
    group: &GroupName,
    change: &Change,
) -> Result<Applied, CoordinatorError> {
    let Prepared { snapshot, write, seen, warnings } = prepare(registry, group, change).await?;
    let key = write.key();
    let conditions = seen.iter().chain([&key]).map(|key| snapshot.as_seen(key)).collect();
    let mut lease = None;
    let operation = match &write {
        Write::Delete(key) => Operation::Delete(key.to_string()),
        Write::Put(record, ttl) => {
            let value = record.encode().map_err(CoordinatorError::while_("encode the change"))?;
            if let Some(ttl) = ttl {
                let granted = within(registry.grant_lease(*ttl)).await;
                lease = Some(granted.map_err(CoordinatorError::while_("get a lease"))?);
            }
            Operation::Put { key: key.to_string(), value, lease }
        }
    };
    let transaction = Transaction { conditions, operations: vec![operation] };
    let written = within(registry.transact(transaction)).await;
    if written.is_err() {
        give_back(registry, lease).await;
    }
    let revision = written.map_err(CoordinatorError::while_("write the change"))?;
    Ok(Applied { revision, writes: vec![write], warnings })
}

/// What a change would come to, in a group that shall look like that. Nothing is written. `Refused`.
pub async fn preview(
    registry: &dyn Registry,
    group: &GroupName,
    change: &Change,
    wanted: &Wanted,
) -> Result<Preview, CoordinatorError> {
    let Prepared { snapshot, write, warnings, .. } = prepare(registry, group, change).await?;
    if let Write::Put(record, _) = &write {
        record.encode().map_err(CoordinatorError::while_("encode the change"))?;
    }
    let mut observed = snapshot.observed.clone();
    write.show(&mut observed);
    let follows = snapshot.forecast_of(&observed, wanted);
    Ok(Preview { writes: vec![write], warnings, follows })
}

/// A lease whose key was not written, or may not have been: with it goes whatever there is.
pub(super) async fn give_back(registry: &dyn Registry, lease: Option<LeaseId>) {
    let Some(lease) = lease else { return };
    if let Err(error) = within(registry.revoke_lease(lease)).await {
        tracing::debug!(%error, "a lease could not be given back, it ends by itself");
    }
}

async fn prepare(
    registry: &dyn Registry,
    group: &GroupName,
    change: &Change,
) -> Result<Prepared, CoordinatorError> {
    let snapshot = GroupSnapshot::read(registry, group).await?;
    let (write, seen) = snapshot.write_of(change)?;
    let mut warnings = snapshot.warnings_of(change);
    if matches!(change, Change::Standing { state: GroupState::Drained, .. }) {
        let mut needed = super::needed_from(group, &GroupSnapshot::read_all(registry).await?);
        needed.retain(|partition| snapshot.served().contains(partition));
        if !needed.is_empty() {
            warnings.push(Warning::StillNeeded(needed));
        }
    }
    Ok(Prepared { snapshot, write, seen, warnings })
}

impl GroupSnapshot {
    /// What is written for a change, and what must be unchanged for it to be right.
    fn write_of(&self, change: &Change) -> Result<(Write, Vec<Key>), Refusal> {
        let group = || self.group.clone();
        let put = |record, ttl: &Option<Duration>| (Write::Put(record, *ttl), Vec::new());
        Ok(match change {
            Change::Cordon { leaf, kind, note, placed_unix_ms, ttl } => {
                let (leaf, note) = (leaf.clone(), note.clone());
                let cordon = Cordon { leaf, kind: *kind, note, placed_unix_ms: *placed_unix_ms };
                put(Record::Cordon(group(), cordon), ttl)
            }
            Change::Uncordon { leaf } => {
                let key = Key::Cordon { group: group(), leaf: leaf.clone() };
                self.delete(key, || (format!("leaf {leaf}"), "cordon"))?
            }
            Change::Move { partition, to, note } => {
                let request = MoveRequest {
                    partition: *partition,
                    to: to.clone(),
                    epoch: None,
                    note: note.clone(),
                };
                self.request(request)?
            }
            Change::Recover { partition, note } => {
                let owner = self.assignments.get(partition).map(|it| it.owner.epoch);
                let request = MoveRequest {
                    partition: *partition,
                    to: None,
                    epoch: owner,
                    note: note.clone(),
                };
                self.request(request)?
            }
            Change::Withdraw { partition } => {
                let key = Key::Move { group: group(), partition: *partition };
                self.delete(key, || (format!("partition {partition}"), "move asked for"))?
            }
            Change::Standing { state, note, placed_unix_ms, ttl } => {
                let note = note.clone();
                let standing =
                    GroupStanding { state: *state, note, placed_unix_ms: *placed_unix_ms };
                put(Record::Standing(group(), standing), ttl)
            }
            Change::Build { build, is_back, note, placed_unix_ms } => {
                let present = self.build();
                let previous = match self.group_build() {
                    // Said again: what there was before stays known.
                    Some(said) if present == *build => said.previous.clone(),
                    Some(_) | None => Some(present).filter(|present| present != build),
                };
                let previous = previous.filter(|_| !is_back);
                let (build, note) = (build.clone(), note.clone());
                let build = GroupBuild { build, previous, note, placed_unix_ms: *placed_unix_ms };
                put(Record::Build(group(), build), &None)
            }
        })
    }

    fn request(&self, request: MoveRequest) -> Result<(Write, Vec<Key>), Refusal> {
        let (group, partition) = (self.group.clone(), request.partition);
        let Some(assignment) = self.assignments.get(&partition) else {
            return Err(Refusal::UnknownPartition { group, partition });
        };
        if let Some(waiting) = self.observed.requests.get(&partition) {
            return Err(Refusal::MoveWaiting { partition, owner: waiting.note.owner.clone() });
        }
        if let Some(leaf) = &request.to {
            if !self.observed.is_live(leaf) {
                return Err(Refusal::UnknownLeaf { group, leaf: leaf.clone() });
            }
            if assignment.owner.leaf == *leaf {
                return Err(Refusal::AlreadyThere { partition, leaf: leaf.clone() });
            }
        }
        let seen = vec![Key::Assignment { group: group.clone(), partition }];
        Ok((Write::Put(Record::Move(group, request), None), seen))
    }

    fn delete(
        &self,
        key: Key,
        what: impl FnOnce() -> (String, &'static str),
    ) -> Result<(Write, Vec<Key>), Refusal> {
        if self.view.modified(&key).is_none() {
            let (what, mark) = what();
            return Err(Refusal::NoSuchMark { what, mark });
        }
        Ok((Write::Delete(key), Vec::new()))
    }

    fn warnings_of(&self, change: &Change) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let needs_coordinator = match change {
            Change::Cordon { leaf, .. } => {
                if !self.observed.is_live(leaf) {
                    warnings.push(Warning::LeafNotRegistered(leaf.clone()));
                }
                true
            }
            Change::Uncordon { .. } | Change::Move { .. } | Change::Recover { .. } => true,
            Change::Withdraw { .. } | Change::Standing { .. } | Change::Build { .. } => false,
        };
        if needs_coordinator {
            if self.coordinator().is_none() {
                warnings.push(Warning::NoCoordinator(self.group.clone()));
            }
            warnings.extend(self.decision.held_back.clone().map(Warning::HeldBack));
        }
        warnings
    }

    /// That a key is as it is here.
    pub(super) fn as_seen(&self, key: &Key) -> Condition {
        match self.view.modified(key) {
            Some(revision) => Condition::Unchanged(key.to_string(), revision),
            None => Condition::Absent(key.to_string()),
        }
    }
}

impl Write {
    /// What is written.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Put(record, _) => record.key(),
            Self::Delete(key) => key.clone(),
        }
    }

    /// As the plan would see it afterwards.
    fn show(&self, observed: &mut Observed) {
        match self {
            Self::Put(Record::Cordon(_, cordon), _) => {
                observed.cordons.insert(cordon.leaf.clone(), cordon.kind);
            }
            Self::Put(Record::Move(_, request), _) => {
                observed.requests.insert(request.partition, request.clone());
            }
            Self::Delete(Key::Cordon { leaf, .. }) => {
                observed.cordons.remove(leaf);
            }
            Self::Delete(Key::Move { partition, .. }) => {
                observed.requests.remove(partition);
            }
            // Nothing else that is written here is the plan's business.
            Self::Put(..) | Self::Delete(_) => {}
        }
    }
}
