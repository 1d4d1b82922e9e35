//! A root, its registry and its leaves, each on a port of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nautilus_identity::{GrantVerifier, KeySet};
use nautilus_proto::leaf::v1::ReplicaStatus;
use nautilus_proto::root::v1::root_service_client::RootServiceClient;
use nautilus_proto::root::v1::{ReplicasUpdate, WatchReplicasRequest};
use nautilus_registry::layout::{
    GroupName, GroupStanding, GroupState, LeafName, Note, Record, Replica, ReplicaState, Suspicion,
};
use nautilus_registry::{EmbeddedRegistry, Operation, Registry, Transaction};
use nautilus_root::fingerprint::Fingerprint;
use nautilus_root::{Config, Root, RoutingState};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Epoch, PartitionId, PartitionMap};
use tonic::transport::{Channel, Endpoint};

use super::fake_leaf::Process;
use super::switch::Switch;
use super::{FakeLeaf, GROUP, LOCAL, PARTITIONS, SIGNER, WAIT_MAX};

/// A leaf, or the absence of one.
type Place = (&'static str, &'static str);

/// A root with what it needs.
pub(crate) struct Cluster {
    pub(crate) root: Arc<Root>,
    pub(crate) registry: Arc<Switch>,
    processes: BTreeMap<Place, Process>,
    channel: Channel,
    tasks: TaskGroup,
}

impl Cluster {
    /// Leaves of one group, named `l0`, `l1`, …, serving these partitions under epoch 1.
    pub(crate) async fn start(leaves: &[(&FakeLeaf, &[u32])]) -> Self {
        const NAMES: [&str; 4] = ["l0", "l1", "l2", "l3"];
        let named = leaves.iter().zip(NAMES);
        let groups: Vec<_> =
            named.map(|(&(leaf, partitions), name)| (GROUP, name, leaf, partitions)).collect();
        Self::of_groups(&groups).await
    }

    /// These leaves, each with its group and name.
    pub(crate) async fn of_groups(
        leaves: &[(&'static str, &'static str, &FakeLeaf, &[u32])],
    ) -> Self {
        Self::with_config(leaves, |_| {}).await
    }

    pub(crate) async fn with_config(
        leaves: &[(&'static str, &'static str, &FakeLeaf, &[u32])],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut cluster = Self::empty(true, change).await;
        for &(group, name, leaf, partitions) in leaves {
            cluster.run((group, name), leaf, partitions).await;
        }
        for &(group, name, _, partitions) in leaves {
            for &partition in partitions {
                cluster.announce((group, name), partition, 1, ReplicaState::Serving).await;
            }
        }
        // What a choice goes by is there before the first request.
        cluster.wait_replicas(|update| update.replicas.iter().all(|r| r.is_reachable)).await;
        cluster
    }

    /// Nobody but the root and its registry, which may be off.
    pub(crate) async fn empty(is_registry_on: bool, change: impl FnOnce(&mut Config)) -> Self {
        let clock = Clock::system();
        let monotonic = clock.clone();
        let registry = EmbeddedRegistry::in_memory(Arc::new(move || monotonic.now()));
        let registry = Arc::new(Switch::new(registry, is_registry_on));
        let verifier = GrantVerifier::new(KeySet::from(SIGNER.public_key()));
        let mut config = Config::new(PartitionMap::divided(PARTITIONS));
        config.following.probe_interval = Duration::from_millis(20);
        change(&mut config);
        let port = Arc::clone(&registry) as Arc<dyn Registry>;
        let root = Arc::new(Root::build(config, port, verifier, clock).expect("built"));
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        root.spawn(&mut tasks);
        let server = Arc::clone(&root).bind(LOCAL).await.expect("a port");
        let endpoint = Endpoint::from_shared(format!("http://{}", server.local_addr()));
        let channel = endpoint.expect("an address").connect_lazy();
        tasks.spawn("root", |stop| server.serve(stop));
        Self { root, registry, processes: BTreeMap::new(), channel, tasks }
    }

    pub(crate) fn client(&self) -> RootServiceClient<Channel> {
        RootServiceClient::new(self.channel.clone())
    }

    /// Starts the leaf's process, which says that it serves these.
    pub(crate) async fn run(&mut self, place: Place, leaf: &FakeLeaf, partitions: &[u32]) {
        leaf.report(|status| {
            (status.leaf, status.replica_group) = (place.1.into(), place.0.into());
            let replica = |&partition: &u32| ReplicaStatus {
                partition,
                epoch: 1,
                state: "SERVING".into(),
                applied_offset: 50,
                ..ReplicaStatus::default()
            };
            status.replicas = partitions.iter().map(replica).collect();
        });
        let address = self.processes.get(&place).map_or(LOCAL, |process| process.address);
        self.processes.remove(&place);
        self.processes.insert(place, Process::start(leaf, address).await);
    }

