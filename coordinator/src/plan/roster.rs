//! Who was here, and what follows from who is missing: the memory beside the plan.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use nautilus_registry::layout::{LeafName, ReplicaState};
use nautilus_types::PartitionId;

use super::model::{Assignments, HeldBack, Outlook};
use super::observed::{Observed, named_leaves};

/// How long what is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Leaves that go within this time count as gone at once: the time of their leases, since one fault ends
    /// leases at different moments of it.
    pub lease_ttl: Duration,
    /// After a start, or when nobody was there, leaves that assignments name get this long to come before
    /// others take over.
    pub gather_time: Duration,
    /// When too many leaves went at once, they get this long to come back.
    pub brake_time: Duration,
    /// A partition is not given to a leaf where it failed within this time.
    pub avoid_time: Duration,
}

/// Remembers leaves and failures. Times are durations since any one moment, and do not go back.
///
/// *The brake.* When more than 30 % of the leaves, and more than the larger of one and the idle leaves, went
/// within one lease's time, the fault is likely in the network or the registry: giving their partitions to
/// the few that are left would only break those too. Nothing changes until enough are back, or idle ones
/// have come, or `brake_time` has passed and the loss is taken for real. A single lost leaf never brakes, so
/// a group of one recovers by itself. Leaves that were draining when they went were sent away: they do not count.
///
/// *Gathering.* A coordinator that has just started, or sees the first leaf after a time with none, does not
/// know who else is about to come; it waits until all leaves that assignments name are there, at most
/// `gather_time`.
#[derive(Debug)]
pub struct Roster {
    patience: Patience,
    /// None before the first look.
    live: Option<BTreeMap<LeafName, Sight>>,
    gone: BTreeMap<LeafName, Duration>,
    gathering_since: Option<Duration>,
    brake: Option<Brake>,
    /// Numbers of idle leaves seen within the last `lease_ttl`: those who replace the first of several lost
    /// leaves are no longer idle when the next one goes.
    idle: VecDeque<(Duration, usize)>,
    failures: BTreeMap<(PartitionId, LeafName), Failure>,
}

/// A live leaf, as it was last seen.
#[derive(Debug, Clone, Copy)]
struct Sight {
    start: u64,
    is_draining: bool,
}

#[derive(Debug)]
struct Brake {
    since: Duration,
    gone: BTreeSet<LeafName>,
}

#[derive(Debug)]
struct Failure {
    at: Duration,
    /// Of the leaf's process: another one may do better.
    start: u64,
}

impl Roster {
    /// One that has seen nobody.
    #[must_use]
    pub fn new(patience: Patience) -> Self {
        Self {
            patience,
            live: None,
            gone: BTreeMap::new(),
            gathering_since: None,
            brake: None,
            idle: VecDeque::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Takes in what is seen now, and says what follows from it.
    pub fn observe(
        &mut self,
        now: Duration,
        observed: &Observed,
        assignments: &Assignments,
    ) -> Outlook {
        let missing: BTreeSet<LeafName> = named_leaves(assignments)
            .into_iter()
            .filter(|leaf| !observed.is_live(leaf))
            .cloned()
            .collect();
        self.count_leaves(now, observed, &missing);
        self.count_idle(now, observed.idle_leaves(assignments));
        self.remember_failures(now, observed);
        self.brake(now, observed.leaves.len());

        let is_first_start = assignments.is_empty();
        let gather_until = self.gathering_since.map(|since| since + self.patience.gather_time);
        if gather_until.is_some_and(|end| now >= end) || (missing.is_empty() && !is_first_start) {
            self.gathering_since = None;
        }
        let brake_until = self.brake.as_ref().map(|it| it.since + self.patience.brake_time);
        let held_back = match &self.brake {
            Some(brake) => Some(HeldBack::TooManyGone {
                gone: brake.gone.clone(),
                known: observed.leaves.len() + brake.gone.len(),
            }),
            None => self.gathering_since.map(|_| HeldBack::Gathering { missing }),
        };
        Outlook {
            held_back,
            avoided: self.failures.keys().cloned().collect(),
            look_again_at: brake_until.or(gather_until.filter(|_| self.gathering_since.is_some())),
        }
    }

    fn count_leaves(&mut self, now: Duration, observed: &Observed, missing: &BTreeSet<LeafName>) {
        let lease_ttl = self.patience.lease_ttl;
        match &self.live {
            Some(before) => {
                let left = before.iter().filter(|(leaf, _)| !observed.is_live(leaf));
                let lost = left.filter(|(_, sight)| !sight.is_draining);
                self.gone.extend(lost.map(|(leaf, _)| (leaf.clone(), now)));
            }
            // Nobody knows since when: as well since now.
            None => self.gone.extend(missing.iter().map(|leaf| (leaf.clone(), now))),
        }
        self.gone.retain(|leaf, at| !observed.is_live(leaf) && now < *at + lease_ttl);
        let was_empty = self.live.as_ref().is_none_or(BTreeMap::is_empty);
        if was_empty && !observed.leaves.is_empty() {
            self.gathering_since = Some(now);
        }
        let sights = observed.leaves.iter().map(|(leaf, it)| {
            (leaf.clone(), Sight { start: it.start, is_draining: observed.is_leaving(leaf) })
        });
        self.live = Some(sights.collect());
    }

    fn count_idle(&mut self, now: Duration, idle: usize) {
        let lease_ttl = self.patience.lease_ttl;
        self.idle.retain(|(at, _)| now < *at + lease_ttl);
        // An earlier number that is not larger says nothing any more, so the first one is the largest.
        while self.idle.back().is_some_and(|(_, before)| *before <= idle) {
            self.idle.pop_back();
        }
        self.idle.push_back((now, idle));
    }

    fn brake(&mut self, now: Duration, live: usize) {
        let idle = self.idle.front().map_or(0, |(_, idle)| *idle);
        let is_too_many = |gone: usize| gone * 10 > (live + gone) * 3 && gone > idle.max(1);
        let Some(mut brake) = self.brake.take() else {
            if is_too_many(self.gone.len()) {
                self.brake = Some(Brake { since: now, gone: self.gone.keys().cloned().collect() });
            }
            return;
        };
        brake.gone.extend(self.gone.keys().cloned());
        if let Some(here) = &self.live {
            brake.gone.retain(|leaf| !here.contains_key(leaf));
        }
        if now >= brake.since + self.patience.brake_time {
            self.gone.clear();
        } else if is_too_many(brake.gone.len()) {
            self.brake = Some(brake);
        } else {
            // The others are likely on their way.
            self.gathering_since = Some(now);
        }
    }

    fn remember_failures(&mut self, now: Duration, observed: &Observed) {
        for (key, replica) in &observed.replicas {
            let leaf = observed.leaves.get(&key.1);
            if let Some(leaf) = leaf.filter(|_| replica.state == ReplicaState::Failed) {
                self.failures.insert(key.clone(), Failure { at: now, start: leaf.start });
            }
        }
        let avoid_time = self.patience.avoid_time;
        let live = self.live.as_ref();
        self.failures.retain(|(_, leaf), failure| {
            let start = live.and_then(|live| live.get(leaf)).map(|sight| sight.start);
            now < failure.at + avoid_time && start.is_none_or(|start| start == failure.start)
        });
    }
}
