//! Leaves that do what a test tells them, and a root in front of them.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use nautilus_identity::{Grant, GrantSigner, GrantVerifier, KeyPair, KeySet, Purpose, query_hash};
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_proto::common::v1::{NamespaceRef, PartitionLabel, QueryNode};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::leaf::v1::leaf_service_server::{LeafService, LeafServiceServer};
use nautilus_proto::query_to_proto;
use nautilus_proto::root::v1::SearchRequest;
use nautilus_proto::root::v1::root_service_client::RootServiceClient;
use nautilus_query::{FieldSet, Node};
use nautilus_root::{Config, Root, RootGrpc, RoutingTable};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Incarnation, NamespaceName, PartitionId, PartitionMap};
use prost::Message as _;
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt as _;

pub(crate) const GROUP: &str = "blue";
const PARTITIONS: u32 = 4;
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// No wait of a test takes longer, even on a machine that is busy building.
const WAIT_MAX: Duration = Duration::from_secs(20);

static SIGNER: LazyLock<GrantSigner> =
    LazyLock::new(|| GrantSigner::new(KeyPair::generate().expect("randomness")));

pub(crate) fn now_ms() -> u64 {
    Clock::system().unix_ms()
}

/// The first or a later name that falls into a partition.
pub(crate) fn name(partition: u32, number: usize) -> String {
    let map = PartitionMap::divided(PARTITIONS);
    let is_in = |name: &String| {
        map.partition_of(&NamespaceName::new(name).expect("valid")) == PartitionId(partition)
    };
    let mut names = (0..).map(|n| format!("n{n}")).filter(is_in);
    names.nth(number).expect("there is always another")
}

pub(crate) fn namespace(name: &str) -> NamespaceRef {
    NamespaceRef { name: name.into(), incarnation: 1 }
}

pub(crate) fn key(name: &str, id: &str) -> leaf::FetchKey {
    leaf::FetchKey { namespace: Some(namespace(name)), document_id: id.into() }
}

/// A query of two scoring leaves.
pub(crate) fn query(word: &str) -> QueryNode {
    let term = |token: &str| Node::Term { fields: FieldSet::ALL, token: token.into() };
    query_to_proto(&Node::And(vec![term(word), term("red")]))
}

pub(crate) fn grant(
    names: &[impl AsRef<str>],
    purpose: Purpose,
    query: Option<&QueryNode>,
    expires_at_unix_ms: u64,
) -> Vec<u8> {
    let name = |name: &str| NamespaceName::new(name).expect("valid");
    let names = names.iter().map(|n| (name(n.as_ref()), Incarnation(1)));
    let hash = query.map_or(0, |query| query_hash(&query.encode_to_vec()));
    let grant = Grant::new("ada", names, purpose, hash, expires_at_unix_ms);
    SIGNER.sign(&grant.expect("valid"))
}

pub(crate) fn search_request(names: &[impl AsRef<str>]) -> SearchRequest {
    let query = query("fox");
    SearchRequest {
        grant: grant(names, Purpose::Search, Some(&query), now_ms() + 5_000),
        map_version: 1,
        namespaces: names.iter().map(|name| namespace(name.as_ref())).collect(),
        query: Some(query),
        limit: 10,
        budget_us: 500_000,
        min_offsets: Vec::new(),
        replica_group: String::new(),
    }
}

pub(crate) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(String::new, |info| info.reason.clone())
}

enum Behaviour {
    Answer,
    Change(fn(&mut leaf::SearchResponse)),
    Fail(fn() -> Status),
    Hang,
}

/// A leaf that does what it is told. Clones are the same leaf.
#[derive(Clone)]
pub(crate) struct FakeLeaf {
    behaviour: Arc<Behaviour>,
    searches: Arc<Mutex<Vec<leaf::SearchRequest>>>,
    /// Searches that began, and those that were dropped before their end.
    hung: Arc<watch::Sender<(usize, usize)>>,
}

impl FakeLeaf {
    pub(crate) fn answering() -> Self {
        Self::new(Behaviour::Answer)
    }

