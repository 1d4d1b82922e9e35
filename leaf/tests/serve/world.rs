//! What a test stands on: a log, a registry, a repository, keys, folders, and leaves started on them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_identity::{Grant, GrantSigner, GrantVerifier, KeyPair, KeySet, Purpose, query_hash};
use nautilus_index_repository::{FolderRepository, IndexRepository, Snapshots};
use nautilus_leaf::{Config, Leaf, Parts, RawConfig};
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, MutationLog};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_proto::common::v1::{NamespaceRef, QueryNode, QueryTerm, query_node::Node};
use nautilus_proto::leaf::v1::leaf_service_client::LeafServiceClient;
use nautilus_proto::leaf::v1::{
    FetchKey, FetchRequest, FetchResponse, GetStatusRequest, ListRequest, ListResponse,
    RequestContext, SearchRequest, SearchResponse,
};
use nautilus_proto::log::v1::{
    Delete, DeleteNamespace, MutationRecord, Upsert, mutation_record::Operation,
};
use nautilus_registry::layout::{Assignment, GroupName, Holder, Key, LeafName, Record, Replica};
use nautilus_registry::{EmbeddedRegistry, Operation as Write, Registry, Transaction};
use nautilus_service::config::HumanDuration;
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Epoch, Incarnation, NamespaceName, Offset, PartitionId, PartitionMap};
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

pub(crate) const PARTITIONS: u32 = 2;
/// Nothing here takes so long unless it hangs.
pub(crate) const WAIT: Duration = Duration::from_secs(30);
/// The life of every namespace, unless a test says otherwise.
pub(crate) const LIFE: u64 = 5;
/// The leaf that has everything, unless a test says otherwise.
pub(crate) const LEAF: &str = "leaf-7";

/// The second replica group, where a test has one.
pub(crate) const GROUP_B: &str = "b";

/// What outlives a leaf.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) repository: Arc<dyn IndexRepository>,
    pub(crate) signer: GrantSigner,
    /// One namespace in each partition, by partition.
    pub(crate) namespaces: Vec<String>,
}

/// How a leaf is to be started.
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) dir: PathBuf,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) change: fn(&mut RawConfig),
}

