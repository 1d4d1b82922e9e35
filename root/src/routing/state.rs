//! What the registry said so far: listings replace it, changes amend it, and it never goes back.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{GroupName, Record, ReplicaState};
use nautilus_registry::{Change, Entry, Listing, RegistryError, Revision};
use nautilus_types::{Epoch, PartitionId};

/// The registry answered with an older state than it did before: another one, or one restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the registry is at revision {found}, it was at {known}")]
pub struct Backwards {
    /// What it answered.
    pub found: Revision,
    /// What it had answered before.
    pub known: Revision,
}

/// The entries by key, as they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegistryState {
    revision: Option<Revision>,
    records: BTreeMap<String, Record>,
    serving_epochs: BTreeMap<(GroupName, PartitionId), Epoch>,
}

/// Entries that could not be read; they count as not there.
pub(crate) type Unreadable = Vec<RegistryError>;

impl RegistryState {
    /// Takes a listing of all groups for the whole state.
    pub fn listed(&mut self, listing: &Listing) -> Result<Vec<RegistryError>, Backwards> {
        self.check(listing.revision)?;
        self.records.clear();
        let mut unreadable = Unreadable::new();
        for entry in &listing.entries {
            self.put(entry, &mut unreadable);
        }
        self.revision = Some(listing.revision);
        self.forget_removed();
        Ok(unreadable)
    }

    /// Amends the state by the changes of one revision. Those it already shows change nothing.
    pub fn changed(&mut self, revision: Revision, changes: &[Change]) -> Vec<RegistryError> {
        let mut unreadable = Unreadable::new();
        if self.revision.is_some_and(|known| revision <= known) {
            return unreadable;
        }
        for change in changes {
            match change {
                Change::Put(entry) => self.put(entry, &mut unreadable),
                Change::Delete { key, .. } => {
                    self.records.remove(key);
                }
            }
        }
        self.forget_removed();
        self.revision = Some(revision);
        unreadable
    }

    /// The revision it shows; none before the first listing.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// Whether both say the same of every key, whatever their revisions.
    #[must_use]
    pub fn has_same_records(&self, other: &Self) -> bool {
        self.records == other.records && self.serving_epochs == other.serving_epochs
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The newest epochs that ever served: they stay when the replica goes, because an older one must
    /// not come back in its place.
    pub(super) fn serving_epochs(&self) -> &BTreeMap<(GroupName, PartitionId), Epoch> {
        &self.serving_epochs
    }

    /// A group without any entry was removed. If one of its name is made again, its epochs begin anew: by the
    /// old ones all its answers would be outdated.
    fn forget_removed(&mut self) {
        let groups: BTreeSet<&GroupName> =
            self.records.values().map(|record| record.group()).collect();
        self.serving_epochs.retain(|(group, _), _| groups.contains(group));
    }

    fn check(&self, found: Revision) -> Result<(), Backwards> {
        match self.revision {
            Some(known) if found < known => Err(Backwards { found, known }),
            Some(_) | None => Ok(()),
        }
    }

    fn put(&mut self, entry: &Entry, unreadable: &mut Unreadable) {
        match Record::read(entry) {
            Ok(Some(record)) => {
                self.note_serving(&record);
                self.records.insert(entry.key.clone(), record);
            }
            Ok(None) => {}
            Err(error) => {
                self.records.remove(&entry.key);
                unreadable.push(error);
            }
        }
    }

    fn note_serving(&mut self, record: &Record) {
        if let Record::Replica(group, replica) = record
            && replica.state == ReplicaState::Serving
        {
            let newest = self.serving_epochs.entry((group.clone(), replica.partition)).or_default();
            *newest = replica.epoch.max(*newest);
        }
    }
}
