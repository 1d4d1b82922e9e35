//! What the registry shows of a group, kept up to date from listings and watches.

use std::collections::BTreeMap;

use nautilus_registry::layout::{
    Cordon, CordonKind, Decision, GroupBuild, GroupName, GroupStanding, Key, Leader, Record,
};
use nautilus_registry::{Change, Entry, LeaseId, Listing, Revision};

use crate::CoordinatorError;
use crate::plan::{Assignments, Observed};

/// The keys of one group, each as of its last known change.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Of the last listing: older changes are in it.
    listed: Revision,
    /// The highest revision seen.
    seen: Revision,
    records: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    modified: Revision,
    lease: Option<LeaseId>,
    /// Or why it does not read.
    record: Result<Record, String>,
}

impl View {
    /// Takes in a listing of the whole group.
    pub(crate) fn list(&mut self, listing: Listing) -> Result<(), CoordinatorError> {
        if listing.revision < self.seen {
            return Err(CoordinatorError::WentBack { seen: self.seen, got: listing.revision });
        }
        self.listed = listing.revision;
        self.seen = listing.revision;
        let mut before = std::mem::take(&mut self.records);
        for entry in listing.entries {
            match before.remove(&entry.key) {
                Some(known) if known.modified == entry.modified => {
                    self.records.insert(entry.key, known);
                }
                Some(_) | None => self.put(entry),
            }
        }
        Ok(())
    }

    /// Takes in a change that a watch told of, unless what is known is newer.
    pub(crate) fn apply(&mut self, at: Revision, change: Change) {
        self.seen = self.seen.max(at);
        let key = match &change {
            Change::Put(entry) => &entry.key,
            Change::Delete { key, .. } => key,
        };
        if at <= self.listed || self.records.get(key).is_some_and(|known| at <= known.modified) {
            return;
        }
        match change {
            Change::Put(entry) => self.put(entry),
            Change::Delete { key, .. } => drop(self.records.remove(&key)),
        }
    }

    /// Takes in what was written at this revision.
    pub(crate) fn wrote(&mut self, at: Revision, record: Record) {
        self.seen = self.seen.max(at);
        let known = Known { modified: at, lease: None, record: Ok(record) };
        if let Ok(record) = &known.record {
            self.records.insert(record.key().to_string(), known);
        }
    }

