//! The routing table: who may answer for which partition. Pure data: a change is another table.
//!
//! ```text
//! listings, changes ─► RegistryState ─► RoutingTable::of ─► table (immutable, swapped whole)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nautilus_registry::Revision;
use nautilus_registry::layout::{
    GroupName, GroupStanding, GroupState, LeafName, Record, ReplicaState,
};
use nautilus_types::{Epoch, PartitionId, PartitionMap};

mod state;
#[cfg(test)]
mod tests;

pub use state::{Backwards, RegistryState};

/// A leaf where it was said to listen. A process that came back elsewhere is another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafAddress {
    /// Its replica group.
    pub group: GroupName,
    /// Its name.
    pub leaf: LeafName,
    /// URI such as `http://127.0.0.1:7301`.
    pub address: String,
}

/// What a replica is good for, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// It serves under the newest serving epoch of its group.
    Serving,
    /// It still answers and will go: a last resort.
    Draining,
    /// It answers, but somebody has drained its group: for what no other group serves.
    GroupDrained,
    /// A newer epoch serves: its answers count only while the registry is away.
    Outdated,
    /// It does not answer searches.
    NotReady,
}

/// One partition on one leaf, as announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Which partition.
    pub partition: PartitionId,
    /// On which leaf.
    pub at: Arc<LeafAddress>,
    /// Under which epoch.
    pub epoch: Epoch,
    /// What the leaf announced.
    pub state: ReplicaState,
    /// What that makes it.
    pub standing: Standing,
    /// Which build its files come from; empty = fed from the log alone.
    pub build: String,
}

/// What is known of a replica group as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Partitions of the map that no leaf of it serves, ascending.
    pub unserved: Vec<PartitionId>,
    /// Why its coordinator does not act; empty = it acts.
    pub held_back: String,
    /// What somebody has said of it.
    pub standing: Option<GroupStanding>,
    /// Partitions for which it is asked although it is drained: no other group serves them. Ascending.
    pub still_needed: Vec<PartitionId>,
}

impl Group {
    /// Whether it takes its share of searches.
    #[must_use]
    pub fn state(&self) -> GroupState {
        self.standing.as_ref().map_or(GroupState::Active, |standing| standing.state)
    }
}

/// A whole table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingTable {
    /// Which partition holds a namespace; its version is what requests carry.
    pub map: PartitionMap,
    /// The registry's revision it shows; none = the registry was never read.
    pub revision: Option<Revision>,
    /// The replicas of each partition: by standing, group, leaf.
    pub replicas: BTreeMap<PartitionId, Vec<Arc<Replica>>>,
    /// The newest epoch that ever served, of each partition in each group.
    pub serving_epochs: BTreeMap<(GroupName, PartitionId), Epoch>,
    /// Every leaf that registered or announced a replica.
    pub leaves: BTreeSet<Arc<LeafAddress>>,
    /// Every group that anything is known of.
    pub groups: BTreeMap<GroupName, Group>,
    /// Partitions that have an owner in some group, whether it serves or not.
    pub assigned: BTreeSet<PartitionId>,
}

impl RoutingTable {
    /// The table before the registry was read: nobody is known.
    #[must_use]
    pub fn unknown(map: PartitionMap) -> Self {
        Self {
            map,
            revision: None,
            replicas: BTreeMap::new(),
            serving_epochs: BTreeMap::new(),
            leaves: BTreeSet::new(),
            groups: BTreeMap::new(),
            assigned: BTreeSet::new(),
        }
    }

    /// The table of what the registry says. Partitions outside the map are passed over.
    #[must_use]
    pub fn of(map: PartitionMap, state: &RegistryState) -> Self {
        let mut table = Self::unknown(map);
        table.revision = state.revision();
        table.serving_epochs = state.serving_epochs().clone();
        // What a replica is good for depends on its group, so that comes first.
        for record in state.records() {
            if let Record::Standing(group, standing) = record {
                table.group(group).standing = Some(standing.clone());
            }
        }
        for record in state.records() {
            table.add(record);
        }
        for replicas in table.replicas.values_mut() {
            replicas.sort_by(|a, b| (a.standing, &a.at).cmp(&(b.standing, &b.at)));
        }
        table.find_unserved();
        table.find_still_needed();
        table
    }

