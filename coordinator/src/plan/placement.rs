//! A plan in the making: the assignments as they would be, and the rules that change them.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{Assignment, Holder, LeafName, ReplicaState};
use nautilus_types::{Epoch, PartitionId};

use super::model::{Assignments, HeldBack, Outlook, Plan, PlannedChange, Wanted};
use super::observed::{Observed, holders};
use super::reason::{Reason, WhyRefused, WhyUnassigned};

mod balance;
mod requests;

/// The state that the rules work on, each after the other.
pub(super) struct Placement<'a> {
    observed: &'a Observed,
    wanted: &'a Wanted,
    avoided: &'a BTreeSet<(PartitionId, LeafName)>,
    held_back: Option<&'a HeldBack>,
    /// Of wanted partitions, with the changes so far.
    assignments: Assignments,
    /// The highest seen of each partition.
    epochs: BTreeMap<PartitionId, Epoch>,
    /// Of every live leaf.
    loads: BTreeMap<&'a LeafName, Load>,
    /// Moves under way.
    moves: usize,
    /// Leaves that serve a partition, whether they hold it or not.
    serving: BTreeMap<PartitionId, BTreeSet<&'a LeafName>>,
    changed: BTreeSet<PartitionId>,
    changes: Vec<PlannedChange>,
    unassigned: BTreeMap<PartitionId, WhyUnassigned>,
    refused: BTreeMap<PartitionId, WhyRefused>,
}

/// How many partitions a leaf has. The order is the one in which leaves are chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Load {
    owned: usize,
    retiring: usize,
}

impl Load {
    fn is_idle(self) -> bool {
        self == Self::default()
    }
}

/// Which leaves a partition may go to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Only those where it has not failed lately.
    Sound,
    /// Those too, when there is no other.
    Any,
}

/// Whether idle leaves that are to be spared are taken only when there is no other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spares {
    Kept,
    Used,
}

impl<'a> Placement<'a> {
    pub(super) fn new(
        observed: &'a Observed,
        wanted: &'a Wanted,
        previous: &Assignments,
        outlook: &'a Outlook,
    ) -> Self {
        let assignments: Assignments = previous
            .range(..PartitionId(wanted.partitions))
            .map(|(partition, assignment)| (*partition, assignment.clone()))
            .collect();
        let mut serving: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for ((partition, leaf), replica) in &observed.replicas {
            if replica.state == ReplicaState::Serving && observed.is_open(leaf) {
                serving.entry(*partition).or_default().insert(leaf);
            }
        }
        let mut placement = Self {
            observed,
            wanted,
            avoided: &outlook.avoided,
            held_back: outlook.held_back.as_ref(),
            epochs: observed.epochs(&assignments),
            loads: observed.leaves.keys().map(|leaf| (leaf, Load::default())).collect(),
            moves: 0,
            serving,
            changed: BTreeSet::new(),
            changes: Vec::new(),
            unassigned: BTreeMap::new(),
            refused: BTreeMap::new(),
            assignments: BTreeMap::new(),
        };
        for (partition, assignment) in assignments {
            placement.put(partition, assignment);
        }
        placement
    }

    /// Rule 2.
    pub(super) fn end_moves(&mut self) {
        for (partition, Assignment { owner, retiring, .. }) in self.unchanged() {
            let Some(retiring) = retiring else { continue };
            let owner_is_live = self.observed.is_live(&owner.leaf);
            let retiring_can_own = self.observed.is_live(&retiring.leaf)
                && !self.observed.is_failed(partition, &retiring);
            let back = if !owner_is_live {
                Some(Reason::NewOwnerLost)
            } else if self.observed.is_failed(partition, &owner) {
                Some(Reason::NewOwnerFailed)
            } else if self.observed.is_leaving(&owner.leaf)
                && !self.observed.is_leaving(&retiring.leaf)
            {
                Some(Reason::NewOwnerDraining)
            } else {
                None
            };
            if self.observed.is_serving(partition, &owner) {
                self.change(partition, owner, None, Reason::OwnerServes);
            } else if let Some(reason) = back.filter(|_| retiring_can_own) {
                self.change_owner(partition, retiring.leaf, None, reason);
            } else if owner_is_live && !self.observed.is_live(&retiring.leaf) {
                self.change(partition, owner, None, Reason::RetiringLost);
            } else if owner_is_live && self.observed.is_failed(partition, &retiring) {
                // Also where the owner has failed too: let go here, it may be tried here again some time.
                self.change(partition, owner, None, Reason::RetiringFailed);
            }
        }
    }

