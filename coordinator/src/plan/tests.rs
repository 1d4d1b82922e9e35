//! Plans of single situations, and of random histories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use nautilus_registry::layout::{
    Assignment, CordonKind, Holder, LeafName, LeafRegistration, MoveRequest, Note, Replica,
    ReplicaState,
};
use nautilus_types::{Epoch, PartitionId};

use super::*;

mod histories;
mod people;
mod rules;
mod waiting;
mod world;

const ADDRESS: &str = "http://127.0.0.1:7301";

fn leaf(name: &str) -> LeafName {
    LeafName::new(name).expect("valid")
}

fn holder(name: &str, epoch: u64) -> Holder {
    Holder { leaf: leaf(name), epoch: Epoch(epoch) }
}

fn registration(name: &LeafName, start: u64, is_draining: bool) -> LeafRegistration {
    LeafRegistration { leaf: name.clone(), address: ADDRESS.to_owned(), start, is_draining }
}

fn replica(partition: u32, name: &LeafName, epoch: u64, state: ReplicaState) -> Replica {
    Replica {
        partition: PartitionId(partition),
        leaf: name.clone(),
        address: ADDRESS.to_owned(),
        epoch: Epoch(epoch),
        state,
        build: None,
    }
}

fn request(partition: u32, to: Option<LeafName>, epoch: Option<u64>) -> MoveRequest {
    let note = Note { owner: "sre".to_owned(), reason: String::new() };
    MoveRequest { partition: PartitionId(partition), to, epoch: epoch.map(Epoch), note }
}

fn wanted(partitions: u32) -> Wanted {
    Wanted { partitions, moves_max: 2, partitions_per_leaf_max: None, spare_percent: 0 }
}

/// A group as it is seen, built up by hand.
#[derive(Clone, Default)]
struct Scene {
    observed: Observed,
    assignments: Assignments,
    outlook: Outlook,
}

impl Scene {
    fn leaves(names: &[&str]) -> Self {
        let mut scene = Self::default();
        for name in names {
            scene.observed.leaves.insert(leaf(name), registration(&leaf(name), 1, false));
        }
        scene
    }

    fn assigned(mut self, partition: u32, owner: Holder, retiring: Option<Holder>) -> Self {
        let partition = PartitionId(partition);
        let (reason, is_pinned) = ("TEST".to_owned(), false);
        let assignment = Assignment { partition, owner, retiring, reason, is_pinned };
        self.assignments.insert(partition, assignment);
        self
    }

    fn pinned(mut self, partition: u32) -> Self {
        let assignment = self.assignments.get_mut(&PartitionId(partition)).expect("assigned");
        assignment.is_pinned = true;
        self
    }

    fn cordoned(mut self, name: &str, kind: CordonKind) -> Self {
        self.observed.cordons.insert(leaf(name), kind);
        self
    }

    fn asked(mut self, partition: u32, to: Option<&str>) -> Self {
        let request = request(partition, to.map(leaf), None);
        self.observed.requests.insert(request.partition, request);
        self
    }

    fn announced(mut self, partition: u32, holder: &Holder, state: ReplicaState) -> Self {
        let key = (PartitionId(partition), holder.leaf.clone());
        let replica = replica(partition, &holder.leaf, holder.epoch.0, state);
        self.observed.replicas.insert(key, replica);
        self
    }

    /// Owned and served there.
    fn serves(self, partition: u32, name: &str, epoch: u64) -> Self {
        let owner = holder(name, epoch);
        self.assigned(partition, owner.clone(), None).announced(
            partition,
            &owner,
            ReplicaState::Serving,
        )
    }

    fn draining(mut self, name: &str) -> Self {
        self.observed.leaves.insert(leaf(name), registration(&leaf(name), 1, true));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.observed.leaves.remove(&leaf(name));
        self.observed.replicas.retain(|(_, it), _| *it != leaf(name));
        self
    }

    fn plan(&self, wanted: &Wanted) -> Plan {
        let plan = plan(&self.observed, wanted, &self.assignments, &self.outlook);
        check_plan(&self.observed, wanted, &self.assignments, &plan).expect("keeps the rules");
        plan
    }

    /// Partition, owner, epoch, retiring, reason of each change.
    fn changes(&self, wanted: &Wanted) -> Vec<(u32, String, u64, Option<String>, Reason)> {
        let changes = self.plan(wanted).changes.into_iter().map(|change| {
            let Assignment { partition, owner, retiring, .. } = change.assignment;
            let retiring = retiring.map(|it| it.leaf.to_string());
            (partition.0, owner.leaf.to_string(), owner.epoch.0, retiring, change.reason)
        });
        changes.collect()
    }
}

fn given(
    partition: u32,
    owner: &str,
    epoch: u64,
    retiring: Option<&str>,
    reason: Reason,
) -> (u32, String, u64, Option<String>, Reason) {
    (partition, owner.to_owned(), epoch, retiring.map(str::to_owned), reason)
}
