//! A connection to the public port, with tokens made by the development issuer's key.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use nautilus_identity::DevelopmentIssuer;
use nautilus_proto::admin::v1::CreateNamespaceRequest;
use nautilus_proto::admin::v1::catalog_service_client::CatalogServiceClient;
use nautilus_proto::admin::v1::cluster_service_client::ClusterServiceClient;
use nautilus_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_service::Clock;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};

const TOKEN_LIFETIME: Duration = Duration::from_secs(600);
/// A new token is made this long before the old one ends.
const TOKEN_RENEWAL: Duration = Duration::from_secs(300);
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Which cluster, and as whom.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// Data directory of the running `nautilus dev`
    #[arg(long, default_value = ".nautilus")]
    pub data_dir: PathBuf,
    /// The user who asks and writes, with operator's rights
    #[arg(long = "as", default_value = "demo")]
    pub user: String,
}

/// Cheap to clone clients of one channel.
pub struct Connection {
    channel: Channel,
    issuer: DevelopmentIssuer,
    user: String,
    /// The time measurements go by.
    pub clock: Clock,
    token: Mutex<Option<(Instant, MetadataValue<Ascii>)>>,
}

impl Connection {
    /// Connects to what `target` names.
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        let file = target.data_dir.join("endpoint");
        let endpoint = std::fs::read_to_string(&file).with_context(|| {
            format!("read {}: is `nautilus dev` running there?", file.display())
        })?;
        let channel = Endpoint::from_shared(format!("http://{}", endpoint.trim()))?
            .tcp_nodelay(true)
            .initial_stream_window_size(4 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024)
            .connect()
            .await?;
        let issuer = DevelopmentIssuer::open(&target.data_dir.join("identity"))?;
        let clock = Clock::system();
        Ok(Self { channel, issuer, user: target.user.clone(), clock, token: Mutex::new(None) })
    }

    /// A request with credentials and a deadline.
    pub fn request<T>(&self, message: T, timeout: Duration) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer()?);
        request.set_timeout(timeout);
        Ok(request)
    }

    fn bearer(&self) -> anyhow::Result<MetadataValue<Ascii>> {
        let now = self.clock.now();
        let mut token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made, bearer)) = &*token
            && now.saturating_duration_since(*made) < TOKEN_RENEWAL
        {
            return Ok(bearer.clone());
        }
        let now_s = self.clock.unix_ms() / 1_000;
        let made = self.issuer.issue_operator(&self.user, now_s, TOKEN_LIFETIME)?;
        let bearer: MetadataValue<Ascii> = format!("Bearer {made}").parse()?;
        *token = Some((now, bearer.clone()));
        Ok(bearer)
    }

    /// Makes the namespace, unless it is there.
    pub async fn ensure_namespace(&self, name: &str) -> anyhow::Result<()> {
        let message = CreateNamespaceRequest { name: name.to_owned(), owner: String::new() };
        let request = self.request(message, Duration::from_secs(10))?;
        match CatalogServiceClient::new(self.channel.clone()).create_namespace(request).await {
            Err(status) if status.code() != Code::Aborted => Err(status.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Finding documents.
    pub fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Writing documents.
    pub fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.channel.clone())
    }

    /// The state of the cluster.
    pub fn cluster(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}