    /// Rule 3.
    pub(super) fn give_ownerless(&mut self) {
        for partition in (0..self.wanted.partitions).map(PartitionId) {
            let reason = match self.assignments.get(&partition) {
                None => Reason::NewPartition,
                Some(it) if !self.observed.is_live(&it.owner.leaf) => Reason::OwnerLost,
                Some(_) => continue,
            };
            let spares = if reason == Reason::NewPartition { Spares::Kept } else { Spares::Used };
            let given = self.choose(partition, Choice::Any, spares).and_then(|leaf| {
                let is_given = self.change_owner(partition, leaf, None, reason);
                is_given.then_some(()).ok_or(WhyUnassigned::EpochsSpent)
            });
            if let Err(why) = given {
                self.unassigned.insert(partition, why);
            }
        }
    }

    /// Rule 4. What replaces failed owners loads no more than `moves_max` partitions at once, so that a fault
    /// of the partitions themselves does not send all of them around at the same time.
    pub(super) fn replace_failed(&mut self) {
        let mut loading = self.loading();
        for (partition, Assignment { owner, .. }) in self.unchanged() {
            if !self.observed.is_failed(partition, &owner) {
                continue;
            }
            let other = self.choose(partition, Choice::Sound, Spares::Used).ok();
            let is_given = other
                .filter(|_| loading < self.wanted.moves_max)
                .is_some_and(|leaf| self.change_owner(partition, leaf, None, Reason::OwnerFailed));
            loading += usize::from(is_given);
        }
    }

    /// Partitions that get going without anybody serving them.
    fn loading(&self) -> usize {
        let is_loading = |(partition, it): &(&PartitionId, &Assignment)| {
            let state = self.observed.state_of(**partition, &it.owner);
            let is_settled = matches!(state, Some(ReplicaState::Serving | ReplicaState::Failed));
            it.retiring.is_none() && !is_settled
        };
        self.assignments.iter().filter(is_loading).count()
    }

    /// Rule 6, its first half.
    pub(super) fn empty_draining(&mut self) {
        for (partition, Assignment { owner, retiring, .. }) in self.unchanged() {
            if self.moves >= self.wanted.moves_max {
                return;
            }
            let is_leaving = self.observed.is_leaving(&owner.leaf)
                && !self.observed.is_failed(partition, &owner);
            if retiring.is_some() || !is_leaving {
                continue;
            }
            if let Ok(leaf) = self.choose(partition, Choice::Sound, Spares::Used) {
                self.change_owner(partition, leaf, Some(owner), Reason::LeafDraining);
            }
        }
    }

    pub(super) fn into_plan(mut self) -> Plan {
        // What else has nobody: its owner failed and waits for its turn, or nothing was to be changed.
        let otherwise =
            self.held_back.map_or(WhyUnassigned::OwnerFailed, |_| WhyUnassigned::HeldBack);
        for partition in (0..self.wanted.partitions).map(PartitionId) {
            let can_serve = |holder: &Holder| {
                self.observed.is_live(&holder.leaf) && !self.observed.is_failed(partition, holder)
            };
            if self.assignments.get(&partition).is_some_and(|it| holders(it).any(can_serve)) {
                self.unassigned.remove(&partition);
            } else {
                self.unassigned.entry(partition).or_insert(otherwise);
            }
        }
        Plan {
            changes: self.changes,
            unassigned: self.unassigned,
            held_back: self.held_back.cloned(),
            refused: self.refused,
        }
    }