/// A running leaf.
pub(crate) struct Running {
    tasks: TaskGroup,
    pub(crate) leaf: Arc<Leaf>,
    pub(crate) address: String,
    pub(crate) client: LeafServiceClient<Channel>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_partitions(PARTITIONS).await
    }

    pub(crate) async fn with_partitions(partitions: u32) -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let log = open_log_of(&dir.path().join("log"), partitions).await;
        let clock = Clock::system();
        let registry = EmbeddedRegistry::in_memory(Arc::new(move || clock.now()));
        let repository = FolderRepository::open(&dir.path().join("repository")).await;
        let pair = KeyPair::open(dir.path(), "grant").expect("key");
        let map = PartitionMap::divided(partitions);
        let of = |partition| {
            let mut names = (0..).map(|i| format!("team-{i}"));
            names.find(|name| map.partition_of(&namespace(name)) == partition).expect("endless")
        };
        let namespaces = (0..partitions).map(PartitionId).map(of).collect();
        Self {
            dir,
            log,
            registry: Arc::new(registry),
            repository: Arc::new(repository.expect("folder")),
            signer: GrantSigner::new(pair),
            namespaces,
        }
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.log.identity().partitions
    }

    pub(crate) fn map(&self) -> PartitionMap {
        PartitionMap::divided(self.partitions())
    }

    /// A leaf that has everything, with what the last one of its name left on disk.
    pub(crate) async fn start(&self) -> Running {
        self.start_on(self.log.clone(), &self.dir.path().join("leaf")).await
    }

    pub(crate) async fn start_on(&self, log: Arc<dyn MutationLog>, dir: &Path) -> Running {
        let setup = Setup { log, dir: dir.to_owned(), ..self.setup(LEAF) };
        self.assign_all(LEAF).await;
        self.start_as(setup).await
    }

    /// The usual setup of a leaf of this name, in a folder of its own.
    pub(crate) fn setup(&self, name: &'static str) -> Setup {
        let folder = if name == LEAF { "leaf" } else { name };
        Setup {
            name,
            dir: self.dir.path().join(folder),
            log: self.log.clone(),
            registry: Arc::clone(&self.registry),
            change: |_| {},
        }
    }

    pub(crate) async fn start_as(&self, setup: Setup) -> Running {
        let mut raw = RawConfig {
            name: setup.name.to_owned(),
            data_dir: setup.dir,
            partitions: self.partitions(),
            search_threads: 2,
            drain_grace: HumanDuration(Duration::from_millis(300)),
            ..RawConfig::default()
        };
        (setup.change)(&mut raw);
        let config: Config = raw.validate().expect("valid");
        let cluster_id = setup.log.identity().cluster_id;
        let parts = Parts {
            log: setup.log,
            verifier: GrantVerifier::new(KeySet::from(self.signer.public_key())),
            registry: setup.registry,
            snapshots: Snapshots::new(Arc::clone(&self.repository), cluster_id),
        };
        let leaf = Leaf::build(config, parts, Clock::system()).expect("built");
        let leaf = Arc::new(leaf);
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = Arc::clone(&leaf).bind(any_port).await.expect("bound");
        let address = format!("http://{}", bound.local_addr());
        leaf.spawn(&mut tasks, &address);
        tasks.spawn("server", |stop| bound.serve(stop));
        let channel = Channel::from_shared(address.clone()).expect("uri");
        let client = LeafServiceClient::new(channel.connect().await.expect("up"));
        Running { tasks, leaf, address, client }
    }

    /// Assigns every partition that has no owner to this leaf, under epoch 1.
    pub(crate) async fn assign_all(&self, leaf: &str) {
        for partition in 0..self.partitions() {
            let key = Key::Assignment { group: group(), partition: PartitionId(partition) };
            if self.registry.get(&key.to_string()).await.expect("answered").is_none() {
                self.assign(partition, holder(leaf, 1), None).await;
            }
        }
    }

    pub(crate) async fn assign(&self, partition: u32, owner: Holder, retiring: Option<Holder>) {
        self.assign_in(&group(), partition, owner, retiring).await;
    }

    /// As [`Self::assign`], in another replica group.
    pub(crate) async fn assign_in(
        &self,
        group: &GroupName,
        partition: u32,
        owner: Holder,
        retiring: Option<Holder>,
    ) {
        let partition = PartitionId(partition);
        let (reason, is_pinned) = ("TEST".to_owned(), false);
        let assignment = Assignment { partition, owner, retiring, reason, is_pinned };
        let key = Key::Assignment { group: group.clone(), partition }.to_string();
        let value = assignment.encode().expect("sound");
        let put = Write::Put { key, value, lease: None };
        let transaction = Transaction { conditions: Vec::new(), operations: vec![put] };
        self.registry.transact(transaction).await.expect("assigned");
    }

    /// What a leaf announces of a partition.
    pub(crate) async fn announced(&self, partition: u32, leaf: &str) -> Option<Replica> {
        let (partition, leaf) = (PartitionId(partition), LeafName::new(leaf).expect("valid"));
        let key = Key::Replica { group: group(), partition, leaf }.to_string();
        let entry = self.registry.get(&key).await.expect("answered")?;
        assert!(entry.lease.is_some(), "an announcement lives by a lease");
        match Record::read(&entry).expect("sound") {
            Some(Record::Replica(_, replica)) => Some(replica),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until what a leaf announces of a partition is so.
    pub(crate) async fn until_announced(
        &self,
        partition: u32,
        leaf: &str,
        is_so: impl Fn(Option<&Replica>) -> bool,
    ) -> Option<Replica> {
        until(async || {
            let announced = self.announced(partition, leaf).await;
            is_so(announced.as_ref()).then_some(announced)
        })
        .await
    }

    /// A leaf of replica group `b` that has everything.
    pub(crate) async fn start_in_group_b(&self, setup: Setup) -> Running {
        let other = GroupName::new(GROUP_B).expect("valid");
        for partition in 0..self.partitions() {
            self.assign_in(&other, partition, holder(setup.name, 1), None).await;
        }
        self.start_as(setup).await
    }

    /// The namespace of partition 0.
    pub(crate) fn first(&self) -> &str {
        &self.namespaces[0]
    }

    /// Appends to the partition of the record's namespace.
    pub(crate) async fn append(&self, record: MutationRecord) -> Offset {
        let name = &record.namespace.as_ref().expect("there").name;
        let name = NamespaceName::new(name).expect("valid");
        let partition = self.map().partition_of(&name);
        self.append_bytes(partition, Bytes::from(record.encode_to_vec())).await
    }

    pub(crate) async fn append_bytes(&self, partition: PartitionId, payload: Bytes) -> Offset {
        self.log.append(partition, payload).await.expect("appended")
    }

    /// A record of this log that upserts a document with this text.
    pub(crate) fn upsert(&self, namespace: &str, document_id: &str, body: &str) -> MutationRecord {
        let upsert = Upsert {
            document_id: document_id.into(),
            content_hash: vec![7; 16],
            title: document_id.to_owned(),
            path: format!("notes/{document_id}"),
            body: body.to_owned(),
            ..Upsert::default()
        };
        self.record(namespace, LIFE, Operation::Upsert(upsert))
    }

    pub(crate) fn delete(&self, namespace: &str, document_id: &str) -> MutationRecord {
        let delete = Delete { document_id: document_id.into(), ..Delete::default() };
        self.record(namespace, LIFE, Operation::Delete(delete))
    }

    pub(crate) fn delete_namespace(&self, namespace: &str) -> MutationRecord {
        self.record(namespace, LIFE, Operation::DeleteNamespace(DeleteNamespace {}))
    }

    pub(crate) fn record(&self, name: &str, life: u64, operation: Operation) -> MutationRecord {
        MutationRecord {
            schema_version: 1,
            cluster_id: self.log.identity().cluster_id.to_vec(),
            log_generation: self.log.identity().generation.0,
            namespace: Some(namespace_ref(name, life)),
            operation: Some(operation),
            ..MutationRecord::default()
        }
    }

    /// A grant for this namespace's present life.
    pub(crate) fn grant(&self, name: &str, purpose: Purpose, query_hash: u64) -> Vec<u8> {
        let expires_at = Clock::system().unix_ms() + 5_000;
        let scope = [(namespace(name), Incarnation(LIFE))];
        let grant = Grant::new("ada", scope, purpose, query_hash, expires_at).expect("valid");
        self.signer.sign(&grant)
    }

    /// What every request says, for the latest that there is.
    pub(crate) fn context(&self, name: &str, grant: Vec<u8>) -> RequestContext {
        let map = self.map();
        RequestContext {
            grant,
            map_version: map.version,
            partition: map.partition_of(&namespace(name)).0,
            min_next_offset: 0,
            latest: true,
        }
    }

    /// A search for one word in every field.
    pub(crate) fn search(&self, name: &str, word: &str) -> SearchRequest {
        let query = term(word);
        let grant = self.grant(name, Purpose::Search, query_hash(&query.encode_to_vec()));
        SearchRequest {
            context: Some(self.context(name, grant)),
            namespaces: vec![namespace_ref(name, LIFE)],
            query: Some(query),
            limit: 10,
            ..SearchRequest::default()
        }
    }

    pub(crate) fn fetch(&self, name: &str, ids: &[&str]) -> FetchRequest {
        let key = |id: &&str| FetchKey {
            namespace: Some(namespace_ref(name, LIFE)),
            document_id: (*id).into(),
        };
        FetchRequest {
            context: Some(self.context(name, self.grant(name, Purpose::Fetch, 0))),
            keys: ids.iter().map(key).collect(),
            include_body: true,
            highlight: None,
        }
    }

    pub(crate) fn list(&self, name: &str, after: &str, limit: u32) -> ListRequest {
        ListRequest {
            context: Some(self.context(name, self.grant(name, Purpose::List, 0))),
            namespace: Some(namespace_ref(name, LIFE)),
            after_document_id: after.into(),
            limit,
            with_failures: false,
        }
    }
}

impl Running {
    pub(crate) async fn search(&self, request: SearchRequest) -> Result<SearchResponse, Status> {
        self.client.clone().search(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn fetch(&self, request: FetchRequest) -> Result<FetchResponse, Status> {
        self.client.clone().fetch(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn list(&self, request: ListRequest) -> Result<ListResponse, Status> {
        self.client.clone().list(request).await.map(tonic::Response::into_inner)
    }

    /// The partition's status, if it is here.
    pub(crate) async fn held(&self, partition: usize) -> Option<PartitionStatus> {
        let answer = self.client.clone().get_status(GetStatusRequest {}).await.expect("answered");
        let is_it = |status: &PartitionStatus| {
            let label = status.label.as_ref().expect("labelled");
            usize::try_from(label.partition) == Ok(partition)
        };
        answer.into_inner().partitions.into_iter().find(is_it)
    }

    /// The partition's status, once it is here.
    pub(crate) async fn status(&self, partition: usize) -> PartitionStatus {
        until(async || self.held(partition).await).await
    }

    /// Waits until the partition is in this state.
    pub(crate) async fn until(&self, partition: usize, state: &str) -> PartitionStatus {
        until(async || self.held(partition).await.filter(|status| status.state == state)).await
    }

    /// Waits until the partition is not here any more.
    pub(crate) async fn until_gone(&self, partition: usize) {
        until(async || self.held(partition).await.is_none().then_some(())).await;
    }

    /// Waits until the leaf serves every partition there is.
    pub(crate) async fn serving(self) -> Self {
        self.serving_all(PARTITIONS).await
    }

    pub(crate) async fn serving_all(self, partitions: u32) -> Self {
        for partition in 0..usize::try_from(partitions).expect("small") {
            self.until(partition, "SERVING").await;
        }
        self
    }

    pub(crate) async fn stop(self) {
        let Self { tasks, client, leaf, .. } = self;
        // An open connection would keep the server from ending.
        drop(client);
        let report = tasks.drain(WAIT).await;
        assert!(report.is_clean(), "{report:?}");
        drop(leaf);
    }
}

/// Looks until there is something, within bounds.
pub(crate) async fn until<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, found).await.expect("in time")
}

pub(crate) async fn open_log(dir: &Path) -> Arc<EmbeddedLog> {
    open_log_of(dir, PARTITIONS).await
}

async fn open_log_of(dir: &Path, partitions: u32) -> Arc<EmbeddedLog> {
    let clock = Clock::system();
    let wall = Arc::new(move || clock.unix_ms());
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir, partitions, wall)).await;
    Arc::new(log.expect("log"))
}

pub(crate) fn group() -> GroupName {
    GroupName::new("a").expect("valid")
}

pub(crate) fn holder(leaf: &str, epoch: u64) -> Holder {
    Holder { leaf: LeafName::new(leaf).expect("valid"), epoch: Epoch(epoch) }
}

pub(crate) fn term(word: &str) -> QueryNode {
    QueryNode { node: Some(Node::Term(QueryTerm { fields: 7, token: word.to_owned() })) }
}

pub(crate) fn namespace(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("valid")
}

pub(crate) fn namespace_ref(name: &str, incarnation: u64) -> NamespaceRef {
    NamespaceRef { name: name.into(), incarnation }
}

/// Ids of the candidates, best first.
pub(crate) fn ids(answer: &SearchResponse) -> Vec<String> {
    let text = |id: &[u8]| String::from_utf8(id.to_vec()).expect("text");
    answer.candidates.iter().map(|candidate| text(&candidate.document_id)).collect()
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info().expect("every error says why");
    (status.code(), info.reason)
}