    pub(crate) fn changing(change: fn(&mut leaf::SearchResponse)) -> Self {
        Self::new(Behaviour::Change(change))
    }

    pub(crate) fn failing(status: fn() -> Status) -> Self {
        Self::new(Behaviour::Fail(status))
    }

    pub(crate) fn hanging() -> Self {
        Self::new(Behaviour::Hang)
    }

    fn new(behaviour: Behaviour) -> Self {
        Self {
            behaviour: Arc::new(behaviour),
            searches: Arc::default(),
            hung: Arc::new(watch::channel((0, 0)).0),
        }
    }

    /// The searches it was asked for.
    pub(crate) fn searches(&self) -> Vec<leaf::SearchRequest> {
        self.searches.lock().expect("not poisoned").clone()
    }

    pub(crate) async fn wait_started(&self, count: usize) {
        self.wait(|(started, _)| *started >= count).await;
    }

    pub(crate) async fn wait_all_cancelled(&self) {
        self.wait(|(started, cancelled)| *started > 0 && started == cancelled).await;
    }

    async fn wait(&self, is_so: impl FnMut(&(usize, usize)) -> bool) {
        let mut hung = self.hung.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, hung.wait_for(is_so)).await;
        waited.expect("in time").expect("the sender lives");
    }
}

/// Counts a search that is dropped.
struct Dropped(Arc<watch::Sender<(usize, usize)>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send_modify(|(_, cancelled)| *cancelled += 1);
    }
}

#[tonic::async_trait]
impl LeafService for FakeLeaf {
    async fn search(
        &self,
        request: Request<leaf::SearchRequest>,
    ) -> Result<Response<leaf::SearchResponse>, Status> {
        assert!(request.metadata().get("grpc-timeout").is_some(), "every call has a deadline");
        let request = request.into_inner();
        self.searches.lock().expect("not poisoned").push(request.clone());
        let mut answer = search_answer(&request);
        match &*self.behaviour {
            Behaviour::Answer => {}
            Behaviour::Change(change) => change(&mut answer),
            Behaviour::Fail(status) => return Err(status()),
            Behaviour::Hang => {
                let _dropped = Dropped(Arc::clone(&self.hung));
                self.hung.send_modify(|(started, _)| *started += 1);
                std::future::pending::<()>().await;
            }
        }
        Ok(Response::new(answer))
    }

    async fn fetch(
        &self,
        request: Request<leaf::FetchRequest>,
    ) -> Result<Response<leaf::FetchResponse>, Status> {
        let request = request.into_inner();
        let document = |key: &leaf::FetchKey| {
            let name = key.namespace.as_ref().map(|n| n.name.clone()).unwrap_or_default();
            let [name, id] = [&name, &key.document_id].map(|b| String::from_utf8_lossy(b));
            leaf::FetchedDocument {
                found: id != "absent",
                title: format!("{name}/{id}"),
                ..leaf::FetchedDocument::default()
            }
        };
        Ok(Response::new(leaf::FetchResponse {
            label: label(request.context.as_ref()),
            documents: request.keys.iter().map(document).collect(),
        }))
    }

    async fn list(
        &self,
        request: Request<leaf::ListRequest>,
    ) -> Result<Response<leaf::ListResponse>, Status> {
        let request = request.into_inner();
        assert!(request.context.as_ref().is_some_and(|context| context.latest));
        let document = |id: &str| leaf::ListedDocument {
            document_id: id.into(),
            ..leaf::ListedDocument::default()
        };
        Ok(Response::new(leaf::ListResponse {
            label: label(request.context.as_ref()),
            documents: vec![document("d2"), document("d3")],
            is_last: false,
        }))
    }

    async fn get_status(
        &self,
        _: Request<leaf::GetStatusRequest>,
    ) -> Result<Response<leaf::GetStatusResponse>, Status> {
        let status = |partition| PartitionStatus {
            label: Some(PartitionLabel { partition, ..PartitionLabel::default() }),
            ..PartitionStatus::default()
        };
        Ok(Response::new(leaf::GetStatusResponse {
            leaf: "fake".into(),
            partitions: vec![status(2), status(0), status(9)],
        }))
    }
}