    /// The replicas of a partition that answer searches, or might: best standing first.
    pub fn routable(&self, partition: PartitionId) -> impl Iterator<Item = &Arc<Replica>> {
        let all = self.replicas.get(&partition).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|replica| replica.standing != Standing::NotReady)
    }

    /// Whether an answer under `epoch` is older than what serves in its group.
    #[must_use]
    pub fn is_outdated(&self, group: &GroupName, partition: PartitionId, epoch: Epoch) -> bool {
        // A key of references would need its own ordering; a clone of a short name does not.
        let newest = self.serving_epochs.get(&(group.clone(), partition));
        newest.is_some_and(|newest| epoch < *newest)
    }

    /// Every partition of the map, in order.
    pub fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.map.partitions).map(PartitionId)
    }

    fn add(&mut self, record: &Record) {
        match record {
            Record::Leaf(group, leaf) => {
                self.group(group);
                let (leaf, address) = (leaf.leaf.clone(), leaf.address.clone());
                self.leaf(LeafAddress { group: group.clone(), leaf, address });
            }
            Record::Assignment(group, assignment) => {
                self.group(group);
                self.assigned.insert(assignment.partition);
            }
            Record::Replica(group, replica) => {
                self.group(group);
                if replica.partition.0 >= self.map.partitions {
                    return;
                }
                let at = self.leaf(LeafAddress {
                    group: group.clone(),
                    leaf: replica.leaf.clone(),
                    address: replica.address.clone(),
                });
                let is_outdated = self.is_outdated(group, replica.partition, replica.epoch);
                let group_state = self.group(group).state();
                let standing = match replica.state {
                    ReplicaState::Serving | ReplicaState::Draining if is_outdated => {
                        Standing::Outdated
                    }
                    ReplicaState::Serving | ReplicaState::Draining
                        if group_state == GroupState::Drained =>
                    {
                        Standing::GroupDrained
                    }
                    ReplicaState::Serving => Standing::Serving,
                    ReplicaState::Draining => Standing::Draining,
                    ReplicaState::Downloading | ReplicaState::Replaying | ReplicaState::Failed => {
                        Standing::NotReady
                    }
                };
                let replica = Replica {
                    partition: replica.partition,
                    at,
                    epoch: replica.epoch,
                    state: replica.state,
                    standing,
                    build: replica.build.clone().unwrap_or_default(),
                };
                self.replicas.entry(replica.partition).or_default().push(Arc::new(replica));
            }
            Record::Coordinator(group, _)
            | Record::Cordon(group, _)
            | Record::Move(group, _)
            | Record::Standing(group, _)
            | Record::Build(group, _) => {
                self.group(group);
            }
            Record::Decision(group, decision) => {
                self.group(group).held_back = decision.held_back.clone().unwrap_or_default();
            }
        }
    }

    fn group(&mut self, group: &GroupName) -> &mut Group {
        self.groups.entry(group.clone()).or_default()
    }

    fn leaf(&mut self, leaf: LeafAddress) -> Arc<LeafAddress> {
        if let Some(known) = self.leaves.get(&leaf) {
            return Arc::clone(known);
        }
        let leaf = Arc::new(leaf);
        self.leaves.insert(Arc::clone(&leaf));
        leaf
    }

    fn find_unserved(&mut self) {
        let mut served: BTreeSet<(&GroupName, PartitionId)> = BTreeSet::new();
        for replica in self.replicas.values().flatten() {
            match replica.standing {
                Standing::Serving | Standing::Draining | Standing::GroupDrained => {
                    served.insert((&replica.at.group, replica.partition));
                }
                Standing::Outdated | Standing::NotReady => {}
            }
        }
        for (name, group) in &mut self.groups {
            let all = (0..self.map.partitions).map(PartitionId);
            group.unserved =
                all.filter(|partition| !served.contains(&(name, *partition))).collect();
        }
    }

    fn find_still_needed(&mut self) {
        for (partition, replicas) in &self.replicas {
            // The first is the best.
            if replicas.first().is_some_and(|it| it.standing == Standing::GroupDrained) {
                let last = replicas.iter().filter(|it| it.standing == Standing::GroupDrained);
                let names: BTreeSet<&GroupName> = last.map(|it| &it.at.group).collect();
                for name in names {
                    if let Some(group) = self.groups.get_mut(name) {
                        group.still_needed.push(*partition);
                    }
                }
            }
        }
    }
}
