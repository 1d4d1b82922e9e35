//! A merger and what it works with.

use std::sync::Arc;

use nautilus_analysis::Analyzer;
use nautilus_catalog::Catalog;
use nautilus_identity::{Authenticator, GrantSigner, TokenKey};
use nautilus_proto::admin::v1::cluster_service_server::ClusterServiceServer;
use nautilus_proto::root::v1::root_service_client::RootServiceClient;
use nautilus_proto::search::v1::search_service_server::SearchServiceServer;
use nautilus_service::server::MessageLimits;
use nautilus_service::{Clock, Deadline, TaskGroup, with_message_limits};
use prometheus_client::registry::Registry;
use tonic::transport::Channel;

use crate::Config;
use crate::grpc::MergerGrpc;
use crate::metrics::{Counts, Metrics};
use crate::roots::Roots;
use crate::shadow::Shadows;

/// What a root may answer with in one message: candidates of many partitions.
const ROOT_ANSWER: MessageLimits = MessageLimits::INTERNAL.of_client();

/// What a merger is given.
pub struct Parts {
    /// Who may read what.
    pub catalog: Arc<dyn Catalog>,
    /// Who is asking.
    pub authenticator: Arc<dyn Authenticator>,
    /// Signs grants; roots and leaves trust its public key.
    pub signer: GrantSigner,
    /// Seals tokens; the ingest side has the same key.
    pub token_key: Arc<TokenKey>,
    /// A connection to each root.
    pub roots: Vec<Channel>,
}

/// A merger: stateless but for its counters.
pub struct Merger {
    core: Arc<Core>,
}

/// What all requests share.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) signer: GrantSigner,
    pub(crate) token_key: Arc<TokenKey>,
    pub(crate) roots: Roots,
    pub(crate) clock: Clock,
    pub(crate) analyzer: Analyzer,
    pub(crate) metrics: Metrics,
    pub(crate) shadows: Shadows,
}

impl Merger {
    /// Makes a merger.
    #[must_use]
    pub fn build(config: Config, parts: Parts, clock: Clock) -> Self {
        let client = |root| with_message_limits!(RootServiceClient::new(root), ROOT_ANSWER);
        let roots = Roots::new(parts.roots.into_iter().map(client).collect());
        let core = Core {
            shadows: Shadows::new(config.shadow_searches_max),
            config,
            catalog: parts.catalog,
            authenticator: parts.authenticator,
            signer: parts.signer,
            token_key: parts.token_key,
            roots,
            clock,
            analyzer: Analyzer::new(),
            metrics: Metrics::default(),
        };
        Self { core: Arc::new(core) }
    }

    /// Starts what runs shadow searches. They end with `tasks`; without it they are only counted as dropped.
    pub fn spawn(&self, tasks: &mut TaskGroup) {
        let core = Arc::clone(&self.core);
        tasks.spawn("shadow-searches", |stop| core.run_shadows(stop));
    }

    /// The public search API with the bounds of its messages, ready for a server.
    #[must_use]
    pub fn search_service(&self) -> SearchServiceServer<MergerGrpc> {
        let service = SearchServiceServer::new(MergerGrpc::new(Arc::clone(&self.core)));
        with_message_limits!(service, MessageLimits::CLIENT)
    }

    /// The operators' view of the cluster, ready for a server.
    #[must_use]
    pub fn cluster_service(&self) -> ClusterServiceServer<MergerGrpc> {
        let service = ClusterServiceServer::new(MergerGrpc::new(Arc::clone(&self.core)));
        with_message_limits!(service, MessageLimits::CLIENT)
    }

    /// Adds the metrics to those of the process.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.core.metrics.register(registry);
        self.core.shadows.register(registry);
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.core.metrics.counts()
    }
}

impl Core {
    /// The deadline of a request, also of one that came without the server's layers.
    pub(crate) fn deadline_of<T>(&self, request: &tonic::Request<T>) -> Deadline {
        let usual = || Deadline::after(self.clock.now(), self.config.default_deadline);
        Deadline::of(request).unwrap_or_else(usual)
    }
}
