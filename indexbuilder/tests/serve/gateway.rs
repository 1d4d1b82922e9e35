//! One index builder on a port of its own, with what a test needs around it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nautilus_annotate::{Annotator, BUILT_IN};
use nautilus_catalog::{Catalog, Right, SqliteCatalog, UserId};
use nautilus_identity::{DevelopmentIssuer, TokenKey};
use nautilus_indexbuilder::{IndexBuilder, Parts, RawAnnotators, RawConfig};
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, MutationLog, Record};
use nautilus_proto::admin::v1::catalog_service_client::CatalogServiceClient;
use nautilus_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use nautilus_proto::log::v1::MutationRecord;
use nautilus_service::config::{ByteSize, HumanDuration};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{NamespaceName, Offset, PartitionId, PartitionMap};
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

pub(crate) const PARTITIONS: u32 = 4;
/// Nothing here takes so long unless it hangs.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// What outlives a gateway: the disks and the keys.
pub(crate) struct World {
    _dir: TempDir,
    pub(crate) catalog: Arc<SqliteCatalog>,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) token_key: Arc<TokenKey>,
    issuer: DevelopmentIssuer,
}

/// A running gateway.
pub(crate) struct Gateway {
    tasks: TaskGroup,
    pub(crate) ingest: IngestServiceClient<Channel>,
    pub(crate) accounts: CatalogServiceClient<Channel>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary folder");
        let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).await.expect("catalog");
        let clock = Clock::system();
        let wall = Arc::new(move || clock.unix_ms());
        let config = EmbeddedConfig::new(dir.path().join("log"), PARTITIONS, wall);
        let log = EmbeddedLog::open(config).await.expect("log");
        Self {
            catalog: Arc::new(catalog),
            log: Arc::new(log),
            token_key: Arc::new(TokenKey::generate().expect("key")),
            issuer: DevelopmentIssuer::open(dir.path()).expect("issuer"),
            _dir: dir,
        }
    }

    /// Ada owns `notes`; Bob reads it. Eve has nothing. `root` is an operator and no user.
    pub(crate) async fn with_people() -> Self {
        let world = Self::new().await;
        for id in ["ada", "bob", "eve"] {
            world.catalog.create_user(&user(id), id, 0).await.expect("user");
        }
        world.namespace("notes", "ada").await;
        let (bob, notes) = (user("bob"), name("notes"));
        world.catalog.grant_membership(&bob, &notes, Right::Reader).await.expect("member");
        world
    }

    pub(crate) async fn namespace(&self, namespace: &str, owner: &str) {
        let created = self.catalog.create_namespace(&name(namespace), &user(owner), 0).await;
        created.expect("namespace");
    }

    pub(crate) async fn start(&self) -> Gateway {
        self.start_on(self.catalog.clone(), self.log.clone()).await
    }

    pub(crate) async fn start_on(
        &self,
        catalog: Arc<dyn Catalog>,
        log: Arc<dyn MutationLog>,
    ) -> Gateway {
        self.start_with(catalog, log, None, Vec::new()).await
    }

    /// A gateway that follows the replicas through `root`.
    pub(crate) async fn start_below(&self, root: Channel) -> Gateway {
        self.start_with(self.catalog.clone(), self.log.clone(), Some(root), Vec::new()).await
    }

    /// A gateway with all built-in annotators and these.
    pub(crate) async fn start_annotating(&self, own: Vec<Arc<dyn Annotator>>) -> Gateway {
        self.start_with(self.catalog.clone(), self.log.clone(), None, own).await
    }

    async fn start_with(
        &self,
        catalog: Arc<dyn Catalog>,
        log: Arc<dyn MutationLog>,
        root: Option<Channel>,
        annotators: Vec<Arc<dyn Annotator>>,
    ) -> Gateway {
        let built_in = if annotators.is_empty() { &[][..] } else { &BUILT_IN[..] };
        let config = RawConfig {
            in_flight_bytes_max: ByteSize(4 * 1024 * 1024),
            deletion_interval: HumanDuration(Duration::from_millis(20)),
            lag_records_max: 100,
            annotators: RawAnnotators {
                run: built_in.iter().map(|name| (*name).to_owned()).collect(),
                time_max: HumanDuration(Duration::from_secs(5)),
                ..RawAnnotators::default()
            },
            ..RawConfig::default()
        };
        let index_builder = IndexBuilder::build(
            config.validate().expect("valid"),
            Parts {
                catalog,
                log,
                authenticator: Arc::new(self.issuer.authenticator()),
                token_key: Arc::clone(&self.token_key),
                roots: root.into_iter().collect(),
                annotators,
            },
            Clock::system(),
        );
        let index_builder = index_builder.expect("names of annotators");
        let server = GrpcServer::new("test", ServerSettings::default(), Clock::system());
        let server = index_builder.mount(server);
        let bound = server.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
        let endpoint = format!("http://{}", bound.local_addr());
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        tasks.spawn("server", |stop| bound.serve(stop));
        tasks.spawn("index-builder", |stop| async move { index_builder.run(stop).await });
        let channel = Channel::from_shared(endpoint).expect("uri").connect().await.expect("up");
        Gateway {
            tasks,
            ingest: IngestServiceClient::new(channel.clone()),
            accounts: CatalogServiceClient::new(channel),
        }
    }

    /// A request with this user's credentials; `root` is an operator.
    pub(crate) fn from<T>(&self, user: &str, message: T) -> Request<T> {
        let now_s = Clock::system().unix_ms() / 1000;
        let lifetime = Duration::from_secs(60);
        let token = if user == "root" {
            self.issuer.issue_operator(user, now_s, lifetime)
        } else {
            self.issuer.issue(user, now_s, lifetime)
        };
        with_authorization(message, &format!("Bearer {}", token.expect("issued")))
    }

    /// All records of a partition.
    pub(crate) async fn records(&self, partition: PartitionId) -> Vec<MutationRecord> {
        let mut records = Vec::new();
        let mut next = Offset(0);
        loop {
            let read = self.log.read(partition, next, 1 << 20).await.expect("read");
            let Some(last) = read.last() else { return records };
            next = last.offset.next();
            let decode = |record: Record| MutationRecord::decode(record.payload).expect("decodes");
            records.extend(read.into_iter().map(decode));
        }
    }

    /// Number of records in all partitions.
    pub(crate) async fn record_count(&self) -> u64 {
        let mut count = 0;
        for partition in (0..PARTITIONS).map(PartitionId) {
            count += self.log.watermarks(partition).await.expect("watermarks").high.0;
        }
        count
    }
}

impl Gateway {
    pub(crate) async fn stop(self) {
        let Self { tasks, ingest, accounts } = self;
        // An open connection would keep the server from ending.
        drop((ingest, accounts));
        let report = tasks.drain(WAIT).await;
        assert!(report.is_clean(), "{report:?}");
    }
}

pub(crate) fn with_authorization<T>(message: T, value: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", value.parse().expect("header value"));
    request
}

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).expect("valid")
}

pub(crate) fn name(namespace: &str) -> NamespaceName {
    NamespaceName::new(namespace).expect("valid")
}

pub(crate) fn partition_of(namespace: &str) -> PartitionId {
    PartitionMap::divided(PARTITIONS).partition_of(&name(namespace))
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("refused");
    let info = status.get_details_error_info().expect("every error says why");
    (status.code(), info.reason)
}
