//! What a test stands on: a log, keys, a folder, and leaves started on them.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_identity::{Grant, GrantSigner, GrantVerifier, KeyPair, KeySet, Purpose, query_hash};
use nautilus_leaf::{Config, Leaf, RawConfig};
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
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Incarnation, NamespaceName, Offset, PartitionId, PartitionMap};
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

/// What outlives a leaf.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) signer: GrantSigner,
    /// One namespace in each partition, by partition.
    pub(crate) namespaces: Vec<String>,
}

/// A running leaf.
pub(crate) struct Running {
    tasks: TaskGroup,
    pub(crate) client: LeafServiceClient<Channel>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let log = open_log(&dir.path().join("log")).await;
        let pair = KeyPair::open(dir.path(), "grant").expect("key");
        let map = PartitionMap::divided(PARTITIONS);
        let of = |partition| {
            let mut names = (0..).map(|i| format!("team-{i}"));
            names.find(|name| map.partition_of(&namespace(name)) == partition).expect("endless")
        };
        let namespaces = (0..PARTITIONS).map(PartitionId).map(of).collect();
        Self { dir, log, signer: GrantSigner::new(pair), namespaces }
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_on(self.log.clone(), &self.dir.path().join("leaf")).await
    }

    pub(crate) async fn start_on(&self, log: Arc<dyn MutationLog>, dir: &Path) -> Running {
        let raw = RawConfig {
            name: "leaf-7".to_owned(),
            data_dir: dir.to_owned(),
            partitions: PARTITIONS,
            search_threads: 2,
            ..RawConfig::default()
        };
        let config: Config = raw.validate().expect("valid");
        let verifier = GrantVerifier::new(KeySet::from(self.signer.public_key()));
        let leaf = Leaf::build(config, log, verifier, Clock::system()).expect("built");
        let leaf = Arc::new(leaf);
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        leaf.spawn_appliers(&mut tasks).expect("threads");
        let bound = leaf.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
        let endpoint = format!("http://{}", bound.local_addr());
        tasks.spawn("server", |stop| bound.serve(stop));
        let channel = Channel::from_shared(endpoint).expect("uri").connect().await.expect("up");
        Running { tasks, client: LeafServiceClient::new(channel) }
    }

    /// The namespace of partition 0.
    pub(crate) fn first(&self) -> &str {
        &self.namespaces[0]
    }

    /// Appends to the partition of the record's namespace.
    pub(crate) async fn append(&self, record: MutationRecord) -> Offset {
        let name = &record.namespace.as_ref().expect("there").name;
        let name = NamespaceName::new(name).expect("valid");
        let partition = PartitionMap::divided(PARTITIONS).partition_of(&name);
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
        let map = PartitionMap::divided(PARTITIONS);
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
            budget_us: 0,
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
        }
    }

    pub(crate) fn list(&self, name: &str, after: &str, limit: u32) -> ListRequest {
        ListRequest {
            context: Some(self.context(name, self.grant(name, Purpose::List, 0))),
            namespace: Some(namespace_ref(name, LIFE)),
            after_document_id: after.into(),
            limit,
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

    pub(crate) async fn status(&self, partition: usize) -> PartitionStatus {
        let answer = self.client.clone().get_status(GetStatusRequest {}).await.expect("answered");
        let mut answer = answer.into_inner();
        assert_eq!(answer.leaf, "leaf-7");
        assert_eq!(answer.partitions.len(), usize::try_from(PARTITIONS).expect("small"));
        answer.partitions.swap_remove(partition)
    }

    /// Waits until the partition is in this state.
    pub(crate) async fn until(&self, partition: usize, state: &str) -> PartitionStatus {
        let reached = async {
            loop {
                let status = self.status(partition).await;
                if status.state == state {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(WAIT, reached).await.expect("in time")
    }

    pub(crate) async fn serving(self) -> Self {
        for partition in 0..usize::try_from(PARTITIONS).expect("small") {
            self.until(partition, "SERVING").await;
        }
        self
    }

    pub(crate) async fn stop(self) {
        let Self { tasks, client } = self;
        // An open connection would keep the server from ending.
        drop(client);
        let report = tasks.drain(WAIT).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

pub(crate) async fn open_log(dir: &Path) -> Arc<EmbeddedLog> {
    let clock = Clock::system();
    let wall = Arc::new(move || clock.unix_ms());
    let log = EmbeddedLog::open(EmbeddedConfig::new(dir, PARTITIONS, wall)).await;
    Arc::new(log.expect("log"))
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