    fn put(&mut self, entry: Entry) {
        let record = match Record::read(&entry) {
            Ok(Some(record)) => Ok(record),
            // A key of a newer version says nothing to us.
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(key = entry.key, error = %error, "an entry of the registry makes no sense");
                Err(error.to_string())
            }
        };
        let known = Known { modified: entry.modified, lease: entry.lease, record };
        self.records.insert(entry.key, known);
    }

    /// The leaves, what they announce, and what people ask of them. A replica counts only under the lease of its leaf's registration:
    /// what an earlier life of the leaf has left behind is gone with its lease, and not a state of this one.
    /// A cordon that does not read keeps partitions away: somebody meant something by it.
    pub(crate) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        let mut leases = BTreeMap::new();
        for known in self.records.values() {
            if let Ok(Record::Leaf(_, leaf)) = &known.record {
                leases.insert(&leaf.leaf, known.lease);
                observed.leaves.insert(leaf.leaf.clone(), leaf.clone());
            }
        }
        for (key, known) in &self.records {
            match &known.record {
                Ok(Record::Replica(_, replica)) => {
                    if leases.get(&replica.leaf) == Some(&known.lease) {
                        let key = (replica.partition, replica.leaf.clone());
                        observed.replicas.insert(key, replica.clone());
                    }
                }
                Ok(Record::Cordon(_, cordon)) => {
                    observed.cordons.insert(cordon.leaf.clone(), cordon.kind);
                }
                Ok(Record::Move(_, request)) => {
                    observed.requests.insert(request.partition, request.clone());
                }
                Ok(
                    Record::Leaf(..)
                    | Record::Assignment(..)
                    | Record::Coordinator(..)
                    | Record::Decision(..)
                    | Record::Standing(..)
                    | Record::Build(..),
                ) => {}
                Err(_) => {
                    if let Some(Key::Cordon { leaf, .. }) = Key::parse(key) {
                        observed.cordons.insert(leaf, CordonKind::Cordon);
                    }
                }
            }
        }
        observed
    }

    /// All assignments. `Unreadable` where one of them is.
    pub(crate) fn assignments(&self) -> Result<Assignments, CoordinatorError> {
        let mut assignments = Assignments::new();
        for (key, known) in &self.records {
            match &known.record {
                Ok(Record::Assignment(_, assignment)) => {
                    assignments.insert(assignment.partition, assignment.clone());
                }
                Err(problem) if matches!(Key::parse(key), Some(Key::Assignment { .. })) => {
                    let (key, problem) = (key.clone(), problem.clone());
                    return Err(CoordinatorError::Unreadable { key, problem });
                }
                Ok(_) | Err(_) => {}
            }
        }
        Ok(assignments)
    }

    /// The last decision, if it reads.
    pub(crate) fn decision(&self, group: &GroupName) -> Option<&Decision> {
        match self.record(&Key::Decision { group: group.clone() }) {
            Some(Record::Decision(_, decision)) => Some(decision),
            Some(_) | None => None,
        }
    }

    /// Who coordinates the group, if anybody does and it reads.
    pub(crate) fn leader(&self, group: &GroupName) -> Option<&Leader> {
        match self.record(&Key::Coordinator { group: group.clone() }) {
            Some(Record::Coordinator(_, leader)) => Some(leader),
            Some(_) | None => None,
        }
    }

    /// Whether roots send searches to the group, if that is said and reads.
    pub(crate) fn standing(&self, group: &GroupName) -> Option<&GroupStanding> {
        match self.record(&Key::Standing { group: group.clone() }) {
            Some(Record::Standing(_, standing)) => Some(standing),
            Some(_) | None => None,
        }
    }

    /// Which build the group runs, if that is said and reads.
    pub(crate) fn build(&self, group: &GroupName) -> Option<&GroupBuild> {
        match self.record(&Key::Build { group: group.clone() }) {
            Some(Record::Build(_, build)) => Some(build),
            Some(_) | None => None,
        }
    }

    /// The cordons that read, each with whether it ends by itself.
    pub(crate) fn cordons(&self) -> impl Iterator<Item = (&Cordon, bool)> {
        self.records.values().filter_map(|known| match &known.record {
            Ok(Record::Cordon(_, cordon)) => Some((cordon, known.lease.is_some())),
            Ok(_) | Err(_) => None,
        })
    }

    /// When a key was written; `None` = it is not there.
    pub(crate) fn modified(&self, key: &Key) -> Option<Revision> {
        self.records.get(&key.to_string()).map(|known| known.modified)
    }

    /// The revision of the last listing.
    pub(crate) fn listed(&self) -> Revision {
        self.listed
    }

    /// Takes in that a key was deleted at this revision.
    pub(crate) fn deleted(&mut self, at: Revision, key: &Key) {
        self.seen = self.seen.max(at);
        self.records.remove(&key.to_string());
    }

    fn record(&self, key: &Key) -> Option<&Record> {
        self.records.get(&key.to_string())?.record.as_ref().ok()
    }
}

#[cfg(test)]
mod tests {
    use nautilus_registry::layout::{
        Assignment, Holder, LeafName, LeafRegistration, Replica, ReplicaState,
    };
    use nautilus_types::{Class, Epoch, PartitionId};

    use super::*;

    fn group() -> GroupName {
        GroupName::new("a").expect("valid")
    }

    fn entry(record: &Record, modified: u64, lease: Option<u64>) -> Entry {
        Entry {
            key: record.key().to_string(),
            value: record.encode().expect("valid"),
            modified: Revision(modified),
            lease: lease.map(LeaseId),
        }
    }

    fn name() -> LeafName {
        LeafName::new("leaf-a").expect("valid")
    }

    fn assigned(epoch: u64) -> Record {
        let owner = Holder { leaf: name(), epoch: Epoch(epoch) };
        let assignment = Assignment {
            partition: PartitionId(0),
            owner,
            retiring: None,
            reason: "TEST".to_owned(),
            is_pinned: false,
        };
        Record::Assignment(group(), assignment)
    }