    /// The best open leaf for a partition, other than its owner.
    fn choose(
        &self,
        partition: PartitionId,
        choice: Choice,
        spares: Spares,
    ) -> Result<LeafName, WhyUnassigned> {
        let owner = self.assignments.get(&partition).map(|it| &it.owner.leaf);
        if self.loads.is_empty() {
            return Err(WhyUnassigned::NoLeaf);
        }
        let open = || self.loads.iter().filter(|(leaf, _)| self.observed.is_open(leaf));
        if open().next().is_none() {
            let all_leave = self.loads.keys().all(|leaf| self.observed.is_leaving(leaf));
            let why =
                if all_leave { WhyUnassigned::AllDraining } else { WhyUnassigned::AllCordoned };
            return Err(why);
        }
        let serving = self.serving.get(&partition);
        let are_kept = spares == Spares::Kept && self.idle_are_spares();
        open()
            .filter(|(leaf, load)| Some(**leaf) != owner && self.has_room(load))
            .map(|(leaf, load)| {
                let is_serving = serving.is_some_and(|leaves| leaves.contains(leaf));
                let is_kept = are_kept && load.is_idle();
                ((self.has_failed_on(partition, leaf), !is_serving, is_kept, *load), *leaf)
            })
            .filter(|((has_failed, ..), _)| choice == Choice::Any || !has_failed)
            .min()
            .map(|(_, leaf)| leaf.clone())
            .ok_or(WhyUnassigned::AllFull)
    }

    /// Whether there are no more idle leaves than are to be spared.
    fn idle_are_spares(&self) -> bool {
        let open = || self.loads.iter().filter(|(leaf, _)| self.observed.is_open(leaf));
        open().filter(|(_, load)| load.is_idle()).count() <= self.wanted.spares(open().count())
    }

    fn has_failed_on(&self, partition: PartitionId, leaf: &LeafName) -> bool {
        let key = (partition, leaf.clone());
        let fails =
            self.observed.replicas.get(&key).is_some_and(|it| it.state == ReplicaState::Failed);
        fails || self.avoided.contains(&key)
    }

    fn has_room(&self, load: &Load) -> bool {
        self.wanted.partitions_per_leaf_max.is_none_or(|max| load.owned + load.retiring < max)
    }

    /// The assignments no rule has changed yet.
    fn unchanged(&self) -> Vec<(PartitionId, Assignment)> {
        let is_unchanged = |it: &(&PartitionId, &Assignment)| !self.changed.contains(it.0);
        let unchanged = self.assignments.iter().filter(is_unchanged);
        unchanged.map(|(partition, it)| (*partition, it.clone())).collect()
    }

    /// Gives a partition a new owner, under the next epoch; false where there is none.
    fn change_owner(
        &mut self,
        partition: PartitionId,
        leaf: LeafName,
        retiring: Option<Holder>,
        reason: Reason,
    ) -> bool {
        let highest = self.epochs.get(&partition).map_or(0, |epoch| epoch.0);
        let Some(epoch) = highest.checked_add(1).map(Epoch) else { return false };
        self.change(partition, Holder { leaf, epoch }, retiring, reason);
        true
    }

    fn change(
        &mut self,
        partition: PartitionId,
        owner: Holder,
        retiring: Option<Holder>,
        reason: Reason,
    ) {
        let text = reason.as_str().to_owned();
        // It ends with the owner it was made for.
        let was_pinned =
            self.assignments.get(&partition).is_some_and(|it| it.is_pinned && it.owner == owner);
        let is_pinned = was_pinned || reason == Reason::OperatorMove;
        let assignment = Assignment { partition, owner, retiring, reason: text, is_pinned };
        self.put(partition, assignment.clone());
        self.changed.insert(partition);
        self.changes.push(PlannedChange { assignment, reason });
    }

    /// Replaces an assignment and keeps the loads.
    fn put(&mut self, partition: PartitionId, assignment: Assignment) {
        if let Some(old) = self.assignments.remove(&partition) {
            self.count(&old, |number| number.saturating_sub(1));
            self.moves -= usize::from(old.retiring.is_some());
        }
        self.count(&assignment, |number| number + 1);
        self.moves += usize::from(assignment.retiring.is_some());
        self.assignments.insert(partition, assignment);
    }

    fn count(&mut self, assignment: &Assignment, by: impl Fn(usize) -> usize) {
        if let Some(load) = self.loads.get_mut(&assignment.owner.leaf) {
            load.owned = by(load.owned);
        }
        let retiring = assignment.retiring.as_ref();
        if let Some(load) = retiring.and_then(|holder| self.loads.get_mut(&holder.leaf)) {
            load.retiring = by(load.retiring);
        }
    }
}
