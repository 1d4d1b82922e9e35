//! A group in miniature: leaves that live, die and follow assignments late, and a registry that loses writes.

use super::*;

pub(super) const PATIENCE: Patience = Patience {
    lease_ttl: Duration::from_secs(10),
    gather_time: Duration::from_secs(3),
    brake_time: Duration::from_secs(120),
    avoid_time: Duration::from_secs(300),
};

/// What happens to the group.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A leaf starts, or starts again.
    Start(usize),
    /// A leaf and its lease are gone.
    Die(usize),
    /// A leaf dies and is back before its lease ends.
    Restart(usize),
    /// A leaf's flag turns.
    Drain(usize, bool),
    /// A person marks a leaf, or takes the mark away.
    Mark(usize, Option<CordonKind>),
    /// A person asks for a move, to a leaf or anywhere else, maybe away from the present owner only.
    Ask(u32, Option<usize>, bool),
    /// A leaf reads its assignments and takes up what is new.
    Follow(usize),
    /// All replicas of a leaf get one state further.
    Advance(usize),
    /// A replica of a leaf fails.
    Fail(usize, usize),
    /// Time passes.
    Pass(u64),
    /// The coordinator plans; of its transactions those with a bit here are lost.
    Act(u64),
    /// Another coordinator takes over, which has seen nothing.
    TakeOver,
}

#[derive(Debug, Clone)]
struct Leaf {
    start: u64,
    is_live: bool,
    is_draining: bool,
    replicas: BTreeMap<PartitionId, (Epoch, ReplicaState)>,
}

pub(super) struct World {
    wanted: Wanted,
    now: Duration,
    leaves: BTreeMap<LeafName, Leaf>,
    pub(super) assignments: Assignments,
    roster: Roster,
    cordons: BTreeMap<LeafName, CordonKind>,
    requests: BTreeMap<PartitionId, MoveRequest>,
    /// Who was ever given which epoch.
    given: BTreeMap<(PartitionId, Epoch), LeafName>,
    pub(super) was_braked: bool,
}

impl World {
    pub(super) fn new(leaves: usize, wanted: Wanted) -> Self {
        let leaf_of = |i| (leaf(&format!("leaf-{i}")), Leaf::absent());
        Self {
            wanted,
            now: Duration::ZERO,
            leaves: (0..leaves).map(leaf_of).collect(),
            assignments: Assignments::new(),
            roster: Roster::new(PATIENCE),
            cordons: BTreeMap::new(),
            requests: BTreeMap::new(),
            given: BTreeMap::new(),
            was_braked: false,
        }
    }

    pub(super) fn happen(&mut self, event: &Event) {
        match *event {
            Event::Start(i) => self.with(i, |leaf| {
                if !leaf.is_live {
                    leaf.begin();
                }
            }),
            Event::Die(i) => self.with(i, Leaf::end),
            Event::Restart(i) => self.with(i, |leaf| {
                if leaf.is_live {
                    leaf.begin();
                }
            }),
            Event::Drain(i, is_draining) => self.with(i, |leaf| leaf.is_draining = is_draining),
            Event::Mark(i, kind) => self.mark(i, kind),
            Event::Ask(partition, to, is_guarded) => self.ask(partition, to, is_guarded),
            Event::Follow(i) => self.follow(i),
            Event::Advance(i) => self.with(i, Leaf::advance),
            Event::Fail(i, nth) => self.with(i, |leaf| leaf.fail(nth)),
            Event::Pass(seconds) => self.now += Duration::from_secs(seconds),
            Event::Act(lost) => {
                self.act(lost);
            }
            Event::TakeOver => self.roster = Roster::new(PATIENCE),
        }
    }

