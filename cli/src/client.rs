//! A connection to the cluster, and requests with deadline and credentials on them.

use std::time::Duration;

use anyhow::Context as _;
use nautilus_proto::admin::v1::catalog_service_client::CatalogServiceClient;
use nautilus_proto::admin::v1::cluster_service_client::ClusterServiceClient;
use nautilus_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use nautilus_proto::search::v1::search_service_client::SearchServiceClient;
use nautilus_service::Clock;
use nautilus_types::Class;
use serde_json::Value;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::cli::Global;
use crate::credentials::{Caller, Credentials};
use crate::exit::Failure;
use crate::{grpcurl, location};

/// A machine that is there answers long before this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Largest answer taken in: a page of 100 whole documents of 256 KiB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A connection, and who speaks over it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    ingest: Channel,
    endpoint: String,
    ingest_endpoint: String,
    credentials: Credentials,
    timeout: Duration,
    is_verbose: bool,
    pub(crate) clock: Clock,
}

impl Client {
    /// Connects; fails with what to do where nothing listens.
    pub(crate) async fn connect(global: &Global) -> anyhow::Result<Self> {
        let endpoint = location::endpoint(global)?;
        let clock = Clock::system();
        let credentials = Credentials::of(global, clock.clone());
        let ingest_endpoint = location::ingest_endpoint(global)?;
        let connected = transport(&endpoint)?.connect().await;
        let channel = connected.map_err(|_| nothing_listens(&endpoint, global))?;
        let ingest = match ingest_endpoint == endpoint {
            true => channel.clone(),
            // Most commands never write.
            false => transport(&ingest_endpoint)?.connect_lazy(),
        };
        Ok(Self {
            channel,
            ingest,
            endpoint,
            ingest_endpoint,
            credentials,
            timeout: global.timeout,
            is_verbose: global.verbose,
            clock,
        })
    }

    /// Whether tokens are made here rather than given.
    pub(crate) fn makes_tokens(&self) -> bool {
        self.credentials.are_made_here()
    }

    /// A request on behalf of `caller`, with the deadline of `--timeout`.
    pub(crate) fn request<T>(&self, message: T, caller: Caller) -> anyhow::Result<Request<T>> {
        let mut request = Request::new(message);
        let bearer = self.credentials.bearer(caller).context("make a token")?;
        request.metadata_mut().insert("authorization", bearer);
        request.set_timeout(self.timeout);
        Ok(request)
    }

    /// Shows the grpcurl command for a call, where that was asked for.
    pub(crate) fn explain(&self, method: &str, caller: Caller, request: &Value) {
        if self.is_verbose {
            let writes = ["IngestService/", "CatalogService/"];
            let is_write = writes.iter().any(|service| method.contains(service));
            crate::output::complain(&grpcurl::command(
                if is_write { &self.ingest_endpoint } else { &self.endpoint },
                method,
                request,
                &self.credentials.how_to_get(caller),
            ));
        }
    }

    /// Finding and reading documents.
    pub(crate) fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    /// Writing documents.
    pub(crate) fn ingest(&self) -> IngestServiceClient<Channel> {
        IngestServiceClient::new(self.ingest.clone())
    }

    /// Users, namespaces and members.
    pub(crate) fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.ingest.clone())
    }

    /// The state of the cluster.
    pub(crate) fn cluster(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }
}

fn transport(endpoint: &str) -> anyhow::Result<Endpoint> {
    Ok(Endpoint::from_shared(format!("http://{endpoint}"))
        .map_err(|_| Failure::usage(format!("{endpoint:?} is not an endpoint")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        // Batches of documents are large: the default window of 64 KiB would stall them.
        .initial_stream_window_size(4 * 1024 * 1024)
        .initial_connection_window_size(16 * 1024 * 1024))
}

fn nothing_listens(endpoint: &str, global: &Global) -> Failure {
    let start = if global.data_dir.as_os_str() == ".nautilus" {
        "nautilus dev".to_owned()
    } else {
        format!("nautilus dev --data-dir {}", global.data_dir.display())
    };
    Failure::new(
        Class::Unavailable,
        format!(
            "nothing answers at {endpoint}\nStart it with `{start}`, or say where it is with --endpoint."
        ),
    )
}
