//! A merger with all around it, each test its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nautilus_catalog::{Catalog, FaultPlan, Faulty, Right, SqliteCatalog, UserId};
use nautilus_identity::{
    DevelopmentIssuer, GrantSigner, GrantVerifier, KeyPair, KeySet, LogIdentity, TokenKey,
};
use nautilus_merger::{Config, Merger, Parts};
use nautilus_proto::admin::v1::cluster_service_client::ClusterServiceClient;
use nautilus_proto::admin::v1::{
    GetShadowReportRequest, GetStatusRequest, GetStatusResponse, ShadowReport,
};
use nautilus_proto::common::v1::NamespaceRef;
use nautilus_proto::root::v1::root_service_server::RootServiceServer;
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_proto::search::v1::{
    GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest, ListDocumentsResponse,
    SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{LogGeneration, NamespaceName, PartitionId, PartitionMap};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

use crate::fake_root::{Doc, FakeRoot, State};

/// Where nothing listens.
const NOBODY: &str = "127.0.0.1:1";

pub(crate) const MAP: PartitionMap = PartitionMap { version: 1, partitions: 4 };
pub(crate) const LOG: LogIdentity =
    LogIdentity { cluster_id: [9; 16], generation: LogGeneration(3) };
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct System {
    pub(crate) root: FakeRoot,
    pub(crate) catalog: Arc<Faulty>,
    pub(crate) token_key: Arc<TokenKey>,
    pub(crate) merger: Merger,
    issuer: DevelopmentIssuer,
    channel: Channel,
    tasks: TaskGroup,
    _folder: tempfile::TempDir,
}

impl System {
    pub(crate) async fn start() -> Self {
        Self::start_with(true).await
    }

    /// With a root, or with none where one should be.
    pub(crate) async fn start_with(has_root: bool) -> Self {
        Self::start_as(has_root, |_| {}).await
    }

    /// With other settings.
    pub(crate) async fn start_as(has_root: bool, set: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let catalog = SqliteCatalog::open(&folder.path().join("catalog.db")).await.expect("opens");
        let catalog = Arc::new(Faulty::new(Arc::new(catalog), FaultPlan::default()));
        let issuer = DevelopmentIssuer::open(folder.path()).expect("a key");
        let signer = GrantSigner::new(KeyPair::generate().expect("randomness"));
        let root = FakeRoot {
            state: Arc::new(Mutex::new(State { next_offset: 100, ..State::default() })),
            verifier: GrantVerifier::new(KeySet::from(signer.public_key())),
            catalog: Arc::clone(&catalog),
        };
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        let mut root_address = NOBODY.to_owned();
        if has_root {
            let server = server("root").service(RootServiceServer::new(root.clone()));
            let server = server.bind(LOCAL).await.expect("a port");
            root_address = server.local_addr().to_string();
            tasks.spawn("root", |stop| server.serve(stop));
        }
        let token_key = Arc::new(TokenKey::generate().expect("randomness"));
        let parts = Parts {
            catalog: Arc::clone(&catalog) as Arc<dyn Catalog>,
            authenticator: Arc::new(issuer.authenticator()),
            signer,
            token_key: Arc::clone(&token_key),
            // Nobody is at the first, ever: every request that comes to it must go on.
            roots: vec![connect(NOBODY), connect(&root_address)],
        };
        let mut config = Config::new(LOG, MAP);
        set(&mut config);
        let merger = Merger::build(config, parts, Clock::system());
        merger.spawn(&mut tasks);
        let server = server("merger")
            .service(merger.search_service())
            .service(merger.cluster_service())
            .bind(LOCAL)
            .await
            .expect("a port");
        let channel = connect(&server.local_addr().to_string());
        tasks.spawn("merger", |stop| server.serve(stop));
        Self { root, catalog, token_key, merger, issuer, channel, tasks, _folder: folder }
    }

    pub(crate) async fn stop(self) {
        drop(self.channel);
        self.tasks.drain(WAIT_MAX).await.log_laggards();
    }

    pub(crate) async fn user(&self, id: &str) {
        self.catalog.create_user(&user_id(id), id, 1).await.expect("new");
    }

    /// A new namespace of `owner`.
    pub(crate) async fn namespace(&self, name: &str, owner: &str) -> NamespaceRef {
        let record = self.catalog.create_namespace(&namespace_name(name), &user_id(owner), 1).await;
        NamespaceRef { name: name.into(), incarnation: record.expect("new").incarnation.0 }
    }

    pub(crate) async fn share(&self, name: &str, reader: &str) {
        let (user, namespace) = (user_id(reader), namespace_name(name));
        let shared = self.catalog.grant_membership(&user, &namespace, Right::Reader);
        shared.await.expect("shared");
    }

    pub(crate) fn feed(&self, namespace: &NamespaceRef, id: &str, title: &str, body: &str) {
        self.root.state().documents.push(Doc {
            namespace: namespace.clone(),
            id: id.into(),
            title: title.into(),
            path: format!("docs/{id}.md"),
            body: body.into(),
            ..Doc::default()
        });
    }

    /// Ada with a namespace of three documents.
    pub(crate) async fn with_foxes(&self) -> NamespaceRef {
        self.user("ada").await;
        let home = self.namespace("home", "ada").await;
        self.feed(&home, "red", "Red fox", "the red fox jumps over the lazy dog");
        self.feed(&home, "grey", "Grey wolf", "a wolf and a fox met in the forest at night");
        self.feed(&home, "tea", "Tea", "how to make green tea");
        home
    }

    pub(crate) fn token(&self, user: &str, is_operator: bool) -> String {
        let (now_s, lifetime) = (Clock::system().unix_ms() / 1_000, Duration::from_secs(60));
        let token = match is_operator {
            true => self.issuer.issue_operator(user, now_s, lifetime),
            false => self.issuer.issue(user, now_s, lifetime),
        };
        token.expect("issued")
    }

    fn request<T>(&self, user: &str, message: T) -> Request<T> {
        authorized(message, &self.token(user, false))
    }

    pub(crate) fn client(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn search(
        &self,
        user: &str,
        request: SearchRequest,
    ) -> Result<SearchResponse, Status> {
        Ok(self.client().search(self.request(user, request)).await?.into_inner())
    }

    /// A search by somebody whose token says that they are an operator.
    pub(crate) async fn search_as_operator(
        &self,
        user: &str,
        request: SearchRequest,
    ) -> Result<SearchResponse, Status> {
        let request = authorized(request, &self.token(user, true));
        Ok(self.client().search(request).await?.into_inner())
    }

    pub(crate) async fn suggest(
        &self,
        user: &str,
        request: SuggestRequest,
    ) -> Result<SuggestResponse, Status> {
        Ok(self.client().suggest(self.request(user, request)).await?.into_inner())
    }

    pub(crate) async fn get(
        &self,
        user: &str,
        request: GetDocumentRequest,
    ) -> Result<GetDocumentResponse, Status> {
        Ok(self.client().get_document(self.request(user, request)).await?.into_inner())
    }

    pub(crate) async fn list(
        &self,
        user: &str,
        request: ListDocumentsRequest,
    ) -> Result<ListDocumentsResponse, Status> {
        Ok(self.client().list_documents(self.request(user, request)).await?.into_inner())
    }

    /// What shadow searches have shown.
    pub(crate) async fn shadow_report(&self, token: &str) -> Result<Option<ShadowReport>, Status> {
        let mut client = ClusterServiceClient::new(self.channel.clone());
        let request = authorized(GetShadowReportRequest {}, token);
        Ok(client.get_shadow_report(request).await?.into_inner().report)
    }

    pub(crate) async fn status(&self, token: &str) -> Result<GetStatusResponse, Status> {
        let mut client = ClusterServiceClient::new(self.channel.clone());
        Ok(client.get_status(authorized(GetStatusRequest {}, token)).await?.into_inner())
    }
}

fn server(name: &str) -> GrpcServer {
    GrpcServer::new(name, ServerSettings::default(), Clock::system())
}

fn connect(address: &str) -> Channel {
    Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
}

pub(crate) fn authorized<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().expect("text");
    request.metadata_mut().insert("authorization", value);
    request
}

pub(crate) fn user_id(id: &str) -> UserId {
    UserId::new(id).expect("valid")
}

pub(crate) fn namespace_name(name: &str) -> NamespaceName {
    NamespaceName::new(name).expect("valid")
}

pub(crate) fn partition_of(name: &str) -> PartitionId {
    MAP.partition_of(&namespace_name(name))
}

/// Two names in different partitions.
pub(crate) fn apart() -> (String, String) {
    let first = "n0".to_owned();
    let is_apart = |name: &String| partition_of(name) != partition_of(&first);
    let second = (1..).map(|n| format!("n{n}")).find(is_apart);
    (first, second.expect("there is one"))
}

pub(crate) fn query(text: &str) -> SearchRequest {
    SearchRequest { query: text.into(), ..SearchRequest::default() }
}

pub(crate) fn ids(response: &SearchResponse) -> Vec<&str> {
    response.hits.iter().map(|hit| hit.document_id.as_str()).collect()
}

pub(crate) fn reason_of(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(String::new, |info| info.reason.clone())
}

/// Fields the status blames.
pub(crate) fn fields_of(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|request| request.field_violations.clone());
    violations.unwrap_or_default().into_iter().map(|violation| violation.field).collect()
}