fn label(context: Option<&leaf::RequestContext>) -> Option<PartitionLabel> {
    let context = context.expect("always");
    Some(PartitionLabel {
        partition: context.partition,
        next_offset: context.min_next_offset.max(50),
        ..PartitionLabel::default()
    })
}

/// One document in each namespace, named after it.
fn search_answer(request: &leaf::SearchRequest) -> leaf::SearchResponse {
    let candidate = |(index, namespace): (u32, &NamespaceRef)| leaf::Candidate {
        namespace_index: index,
        document_id: namespace.name.clone(),
        length: 10,
        frequencies: vec![1, 2],
        local_score: 1.0,
    };
    leaf::SearchResponse {
        label: label(request.context.as_ref()),
        candidates: (0..).zip(&request.namespaces).map(candidate).collect(),
        statistics: Some(leaf::Statistics {
            documents: 100,
            total_length: 1_000,
            document_frequencies: vec![3, 2],
        }),
        total_hits: u64::try_from(request.namespaces.len()).expect("small"),
        ..leaf::SearchResponse::default()
    }
}

/// A root and its leaves, each on a port of its own.
pub(crate) struct Cluster {
    root: Arc<Root>,
    table: RoutingTable,
    channel: Channel,
    tasks: TaskGroup,
}

impl Cluster {
    pub(crate) async fn start(leaves: &[(&FakeLeaf, &[u32])]) -> Self {
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        let mut table = RoutingTable {
            replica_group: GROUP.into(),
            map: PartitionMap::divided(PARTITIONS),
            leaves: Default::default(),
        };
        for (leaf, partitions) in leaves {
            let address = serve_leaf(&mut tasks, leaf).await;
            let entries = partitions.iter().map(|p| (PartitionId(*p), address.clone()));
            table.leaves.extend(entries);
        }
        let verifier = GrantVerifier::new(KeySet::from(SIGNER.public_key()));
        let config = Config::new(table.clone());
        let root = Root::build(config, verifier, Clock::system()).expect("built");
        let root = Arc::new(root);
        let server = GrpcServer::new("root", ServerSettings::default(), Clock::system())
            .service(RootGrpc::server(Arc::clone(&root)));
        let server = server.bind(LOCAL).await.expect("a port");
        let endpoint = Endpoint::from_shared(format!("http://{}", server.local_addr()));
        let channel = endpoint.expect("an address").connect_lazy();
        tasks.spawn("root", |stop| server.serve(stop));
        Self { root, table, channel, tasks }
    }

    pub(crate) fn client(&self) -> RootServiceClient<Channel> {
        RootServiceClient::new(self.channel.clone())
    }

    /// Gives a partition to a leaf where nobody listens.
    pub(crate) fn add_unreachable(&mut self, partition: u32) {
        self.table.leaves.insert(PartitionId(partition), "http://127.0.0.1:1".into());
        self.root.replace_routing(self.table.clone()).expect("an address");
    }

    pub(crate) async fn move_to(&mut self, partition: PartitionId, leaf: &FakeLeaf) {
        let address = serve_leaf(&mut self.tasks, leaf).await;
        self.table.leaves.insert(partition, address);
        self.root.replace_routing(self.table.clone()).expect("an address");
    }

    pub(crate) async fn stop(self) {
        drop(self.channel);
        self.tasks.drain(WAIT_MAX).await.log_laggards();
    }
}

async fn serve_leaf(tasks: &mut TaskGroup, leaf: &FakeLeaf) -> String {
    let server = GrpcServer::new("leaf", ServerSettings::default(), Clock::system())
        .service(LeafServiceServer::new(leaf.clone()))
        .bind(LOCAL)
        .await
        .expect("a port");
    let address = format!("http://{}", server.local_addr());
    tasks.spawn("leaf", |stop| server.serve(stop));
    address
}
