//! A registry, leaves that only announce, and bounded waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nautilus_registry::layout::{
    Assignment, Decision, GroupName, Holder, Key, Leader, LeafName, LeafRegistration, Record,
    Replica, ReplicaState, prefix,
};
use nautilus_registry::{
    EmbeddedRegistry, FaultPlan, Faulty, LeaseId, Operation, Registry, Transaction,
};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::PartitionId;

use crate::plan::Assignments;
use crate::{Coordinator, CoordinatorMetrics, RawConfig};

/// Longer than anything a coordinator waits for. Paused time: it costs nothing.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn group() -> GroupName {
    GroupName::new("a").expect("valid")
}

pub(super) fn leaf_name(name: &str) -> LeafName {
    LeafName::new(name).expect("valid")
}

/// What stands in the registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) assignments: Assignments,
    pub(super) decision: Option<Decision>,
    pub(super) leader: Option<String>,
    pub(super) requests: BTreeSet<PartitionId>,
}

impl Stored {
    pub(super) fn owners(&self) -> Vec<(u32, &str, u64)> {
        let owners = self.assignments.iter();
        owners.map(|(p, it)| (p.0, it.owner.leaf.as_str(), it.owner.epoch.0)).collect()
    }

    pub(super) fn of(&self, partition: u32) -> &Assignment {
        self.assignments.get(&PartitionId(partition)).expect("assigned")
    }

    pub(super) fn is_settled(&self, partitions: usize) -> bool {
        self.assignments.len() == partitions
            && self.assignments.values().all(|it| it.retiring.is_none())
            && self.decision == Some(Decision::default())
    }
}

pub(super) struct World {
    pub(super) registry: Arc<dyn Registry>,
}

impl World {
    pub(super) fn new() -> Self {
        let clock = Clock::system();
        Self { registry: Arc::new(EmbeddedRegistry::in_memory(Arc::new(move || clock.now()))) }
    }

    /// Its registry, which loses calls before and after they took effect.
    pub(super) fn lossy(&self, seed: u64) -> Arc<Faulty> {
        let plan = FaultPlan {
            seed,
            read_refused_per_mille: 300,
            write_refused_per_mille: 200,
            write_unknown_per_mille: 200,
            delayed_per_mille: 200,
            delay_max: Duration::from_secs(8),
            watch_ended_per_mille: 300,
        };
        println!("{plan:?}");
        Arc::new(Faulty::new(Arc::clone(&self.registry), plan))
    }

    pub(super) fn coordinator(&self, name: &str, partitions: u32) -> Running {
        self.coordinator_on(Arc::clone(&self.registry), name, partitions)
    }

    pub(super) fn coordinator_on(
        &self,
        registry: Arc<dyn Registry>,
        name: &str,
        partitions: u32,
    ) -> Running {
        // Each leaf takes part, unless a test says otherwise.
        let spare_percent = 0;
        let raw =
            RawConfig { name: name.to_owned(), partitions, spare_percent, ..RawConfig::default() };
        self.coordinator_with(registry, raw)
    }

    pub(super) fn coordinator_with(&self, registry: Arc<dyn Registry>, raw: RawConfig) -> Running {
        let config = raw.validate().expect("valid");
        let coordinator = Coordinator::build(config, registry, Clock::system()).expect("built");
        let metrics = coordinator.metrics().clone();
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        coordinator.spawn(&mut tasks);
        Running { tasks, metrics }
    }

    pub(super) async fn put(&self, record: &Record, lease: Option<LeaseId>) {
        let value = record.encode().expect("valid");
        self.write(Operation::Put { key: record.key().to_string(), value, lease }).await;
    }

    pub(super) async fn write(&self, operation: Operation) {
        let transaction = Transaction { operations: vec![operation], ..Transaction::default() };
        self.registry.transact(transaction).await.expect("written");
    }

    pub(super) async fn stored(&self) -> Stored {
        let listing = self.registry.list(&prefix::group(&group())).await.expect("listed");
        let mut stored = Stored::default();
        for entry in &listing.entries {
            match Record::read(entry) {
                Ok(Some(Record::Assignment(_, it))) => {
                    stored.assignments.insert(it.partition, it);
                }
                Ok(Some(Record::Decision(_, it))) => stored.decision = Some(it),
                Ok(Some(Record::Coordinator(_, it))) => {
                    stored.leader = Some(it.coordinator.to_string());
                }
                Ok(Some(Record::Move(_, it))) => {
                    stored.requests.insert(it.partition);
                }
                Ok(
                    Some(
                        Record::Leaf(..)
                        | Record::Replica(..)
                        | Record::Cordon(..)
                        | Record::Standing(..)
                        | Record::Build(..),
                    )
                    | None,
                )
                | Err(_) => {}
            }
        }
        stored
    }