    /// Its connections break at once; the registry still names it.
    pub(crate) fn kill(&mut self, place: Place) {
        if let Some(process) = self.processes.get_mut(&place) {
            process.kill();
        }
    }

    /// The registry says this of a replica from now on, and the root knows.
    pub(crate) async fn announce(
        &self,
        place: Place,
        partition: u32,
        epoch: u64,
        state: ReplicaState,
    ) {
        self.announce_of_build(place, partition, epoch, state, None).await;
    }

    /// As serving under epoch 1, from files of this build.
    pub(crate) async fn announce_build(&self, place: Place, partition: u32, build: &str) {
        let (state, build) = (ReplicaState::Serving, Some(build.to_owned()));
        self.announce_of_build(place, partition, 1, state, build).await;
    }

    async fn announce_of_build(
        &self,
        place: Place,
        partition: u32,
        epoch: u64,
        state: ReplicaState,
        build: Option<String>,
    ) {
        let address = self.processes.get(&place).map_or(1, |process| process.address.port());
        let replica = Replica {
            partition: PartitionId(partition),
            leaf: LeafName::new(place.1).expect("valid"),
            address: format!("http://127.0.0.1:{address}"),
            epoch: Epoch(epoch),
            state,
            build,
        };
        let value = replica.encode().expect("valid");
        let key = Record::Replica(group(place), replica).key().to_string();
        self.write(Operation::Put { key, value, lease: None }).await;
    }

    /// The registry no longer names a replica, and the root knows.
    pub(crate) async fn withdraw(&self, place: Place, partition: u32) {
        let key = nautilus_registry::layout::Key::Replica {
            group: group(place),
            partition: PartitionId(partition),
            leaf: LeafName::new(place.1).expect("valid"),
        };
        self.write(Operation::Delete(key.to_string())).await;
    }

    /// Somebody drains the group, and the root knows.
    pub(crate) async fn drain(&self, name: &'static str) {
        let note = Note { owner: "sre".to_owned(), reason: "a test".to_owned() };
        let standing = GroupStanding { state: GroupState::Drained, note, placed_unix_ms: 1 };
        let record = Record::Standing(group((name, "")), standing);
        let (key, value) = (record.key().to_string(), record.encode().expect("valid"));
        self.write(Operation::Put { key, value, lease: None }).await;
    }

    /// Another root says that a leaf was lost while it had this request.
    pub(crate) async fn tell_suspicion(
        &self,
        fingerprint: Fingerprint,
        partition: u32,
        group: &str,
        leaf: &str,
    ) {
        let suspicion = Suspicion {
            fingerprint: fingerprint.0,
            partition: PartitionId(partition),
            group: GroupName::new(group).expect("valid"),
            leaf: LeafName::new(leaf).expect("valid"),
            unix_ms: super::now_ms(),
        };
        let value = bytes::Bytes::new();
        let operations = vec![Operation::Put { key: suspicion.to_string(), value, lease: None }];
        let transaction = Transaction { operations, ..Transaction::default() };
        self.registry.transact(transaction).await.expect("written");
    }

    pub(crate) async fn write(&self, operation: Operation) {
        let transaction = Transaction { operations: vec![operation], ..Transaction::default() };
        let revision = self.registry.transact(transaction).await.expect("written");
        self.wait_state(|state| state.revision >= Some(revision)).await;
    }

    pub(crate) async fn wait_state(&self, is_so: impl FnMut(&RoutingState) -> bool) {
        let mut states = self.root.watch_routing_state();
        let waited = tokio::time::timeout(WAIT_MAX, states.wait_for(is_so)).await;
        waited.expect("in time").expect("the root lives");
    }

    /// Reads `WatchReplicas` until it says so.
    pub(crate) async fn wait_replicas(
        &self,
        mut is_so: impl FnMut(&ReplicasUpdate) -> bool,
    ) -> ReplicasUpdate {
        let watched = async {
            let updates = self.client().watch_replicas(WatchReplicasRequest {}).await;
            let mut updates = updates.expect("watched").into_inner();
            loop {
                let update = updates.message().await.expect("an update").expect("no end");
                if is_so(&update) {
                    return update;
                }
            }
        };
        tokio::time::timeout(WAIT_MAX, watched).await.expect("in time")
    }

    /// Requests that ended leave nothing behind; what was dropped may take a moment to notice.
    pub(crate) async fn wait_no_work(&self) {
        let idle = async {
            while !self.root.work().is_zero() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WAIT_MAX, idle).await.expect("in time");
    }

    pub(crate) async fn stop(self) {
        self.wait_no_work().await;
        drop(self.channel);
        let report = self.tasks.drain(WAIT_MAX).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

fn group(place: Place) -> GroupName {
    GroupName::new(place.0).expect("valid")
}
