//! The root itself: what its requests share, and the tasks behind them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nautilus_identity::GrantVerifier;
use nautilus_registry::Registry;
use nautilus_registry::layout::GroupName;
use nautilus_service::server::{
    BoundServer, DeadlinePolicy, DeadlineRules, GrpcServer, ServerError, ServerSettings,
};
use nautilus_service::tls::Tls;
use nautilus_service::{CancellationToken, Clock, Deadline, TaskGroup};
use nautilus_types::PartitionMap;
use tokio::sync::watch;

use crate::config::Following;
use crate::dispatch::Dispatcher;
use crate::grpc::RootGrpc;
use crate::leaf_watch::LeafWatch;
use crate::metrics::RootMetrics;
use crate::registry_watch::RegistryWatch;
use crate::router::{Router, RoutingState};
use crate::routing::RoutingTable;
use crate::shadow::{SettingWatch, ShadowSetting};
use crate::suspect_sharing::SuspectSharing;
use crate::work::Work;
use crate::{Config, RootError};

/// Full name of the method whose answer stays open.
const WATCH_REPLICAS: &str = "/nautilus.root.v1.RootService/WatchReplicas";

/// A root: stateless but for its routes and what it has learned of leaves.
pub struct Root {
    pub(crate) map: PartitionMap,
    pub(crate) router: Arc<Router>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) verifier: GrantVerifier,
    pub(crate) clock: Clock,
    pub(crate) metrics: RootMetrics,
    /// Which searches are shadowed.
    pub(crate) shadow: Arc<ShadowSetting>,
    /// Counts what leaves said of themselves.
    pub(crate) statuses: watch::Sender<u64>,
    /// Ends the streams that stay open.
    pub(crate) stop: CancellationToken,
    default_deadline: Duration,
    following: Following,
    /// Taken by the task that follows it.
    registry: Mutex<Option<Arc<dyn Registry>>>,
}

impl Root {
    /// Makes a root that knows nobody yet: [`Root::spawn`] starts what follows the registry. Leaves are
    /// connected to when they are first asked.
    pub fn build(
        config: Config,
        registry: Arc<dyn Registry>,
        verifier: GrantVerifier,
        clock: Clock,
    ) -> Result<Self, RootError> {
        Self::build_over(None, config, registry, verifier, clock)
    }

    /// The same; leaves are spoken to only over `tls`, where there is one, and only where their certificates
    /// say that they are leaves.
    pub fn build_over(
        tls: Option<Arc<Tls>>,
        config: Config,
        registry: Arc<dyn Registry>,
        verifier: GrantVerifier,
        clock: Clock,
    ) -> Result<Self, RootError> {
        let metrics = RootMetrics::default();
        metrics.table_age(None);
        let router = Arc::new(Router::new(config.map, config.connect_timeout, tls));
        let dispatcher = Dispatcher::new(
            config.dispatching,
            Arc::clone(&router),
            clock.clone(),
            metrics.clone(),
        );
        Ok(Self {
            map: config.map,
            router,
            dispatcher,
            verifier,
            clock,
            metrics,
            shadow: Arc::default(),
            statuses: watch::Sender::new(0),
            stop: CancellationToken::new(),
            default_deadline: config.default_deadline,
            following: config.following,
            registry: Mutex::new(Some(registry)),
        })
    }

