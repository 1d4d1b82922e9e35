//! The registry's state and what a transaction makes of it: pure decisions, no clock, no IO.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::batch::Batch;
use super::history::History;
use super::leases::Leases;
use crate::Transaction;
use crate::{Change, Condition, Entry, LeaseId, Listing, Operation, RegistryError, Revision};

/// Everything a registry holds.
#[derive(Debug)]
pub(super) struct State {
    revision: Revision,
    entries: BTreeMap<String, Entry>,
    pub(super) history: History,
    pub(super) leases: Leases,
    pub(super) phase: Phase,
}

/// Whether the state may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is what is stored.
    Open,
    /// A commit failed and may have happened.
    Doubtful,
    /// Nothing more happens.
    Closed,
}

impl State {
    pub(super) fn new(
        revision: Revision,
        entries: BTreeMap<String, Entry>,
        history_changes_max: usize,
        leases: Leases,
    ) -> Self {
        let history = History::after(revision, history_changes_max);
        Self { revision, entries, history, leases, phase: Phase::Open }
    }

    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn list(&self, prefix: &str) -> Listing {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let from = self.entries.range::<str, _>(from);
        let entries = from.take_while(|(key, _)| key.starts_with(prefix));
        let entries = entries.map(|(_, entry)| entry.clone()).collect();
        Listing { revision: self.revision, entries }
    }

    /// What a transaction would change. Without changes the batch is empty and of today's revision.
    pub(super) fn plan(&self, transaction: Transaction) -> Result<Batch, RegistryError> {
        if let Some(failed) = transaction.conditions.iter().find(|c| !self.holds(c)) {
            let (key, revision) = (failed.key().to_owned(), self.revision);
            return Err(RegistryError::Conflict { key, revision });
        }
        let at = self.revision.next();
        let mut changes = Vec::with_capacity(transaction.operations.len());
        for operation in transaction.operations {
            match operation {
                Operation::Put { key, value, lease } => {
                    if let Some(lease) = lease
                        && !self.leases.is_live(lease)
                    {
                        return Err(RegistryError::LeaseGone { lease: lease.0 });
                    }
                    changes.push(Change::Put(Entry { key, value, modified: at, lease }));
                }
                Operation::Delete(key) if self.entries.contains_key(&key) => {
                    changes.push(Change::Delete { key, at });
                }
                Operation::Delete(_) => {}
            }
        }
        Ok(self.batch(changes))
    }

    /// Deletes all keys that live by one of `leases`.
    pub(super) fn plan_ends(&self, leases: &BTreeSet<LeaseId>) -> Batch {
        self.plan_deletion(|lease| leases.contains(&lease))
    }

    /// Deletes all keys that live by any lease.
    pub(super) fn plan_end_of_all_leases(&self) -> Batch {
        self.plan_deletion(|_| true)
    }

    fn plan_deletion(&self, is_over: impl Fn(LeaseId) -> bool) -> Batch {
        let at = self.revision.next();
        let over = self.entries.values().filter(|entry| entry.lease.is_some_and(&is_over));
        self.batch(over.map(|entry| Change::Delete { key: entry.key.clone(), at }).collect())
    }

    fn batch(&self, changes: Vec<Change>) -> Batch {
        let revision = if changes.is_empty() { self.revision } else { self.revision.next() };
        Batch { revision, changes }
    }

    /// Makes a planned batch true. Nothing may have come between.
    pub(super) fn apply(&mut self, batch: Batch) {
        assert_eq!(batch.revision, self.revision.next(), "one revision after the other");
        for change in &batch.changes {
            match change {
                Change::Put(entry) => {
                    self.entries.insert(entry.key.clone(), entry.clone());
                }
                Change::Delete { key, .. } => {
                    self.entries.remove(key);
                }
            }
        }
        self.revision = batch.revision;
        self.history.push(batch);
    }

    fn holds(&self, condition: &Condition) -> bool {
        let modified = self.entries.get(condition.key()).map(|entry| entry.modified);
        match condition {
            Condition::Absent(_) => modified.is_none(),
            Condition::Unchanged(_, at) => modified == Some(*at),
            Condition::Present(_) => modified.is_some(),
        }
    }
}