    /// Plans and executes; returns the plan.
    pub(super) fn act(&mut self, lost: u64) -> Plan {
        let observed = self.observed();
        let outlook = self.roster.observe(self.now, &observed, &self.assignments);
        self.was_braked |= matches!(outlook.held_back, Some(HeldBack::TooManyGone { .. }));
        let plan = plan(&observed, &self.wanted, &self.assignments, &outlook);
        if let Err(fault) = check_plan(&observed, &self.wanted, &self.assignments, &plan) {
            panic!("{fault}: {plan:#?}\n{observed:#?}\n{:#?}", self.assignments);
        }
        let is_lost = |i: usize| lost >> (i % 64) & 1 == 1;
        for (i, change) in plan.changes.iter().enumerate() {
            if !is_lost(i) {
                self.execute(&change.assignment);
                if change.reason == Reason::OperatorMove {
                    assert!(self.requests.remove(&change.assignment.partition).is_some());
                }
            }
        }
        if !is_lost(plan.changes.len()) {
            self.requests.retain(|partition, _| !plan.refused.contains_key(partition));
        }
        plan
    }

    fn mark(&mut self, i: usize, kind: Option<CordonKind>) {
        let Some((name, _)) = nth(&mut self.leaves, i) else { return };
        match kind {
            Some(kind) => self.cordons.insert(name.clone(), kind),
            None => self.cordons.remove(name),
        };
    }

    fn ask(&mut self, partition: u32, to: Option<usize>, is_guarded: bool) {
        let partition = partition % (self.wanted.partitions + 1);
        let owner = self.assignments.get(&PartitionId(partition)).map(|it| it.owner.epoch.0);
        let to = to.and_then(|i| nth(&mut self.leaves, i)).map(|(name, _)| name.clone());
        let request = request(partition, to, owner.filter(|_| is_guarded));
        self.requests.insert(request.partition, request);
    }

