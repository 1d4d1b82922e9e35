//! A cluster of two groups in a folder of its own, and clients of it.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nautilus_catalog::UserId;
use nautilus_cli::cluster::{Cluster, DataDir, Ports, Settings};
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::catalog_service_client::CatalogServiceClient;
use nautilus_proto::admin::v1::cluster_service_client::ClusterServiceClient;
use nautilus_proto::admin::v1::{CreateNamespaceRequest, DeleteNamespaceRequest};
use nautilus_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use nautilus_proto::ingest::v1::{
    DeleteDocument, DocumentContent, Write, WriteRequest, write::Operation,
};
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_service::config::HumanDuration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

// By its path, because another test program includes this file by its own.
#[path = "stall.rs"]
mod stall;

pub(crate) use stall::Stall;

/// Nothing here takes so long unless it hangs.
pub(crate) const WAIT: Duration = Duration::from_secs(60);
const CALL: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    pub(crate) log: Arc<Stall>,
    pub(crate) folder: TempDir,
}

/// What a test says to the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    issuer: Arc<nautilus_identity::DevelopmentIssuer>,
}

impl World {
    /// A running cluster with the users `ada` and `bob`.
    pub(crate) async fn start() -> Self {
        Self::start_as(|_| {}, |_| {}).await
    }

    /// With other settings, and with something put around what the cluster stands on.
    pub(crate) async fn start_as(
        set: impl FnOnce(&mut Settings),
        wrap: impl FnOnce(&mut Ports),
    ) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let data_dir = DataDir::open(folder.path()).expect("free");
        let (mut ports, signer) = Ports::open(&data_dir, Some(4)).await.expect("opens");
        for user in ["ada", "bob"] {
            let id = UserId::new(user).expect("valid");
            ports.catalog.create_user(&id, user, 1).await.expect("new");
        }
        wrap(&mut ports);
        let log = Arc::new(Stall::new(Arc::clone(&ports.log)));
        ports.log = Arc::clone(&log) as Arc<dyn MutationLog>;
        let mut settings = Settings::small();
        settings.roles.leaf.snapshot_interval = HumanDuration(Duration::from_millis(300));
        set(&mut settings);
        let issuer = nautilus_identity::DevelopmentIssuer::open(&folder.path().join("identity"));
        let cluster = Cluster::start(data_dir, ports, signer, settings).await.expect("starts");
        bounded("both groups serve", cluster.until_ready()).await;
        let channel = connect(cluster.address()).await;
        let client = Client { channel, issuer: Arc::new(issuer.expect("key")) };
        Self { cluster, client, log, folder }
    }

    /// The value of a metric without labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = scrape(self.cluster.admin_address()).await;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no metric {name} in {text}")).parse().expect("a number")
    }

    pub(crate) async fn stop(self) {
        drop(self.client);
        bounded("everything stops", self.cluster.stop()).await.expect("cleanly");
    }
}

async fn connect(address: SocketAddr) -> Channel {
    let channel = Channel::from_shared(format!("http://{address}")).expect("uri");
    channel.connect().await.expect("connects")
}

/// All metrics of a process.
pub(crate) async fn scrape(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let request = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("read");
    text
}

impl Client {
    /// The same people at another server.
    pub(crate) async fn at(&self, address: SocketAddr) -> Self {
        Self { channel: connect(address).await, issuer: Arc::clone(&self.issuer) }
    }

    pub(crate) fn request<T>(&self, user: &str, message: T) -> Request<T> {
        self.request_within(user, message, CALL)
    }

    pub(crate) fn request_within<T>(&self, user: &str, message: T, time: Duration) -> Request<T> {
        let now_s = nautilus_service::Clock::system().unix_ms() / 1_000;
        let lifetime = Duration::from_secs(300);
        let token = match user.strip_prefix("operator:") {
            Some(user) => self.issuer.issue_operator(user, now_s, lifetime),
            None => self.issuer.issue(user, now_s, lifetime),
        };
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", token.expect("issued"));
        request.metadata_mut().insert("authorization", bearer.parse().expect("header"));
        request.set_timeout(time);
        request
    }

    pub(crate) fn searches(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone()).max_decoding_message_size(32 << 20)
    }

    pub(crate) fn writes(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel.clone())
    }

    pub(crate) fn cluster(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone())
    }

    pub(crate) fn accounts(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn create(&self, user: &str, namespace: &str) {
        let message = CreateNamespaceRequest { name: namespace.to_owned(), owner: String::new() };
        self.accounts().create_namespace(self.request(user, message)).await.expect("created");
    }

    pub(crate) async fn delete(&self, user: &str, namespace: &str) {
        let message = DeleteNamespaceRequest { name: namespace.to_owned() };
        self.accounts().delete_namespace(self.request(user, message)).await.expect("deleted");
    }

    /// Writes and answers with the consistency token.
    pub(crate) async fn write(&self, user: &str, writes: Vec<Write>) -> String {
        let answer = self.writes().write(self.request(user, WriteRequest { writes })).await;
        let answer = answer.expect("taken").into_inner();
        assert!(answer.results.iter().all(|result| result.error.is_none()), "{answer:?}");
        answer.consistency_token
    }

    pub(crate) async fn search(
        &self,
        user: &str,
        message: SearchRequest,
    ) -> Result<SearchResponse, Status> {
        Ok(self.searches().search(self.request(user, message)).await?.into_inner())
    }
}

pub(crate) fn upsert(namespace: &str, id: &str, body: &str) -> Write {
    Write {
        namespace: namespace.to_owned(),
        document_id: id.to_owned(),
        operation: Some(Operation::Upsert(DocumentContent {
            title: id.to_owned(),
            body: body.to_owned(),
            ..DocumentContent::default()
        })),
        ..Write::default()
    }
}

pub(crate) fn delete(namespace: &str, id: &str) -> Write {
    Write {
        namespace: namespace.to_owned(),
        document_id: id.to_owned(),
        operation: Some(Operation::Delete(DeleteDocument {})),
        ..Write::default()
    }
}

pub(crate) fn query(text: &str, namespace: &str) -> SearchRequest {
    SearchRequest {
        query: text.to_owned(),
        namespaces: vec![namespace.to_owned()],
        page_size: 100,
        ..SearchRequest::default()
    }
}

pub(crate) fn ids(response: &SearchResponse) -> Vec<String> {
    response.hits.iter().map(|hit| hit.document_id.clone()).collect()
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info().expect("every error says why");
    (status.code(), info.reason)
}

pub(crate) async fn bounded<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(WAIT, work).await {
        Ok(done) => done,
        Err(_) => panic!("not in {WAIT:?}: {what}"),
    }
}
