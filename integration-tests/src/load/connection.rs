//! Connections to mergers and index builder, with tokens made by the development issuer's key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nautilus_identity::{ConsistencyToken, DevelopmentIssuer, LogIdentity, TokenKey};
use nautilus_proto::admin::v1::catalog_service_client::CatalogServiceClient;
use nautilus_proto::admin::v1::{CreateNamespaceRequest, CreateUserRequest};
use nautilus_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_service::Clock;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::{Target, USER, namespace};

const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
/// A new token is made when the old one is this old.
const TOKEN_AGE_MAX: Duration = Duration::from_secs(300);
const SETUP_TIME_MAX: Duration = Duration::from_secs(10);

pub(super) struct Connection {
    mergers: Vec<Channel>,
    next: AtomicUsize,
    index_builder: Channel,
    issuer: DevelopmentIssuer,
    token_key: TokenKey,
    log: LogIdentity,
    pub(super) clock: Clock,
    token: Mutex<Option<(Instant, MetadataValue<Ascii>)>>,
}

impl Connection {
    pub(super) fn open(target: &Target) -> anyhow::Result<Self> {
        let channel = |address: &std::net::SocketAddr| {
            let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
            anyhow::Ok(endpoint.tcp_nodelay(true).connect_lazy())
        };
        Ok(Self {
            mergers: target.mergers.iter().map(channel).collect::<anyhow::Result<_>>()?,
            next: AtomicUsize::new(0),
            index_builder: channel(&target.index_builder)?,
            issuer: DevelopmentIssuer::open(&target.identity_dir)
                .context("open the issuer's key")?,
            token_key: TokenKey::load_or_create(&target.token_key_file)
                .context("open the key of tokens")?,
            log: target.log,
            clock: Clock::system(),
            token: Mutex::new(None),
        })
    }

    pub(super) async fn make_user_and_namespaces(&self, count: u32) -> anyhow::Result<()> {
        let mut catalog = CatalogServiceClient::new(self.index_builder.clone());
        let user = CreateUserRequest { id: USER.to_owned(), display_name: "Load".to_owned() };
        let made = catalog.create_user(self.request(user, SETUP_TIME_MAX)?).await;
        unless_there(made.map(|_| ())).context("make the user")?;
        for number in 0..count {
            let message =
                CreateNamespaceRequest { name: namespace(number.into()), owner: String::new() };
            let made = catalog.create_namespace(self.request(message, SETUP_TIME_MAX)?).await;
            unless_there(made.map(|_| ())).context("make a namespace")?;
        }
        Ok(())
    }

    /// A request with credentials and a deadline.
    pub(super) fn request<T>(&self, message: T, timeout: Duration) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer()?);
        request.set_timeout(timeout);
        Ok(request)
    }

    /// The next merger in turn.
    pub(super) fn search(&self) -> SearchServiceClient<Channel> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.mergers.len().max(1);
        SearchServiceClient::new(self.mergers[turn].clone())
    }

    pub(super) fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.index_builder.clone())
    }

    /// What a token of the cluster says.
    pub(super) fn open_token(&self, token: &str) -> anyhow::Result<ConsistencyToken> {
        if token.is_empty() {
            return Ok(ConsistencyToken::new());
        }
        Ok(ConsistencyToken::open(&self.token_key, &self.log, token)?)
    }

    fn bearer(&self) -> anyhow::Result<MetadataValue<Ascii>> {
        let now = self.clock.now();
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, bearer)) = &*token
            && now.saturating_duration_since(*made) < TOKEN_AGE_MAX
        {
            return Ok(bearer.clone());
        }
        let now_s = self.clock.unix_ms() / 1_000;
        let made = self.issuer.issue_operator(USER, now_s, TOKEN_LIFETIME)?;
        let bearer: MetadataValue<Ascii> = format!("Bearer {made}").parse()?;
        *token = Some((now, bearer.clone()));
        Ok(bearer)
    }
}

fn unless_there(made: Result<(), Status>) -> Result<(), Status> {
    match made {
        Err(status) if matches!(status.code(), Code::AlreadyExists | Code::Aborted) => Ok(()),
        other => other,
    }
}