    fn registered() -> Record {
        let address = "http://127.0.0.1:1".to_owned();
        let (start, is_draining) = (1, false);
        Record::Leaf(group(), LeafRegistration { leaf: name(), address, start, is_draining })
    }

    fn serving() -> Record {
        let replica = Replica {
            partition: PartitionId(0),
            leaf: name(),
            address: "http://127.0.0.1:1".to_owned(),
            epoch: Epoch(1),
            state: ReplicaState::Serving,
            build: None,
        };
        Record::Replica(group(), replica)
    }

    fn listing(revision: u64, entries: Vec<Entry>) -> Listing {
        Listing { revision: Revision(revision), entries }
    }

    fn put(record: &Record, modified: u64) -> Change {
        Change::Put(entry(record, modified, None))
    }

    fn epoch(view: &View) -> Option<u64> {
        view.assignments().expect("readable").get(&PartitionId(0)).map(|it| it.owner.epoch.0)
    }

    fn delete(record: &Record, at: u64) -> Change {
        Change::Delete { key: record.key().to_string(), at: Revision(at) }
    }

    #[test]
    fn what_is_older_than_what_is_known_changes_nothing() {
        let mut view = View::default();
        view.list(listing(10, vec![entry(&assigned(1), 4, None)])).expect("listed");
        // The watch began before the listing.
        view.apply(Revision(7), delete(&assigned(1), 7));
        view.apply(Revision(8), put(&assigned(9), 8));
        assert_eq!(epoch(&view), Some(1));
        view.apply(Revision(11), put(&assigned(2), 11));
        assert_eq!(epoch(&view), Some(2));
        // Written by ourselves; the watch tells of what was before it, and of it.
        view.wrote(Revision(14), assigned(4));
        view.apply(Revision(13), put(&assigned(3), 13));
        view.apply(Revision(14), put(&assigned(4), 14));
        assert_eq!(epoch(&view), Some(4));
        let key = assigned(4).key();
        assert_eq!(view.modified(&key), Some(Revision(14)));
        view.apply(Revision(15), delete(&assigned(4), 15));
        assert_eq!(epoch(&view), None);
        assert_eq!(view.modified(&key), None);
    }

    #[test]
    fn a_registry_that_goes_back_is_not_believed() {
        let mut view = View::default();
        view.list(listing(10, vec![entry(&assigned(5), 4, None)])).expect("listed");
        view.wrote(Revision(12), assigned(6));
        let error = view.list(listing(11, Vec::new())).expect_err("refused");
        assert_eq!(error.class(), Class::Corrupt);
        assert_eq!(epoch(&view), Some(6));
        view.list(listing(12, Vec::new())).expect("listed");
        assert_eq!(epoch(&view), None);
    }

    #[test]
    fn replicas_count_under_the_lease_of_their_leaf() {
        let seen = |leaf_lease, replica_lease| {
            let mut view = View::default();
            let entries = vec![
                entry(&registered(), 2, Some(leaf_lease)),
                entry(&serving(), 3, Some(replica_lease)),
            ];
            view.list(listing(3, entries)).expect("listed");
            let observed = view.observed();
            (observed.leaves.len(), observed.replicas.len())
        };
        assert_eq!(seen(1, 1), (1, 1));
        assert_eq!(seen(2, 1), (1, 0));
    }

    #[test]
    fn an_assignment_that_does_not_read_is_an_error_and_other_entries_are_left_out() {
        let mut view = View::default();
        let damaged =
            |record: &Record| Entry { value: vec![0xff].into(), ..entry(record, 2, None) };
        view.list(listing(3, vec![damaged(&registered())])).expect("listed");
        assert!(view.observed().leaves.is_empty());
        assert!(view.assignments().expect("readable").is_empty());
        view.list(listing(3, vec![damaged(&assigned(1))])).expect("listed");
        let error = view.assignments().expect_err("unreadable");
        assert_eq!(error.class(), Class::Corrupt);
        assert!(error.to_string().contains("groups/a/assignments/p0000"), "{error}");
    }
}