    /// Stands for the transaction, and checks what must hold of any two assignments in a row.
    fn execute(&mut self, new: &Assignment) {
        let highest =
            self.given.range((new.partition, Epoch(0))..=(new.partition, Epoch(u64::MAX)));
        let highest = highest.last().map(|((_, epoch), leaf)| (*epoch, leaf.clone()));
        let old = self.assignments.insert(new.partition, new.clone());
        let same_owner = old.as_ref().is_some_and(|old| old.owner == new.owner);
        if !same_owner {
            assert!(highest.is_none_or(|(epoch, _)| epoch < new.owner.epoch), "epochs only grow");
            let key = (new.partition, new.owner.epoch);
            let earlier = self.given.insert(key, new.owner.leaf.clone());
            assert_eq!(earlier, None, "an epoch is given once");
        }
    }

    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        for (name, it) in self.leaves.iter().filter(|(_, it)| it.is_live) {
            let registered = registration(name, it.start, it.is_draining);
            observed.leaves.insert(name.clone(), registered);
            for (partition, (epoch, state)) in &it.replicas {
                let announced = replica(partition.0, name, epoch.0, *state);
                observed.replicas.insert((*partition, name.clone()), announced);
            }
        }
        observed.cordons.clone_from(&self.cordons);
        observed.requests.clone_from(&self.requests);
        observed
    }

    /// Faults stop: these leaves run and are open, the others are gone; then all acts until nothing changes.
    /// What failed stays failed, except where there is no other leaf: that one is restarted.
    pub(super) fn quiet(&mut self, running: &[bool]) {
        self.cordons.clear();
        if running.iter().filter(|runs| **runs).count() == 1 {
            self.leaves.values_mut().for_each(Leaf::end);
        }
        for (it, runs) in self.leaves.values_mut().zip(running) {
            match (*runs, it.is_live) {
                (true, false) => it.begin(),
                (false, true) => it.end(),
                (true, true) | (false, false) => {}
            }
            it.is_draining = false;
        }
        self.settle();
    }

    /// All acts until nothing changes.
    pub(super) fn settle(&mut self) {
        let partitions = usize::try_from(self.wanted.partitions).expect("few");
        let mut calm = 0;
        // Time for the brake, for what is avoided, and for every partition to be moved several times.
        let rounds = 600 + 40 * partitions;
        for _ in 0..rounds {
            let plan = self.act(0);
            let is_calm = plan == Plan::default() && self.is_serving();
            calm = if is_calm { calm + 1 } else { 0 };
            for i in 0..self.leaves.len() {
                self.follow(i);
                self.with(i, Leaf::advance);
            }
            self.now += Duration::from_secs(2);
            // Longer than anything is remembered: settled means for good.
            if calm > 160 {
                return;
            }
        }
        let plan = self.act(0);
        panic!("not settled after {rounds} rounds: {plan:#?} {:#?}", self.assignments);
    }

    /// Whether every wanted partition is served by its owner alone.
    pub(super) fn is_serving(&self) -> bool {
        let observed = self.observed();
        (0..self.wanted.partitions).map(PartitionId).all(|partition| {
            let assignment = self.assignments.get(&partition);
            assignment.is_some_and(|it| {
                it.retiring.is_none() && observed.is_serving(partition, &it.owner)
            })
        })
    }

    /// All and pinned partitions of each open leaf.
    pub(super) fn owned(&self) -> BTreeMap<LeafName, (usize, usize)> {
        let mut owned: BTreeMap<_, _> =
            self.observed().open_leaves().map(|name| (name.clone(), (0, 0))).collect();
        for assignment in self.assignments.values() {
            if let Some((all, pinned)) = owned.get_mut(&assignment.owner.leaf) {
                *all += 1;
                *pinned += usize::from(assignment.is_pinned);
            }
        }
        owned
    }

    /// Of the open leaves no two differ by more than one in what is not pinned, but for those that are spared.
    pub(super) fn is_even(&self) -> bool {
        let owned = self.owned();
        let idle = owned.values().filter(|(all, _)| *all == 0).count();
        let are_spared = idle <= self.wanted.spares(owned.len());
        let most = owned.values().map(|(all, pinned)| all - pinned).max();
        let least = owned.values().map(|(all, _)| *all).filter(|all| *all > 0 || !are_spared).min();
        least.is_none_or(|least| most <= Some(least + 1))
    }

    pub(super) fn idle(&self) -> usize {
        self.owned().values().filter(|(all, _)| *all == 0).count()
    }

    /// The leaf drops what it no longer holds and takes up what it holds under a new epoch.
    fn follow(&mut self, i: usize) {
        let assignments = &self.assignments;
        let held = |name: &LeafName| {
            assignments
                .iter()
                .flat_map(|(partition, it)| {
                    let all = std::iter::once(&it.owner).chain(&it.retiring);
                    all.filter(|it| it.leaf == *name).map(|it| (*partition, it.epoch))
                })
                .collect::<BTreeMap<_, _>>()
        };
        let Some((name, it)) = nth(&mut self.leaves, i) else { return };
        if !it.is_live {
            return;
        }
        let held = held(name);
        it.replicas.retain(|partition, _| held.contains_key(partition));
        for (partition, epoch) in held {
            let replica =
                it.replicas.entry(partition).or_insert((epoch, ReplicaState::Downloading));
            if replica.0 != epoch {
                // Files and position stay: a leaf that served goes on under its new number.
                let serves = replica.1 == ReplicaState::Serving;
                let state = if serves { ReplicaState::Serving } else { ReplicaState::Downloading };
                *replica = (epoch, state);
            }
        }
    }

    fn with(&mut self, i: usize, action: impl FnOnce(&mut Leaf)) {
        if let Some((_, leaf)) = nth(&mut self.leaves, i) {
            action(leaf);
        }
    }
}

fn nth(leaves: &mut BTreeMap<LeafName, Leaf>, i: usize) -> Option<(&LeafName, &mut Leaf)> {
    let count = leaves.len();
    leaves.iter_mut().nth(i % count)
}

impl Leaf {
    fn absent() -> Self {
        Self { start: 0, is_live: false, is_draining: false, replicas: BTreeMap::new() }
    }

    fn begin(&mut self) {
        self.is_live = true;
        self.start += 1;
        self.replicas.clear();
    }

    fn end(&mut self) {
        self.is_live = false;
        self.replicas.clear();
    }

    fn advance(&mut self) {
        for (_, state) in self.replicas.values_mut() {
            *state = match *state {
                ReplicaState::Downloading => ReplicaState::Replaying,
                ReplicaState::Replaying | ReplicaState::Serving => ReplicaState::Serving,
                ReplicaState::Draining => ReplicaState::Draining,
                ReplicaState::Failed => ReplicaState::Failed,
            };
        }
    }

    fn fail(&mut self, nth: usize) {
        let count = self.replicas.len().max(1);
        if let Some((_, state)) = self.replicas.values_mut().nth(nth % count) {
            *state = ReplicaState::Failed;
        }
    }
}