    /// Waits until what stands in the registry is so.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Stored) -> bool) -> Stored {
        let prefix = prefix::group(&group());
        let waited = tokio::time::timeout(WAIT_MAX, async {
            loop {
                let from = self.registry.list(&prefix).await.expect("listed").revision.next();
                let mut watch = self.registry.watch(&prefix, from).await.expect("watched");
                let stored = self.stored().await;
                if is_so(&stored) {
                    return stored;
                }
                watch.next().await.expect("a change");
            }
        });
        let Ok(stored) = waited.await else {
            panic!("{what} did not come about: {:#?}", self.stored().await);
        };
        stored
    }

    /// Lets everybody act until `seconds` have passed.
    pub(super) async fn pass(&self, seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    pub(super) async fn leaf(&self, name: &str) -> Leaf {
        let lease = self.registry.grant_lease(HOUR).await.expect("granted");
        let leaf = Leaf { name: leaf_name(name), lease };
        self.register(&leaf, 1, false).await;
        leaf
    }

    pub(super) async fn register(&self, leaf: &Leaf, start: u64, is_draining: bool) {
        let address = "http://127.0.0.1:7301".to_owned();
        let leaf_name = leaf.name.clone();
        let registration = LeafRegistration { leaf: leaf_name, address, start, is_draining };
        self.put(&Record::Leaf(group(), registration), Some(leaf.lease)).await;
    }

    pub(super) async fn kill(&self, leaf: &Leaf) {
        self.registry.revoke_lease(leaf.lease).await.expect("revoked");
    }

    pub(super) async fn announce(&self, leaf: &Leaf, partition: PartitionId, holder: &Holder) {
        let replica = Replica {
            partition,
            leaf: leaf.name.clone(),
            address: "http://127.0.0.1:7301".to_owned(),
            epoch: holder.epoch,
            state: ReplicaState::Serving,
            build: None,
        };
        self.put(&Record::Replica(group(), replica), Some(leaf.lease)).await;
    }

    /// The leaf serves all it holds, and only that.
    pub(super) async fn follow(&self, leaf: &Leaf) {
        let stored = self.stored().await;
        for (partition, assignment) in &stored.assignments {
            let mut holders = std::iter::once(&assignment.owner).chain(&assignment.retiring);
            let key =
                Key::Replica { group: group(), partition: *partition, leaf: leaf.name.clone() };
            match holders.find(|it| it.leaf == leaf.name) {
                Some(holder) => self.announce(leaf, *partition, holder).await,
                None => self.write(Operation::Delete(key.to_string())).await,
            }
        }
    }

    /// All leaves follow until nothing has moved for two minutes.
    pub(super) async fn settle(&self, leaves: &[&Leaf], partitions: usize) -> Stored {
        let mut calm = 0;
        for _ in 0..1_000 {
            let before = self.stored().await;
            for leaf in leaves {
                self.follow(leaf).await;
            }
            self.pass(6).await;
            let after = self.stored().await;
            let is_calm = before.assignments == after.assignments && after.is_settled(partitions);
            calm = if is_calm { calm + 1 } else { 0 };
            if calm == 20 {
                return after;
            }
        }
        panic!("not settled: {:#?}", self.stored().await);
    }

    pub(super) async fn lead_by_hand(&self, name: &str) {
        let coordinator = nautilus_registry::layout::CoordinatorName::new(name).expect("valid");
        self.put(&Record::Coordinator(group(), Leader { coordinator }), None).await;
    }
}

pub(super) struct Leaf {
    pub(super) name: LeafName,
    pub(super) lease: LeaseId,
}

/// A coordinator that has been spawned.
pub(super) struct Running {
    tasks: TaskGroup,
    metrics: CoordinatorMetrics,
}

impl Running {
    pub(super) async fn stop(self) {
        assert!(self.tasks.drain(Duration::from_secs(5)).await.is_clean());
    }

    /// One line of the metrics, its value.
    pub(super) fn metric(&self, name: &str) -> Option<String> {
        let mut registry = prometheus_client::registry::Registry::with_prefix("nautilus");
        self.metrics.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next().map(str::to_owned)
    }
}