    /// Starts the tasks that follow the registry and the leaves. They end with `tasks`, and with them
    /// the streams to watchers. A second call starts nothing.
    pub fn spawn(&self, tasks: &mut TaskGroup) {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(registry) = registry else { return };
        let sharing = || SuspectSharing {
            registry: Arc::clone(&registry),
            suspects: Arc::clone(&self.dispatcher.suspects),
            relist_interval: self.following.relist_interval,
            timeout: self.following.timeout,
        };
        let (telling, hearing) = (sharing(), sharing());
        tasks.spawn("tell-suspects", |stop| telling.tell(stop));
        tasks.spawn("hear-suspects", |stop| hearing.hear(stop));
        let shadow = SettingWatch {
            registry: Arc::clone(&registry),
            setting: Arc::clone(&self.shadow),
            relist_interval: self.following.relist_interval,
            timeout: self.following.timeout,
        };
        tasks.spawn("watch-shadow-setting", |stop| shadow.run(stop));
        let follow = RegistryWatch {
            registry,
            router: Arc::clone(&self.router),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            map: self.map,
            following: self.following.clone(),
        };
        tasks.spawn("watch-registry", |stop| follow.run(stop));
        let leaves = LeafWatch {
            router: Arc::clone(&self.router),
            clock: self.clock.clone(),
            statuses: self.statuses.clone(),
        };
        tasks.spawn("watch-leaves", |stop| leaves.run(stop));
        let streams = self.stop.clone();
        tasks.spawn("end-streams", |stop| async move {
            stop.cancelled().await;
            streams.cancel();
        });
    }

    /// Takes the address for this root alone; [`BoundServer::serve`] then runs it until it is told
    /// to stop. To share a server with other services take [`RootGrpc::server`].
    pub async fn bind(self: Arc<Self>, address: SocketAddr) -> Result<BoundServer, ServerError> {
        self.server().bind(address).await
    }

    /// A server of its own that has no address yet.
    pub fn server(self: Arc<Self>) -> GrpcServer {
        let usual =
            DeadlinePolicy { default: Some(self.default_deadline), ..DeadlinePolicy::UNARY };
        let deadlines = DeadlineRules { usual, ..DeadlineRules::default() }
            .with(WATCH_REPLICAS, DeadlinePolicy::STREAM);
        let settings = ServerSettings { deadlines, ..ServerSettings::default() };
        let clock = self.clock.clone();
        GrpcServer::new("root", settings, clock).service(RootGrpc::server(self))
    }

    /// Its metrics, to be registered once.
    #[must_use]
    pub fn metrics(&self) -> &RootMetrics {
        &self.metrics
    }

    /// What is under way: nothing once every request has ended.
    #[must_use]
    pub fn work(&self) -> Work {
        Work { requests: self.metrics.requests.now(), attempts: self.metrics.attempts.now() }
    }

    /// What requests go by at the moment.
    #[must_use]
    pub fn routing_state(&self) -> RoutingState {
        self.router.state()
    }

    /// The routing table in force.
    #[must_use]
    pub fn routing_table(&self) -> RoutingTable {
        self.router.routes().table.clone()
    }

    /// The same, with every change: while `revision` is none, health should say NOT_SERVING.
    #[must_use]
    pub fn watch_routing_state(&self) -> watch::Receiver<RoutingState> {
        self.router.watch_state()
    }

    /// The deadline of a request that came without the server's layers.
    pub(crate) fn deadline_of<T>(&self, request: &tonic::Request<T>) -> Deadline {
        let usual = || Deadline::after(self.clock.now(), self.default_deadline);
        Deadline::of(request).unwrap_or_else(usual)
    }

    /// The group a request names; none = any.
    pub(crate) fn group(&self, asked: &str) -> Result<Option<GroupName>, RootError> {
        if asked.is_empty() {
            return Ok(None);
        }
        let routes = self.router.routes();
        let known = routes.table.groups.keys().find(|group| group.as_str() == asked);
        if let Some(group) = known {
            return Ok(Some(group.clone()));
        }
        let problem = "names no replica group".to_owned();
        // Nothing is known of any group before the registry was read.
        match GroupName::new(asked) {
            Ok(group) if routes.table.revision.is_none() => Ok(Some(group)),
            Ok(_) | Err(_) => Err(RootError::Field { field: "replica_group", problem }),
        }
    }
}

impl std::fmt::Debug for Root {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Root").field("state", &self.routing_state()).finish_non_exhaustive()
    }
}
