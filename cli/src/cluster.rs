//! All roles in one process: each behind a gRPC server of its own or a share of the public one, on the
//! embedded parts of a data directory.

mod data_dir;
mod group;
mod ports;
mod roles;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::future::select_all;
use nautilus_coordinator::CoordinatorMetrics;
use nautilus_identity::{GrantSigner, LogIdentity};
use nautilus_indexbuilder::IndexBuilder;
use nautilus_leaf::LeafMetrics;
use nautilus_merger::Merger;
use nautilus_root::Root;
use nautilus_service::admin_http::AdminHttp;
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::task_group::{DrainReport, Outcome};
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::PartitionMap;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tonic::transport::{Channel, Endpoint};

use self::group::{INNER, Plan};

use crate::registry_socket::RegistrySocket;

pub use self::data_dir::DataDir;
pub use self::group::ReplicaGroup;
pub use self::ports::Ports;
pub use self::roles::Roles;

/// For open requests: more than the longest of them may take is of no use.
const SERVER_DRAIN: Duration = Duration::from_secs(15);

/// How much of everything, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where clients connect; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where metrics and health are, over HTTP.
    pub admin_listen: SocketAddr,
    /// Replica groups, named `a`, `b`, …
    pub groups: u32,
    /// Leaves of each.
    pub leaves_per_group: u32,
    /// What every role is told but for names, addresses, folders and the number of partitions.
    pub roles: Roles,
}

impl Settings {
    /// Two groups of one leaf on any free ports of this machine.
    #[must_use]
    pub fn small() -> Self {
        let listen = INNER;
        Self {
            listen,
            admin_listen: INNER,
            groups: 2,
            leaves_per_group: 1,
            roles: Roles::default(),
        }
    }
}

/// What several roles of a kind count together.
pub(crate) struct RoleMetrics {
    leaves: LeafMetrics,
    coordinators: CoordinatorMetrics,
}

/// The roles while they run.
pub struct Cluster {
    data_dir: DataDir,
    ports: Ports,
    settings: Settings,
    map: PartitionMap,
    metrics: RoleMetrics,
    address: SocketAddr,
    admin_address: SocketAddr,
    /// What clients reach: merger and index builder; and the HTTP port.
    public: TaskGroup,
    root_tasks: TaskGroup,
    root: Arc<Root>,
    groups: Vec<ReplicaGroup>,
}

impl Cluster {
    /// Starts everything.
    pub async fn start(
        data_dir: DataDir,
        ports: Ports,
        grant_signer: GrantSigner,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let map = PartitionMap::divided(ports.partitions());
        let root = Root::build(
            nautilus_root::RawConfig { partitions: map.partitions, ..settings.roles.root.clone() }
                .validate()?,
            Arc::clone(&ports.registry),
            ports.grant_verifier(),
            ports.clock.clone(),
        )?;
        // Groups of their own: they stop one after the other.
        let tasks = || TaskGroup::new(&CancellationToken::new());
        let mut cluster = Self {
            address: settings.listen,
            admin_address: settings.admin_listen,
            public: tasks(),
            root_tasks: tasks(),
            root: Arc::new(root),
            groups: Vec::new(),
            metrics: RoleMetrics {
                leaves: LeafMetrics::new("", ""),
                coordinators: CoordinatorMetrics::default(),
            },
            data_dir,
            ports,
            settings,
            map,
        };
        match cluster.launch(grant_signer).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                // The error that came first is the one to tell.
                let _ = cluster.stop().await;
                Err(error)
            }
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics and health are.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Its folder.
    #[must_use]
    pub fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    /// What it stands on.
    #[must_use]
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The replica groups, by name.
    #[must_use]
    pub fn groups(&self) -> &[ReplicaGroup] {
        &self.groups
    }

    async fn launch(&mut self, grant_signer: GrantSigner) -> anyhow::Result<()> {
        let count = usize::try_from(self.settings.groups).unwrap_or(usize::MAX);
        for name in ('a'..='z').take(count) {
            let name = name.to_string();
            let group = ReplicaGroup::start(&self.plan(), &name).await;
            self.groups.push(group.with_context(|| format!("start replica group {name}"))?);
        }
        let root = self.start_root().await.context("start the root")?;
        self.start_public(grant_signer, root).await?;
        self.start_registry_socket();
        Ok(())
    }

    /// What `nautilus group` and the like need of this process. Everything else works without.
    fn start_registry_socket(&mut self) {
        let told = self.plan().coordinator();
        let registry = Arc::clone(&self.ports.registry);
        match RegistrySocket::bind(self.data_dir.path(), registry, told) {
            Ok(socket) => self.public.spawn("registry-socket", |stop| socket.run(stop)),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(error, "commands for partitions, leaves and groups will not work");
            }
        }
    }

    fn plan(&self) -> Plan<'_> {
        Plan {
            data_dir: &self.data_dir,
            ports: &self.ports,
            map: self.map,
            settings: &self.settings,
            metrics: &self.metrics,
        }
    }

    async fn start_root(&mut self) -> anyhow::Result<SocketAddr> {
        let server = Arc::clone(&self.root).bind(INNER).await?;
        let address = server.local_addr();
        self.root.spawn(&mut self.root_tasks);
        self.root_tasks.spawn("root-server", |stop| server.serve(stop));
        Ok(address)
    }

    async fn start_public(&mut self, signer: GrantSigner, root: SocketAddr) -> anyhow::Result<()> {
        let ports = &self.ports;
        let identity = ports.log.identity();
        let log = LogIdentity { cluster_id: identity.cluster_id, generation: identity.generation };
        let root: Channel =
            Endpoint::from_shared(format!("http://{root}"))?.tcp_nodelay(true).connect_lazy();
        let parts = nautilus_merger::Parts {
            catalog: Arc::clone(&ports.catalog),
            authenticator: Arc::new(ports.issuer.authenticator()),
            signer,
            token_key: Arc::clone(&ports.token_key),
            roots: vec![root.clone()],
        };
        let roles = &self.settings.roles;
        let config =
            nautilus_merger::RawConfig { partitions: self.map.partitions, ..roles.merger.clone() };
        let config = config.validate(log).context("configure the merger")?;
        let merger = Merger::build(config, parts, ports.clock.clone());
        let parts = nautilus_indexbuilder::Parts {
            catalog: Arc::clone(&ports.catalog),
            log: Arc::clone(&ports.log),
            authenticator: Arc::new(ports.issuer.authenticator()),
            token_key: Arc::clone(&ports.token_key),
            roots: vec![root],
            annotators: crate::serve::seam::annotators(),
        };
        let config =
            roles.indexbuilder.clone().validate().context("configure the index builder")?;
        let builder = IndexBuilder::build(config, parts, ports.clock.clone());
        let builder = Arc::new(builder.context("configure the index builder")?);
        let server = GrpcServer::new("public", ServerSettings::default(), ports.clock.clone())
            .service(merger.search_service())
            .service(merger.cluster_service());
        let server = builder
            .mount(server)
            .reflection(&[nautilus_proto::FILE_DESCRIPTOR_SET])
            // Who started it was asked before.
            .plaintext_beyond_loopback(true)
            .bind(self.settings.listen)
            .await?;
        let registry = self.registry(&merger, &builder);
        let ready = Arc::clone(&self.root);
        let readiness = Arc::new(move || is_served_by(&ready, 1));
        let admin = AdminHttp::bind(self.settings.admin_listen).await?;
        admin.shown().show(registry, readiness);
        self.address = server.local_addr();
        self.admin_address = admin.local_addr();
        merger.spawn(&mut self.public);
        self.public.spawn("index-builder", |stop| async move { builder.run(stop).await });
        self.public.spawn("admin-http", |stop| admin.serve(stop));
        self.public.spawn("public-server", |stop| server.serve(stop));
        Ok(())
    }

    /// The metrics of all roles.
    fn registry(&self, merger: &Merger, builder: &IndexBuilder) -> Registry {
        let mut registry = Registry::default();
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        registry.register("nautilus_build", "What is running", Info::new(version));
        nautilus_service::server::metrics::register(&mut registry);
        self.metrics.leaves.register(&mut registry);
        let with_prefix = registry.sub_registry_with_prefix("nautilus");
        self.metrics.coordinators.register(with_prefix);
        self.root.metrics().register(with_prefix);
        merger.register_metrics(&mut registry);
        builder.register_metrics(&mut registry);
        registry
    }

    /// Returns once every group serves every partition.
    pub async fn until_ready(&self) {
        let mut state = self.root.watch_routing_state();
        while !is_served_by(&self.root, self.groups.len()) && state.changed().await.is_ok() {}
    }

    /// Stops the leaves of a group; everything else goes on.
    pub async fn stop_leaves(&mut self, group: &str) -> anyhow::Result<()> {
        let group = self.groups.iter_mut().find(|candidate| candidate.name() == group);
        let report = group.context("there is no such group")?.stop_leaves().await;
        clean([report])
    }

    /// Starts the leaves of a group again.
    pub async fn start_leaves(&mut self, group: &str) -> anyhow::Result<()> {
        let index = self.groups.iter().position(|candidate| candidate.name() == group);
        let mut group = self.groups.remove(index.context("there is no such group")?);
        let started = group.start_leaves(&self.plan()).await;
        self.groups.push(group);
        self.groups.sort_by(|a, b| a.name().cmp(b.name()));
        started
    }

    /// Returns when a part fails.
    pub async fn wait(&mut self) -> Outcome {
        let groups = select_all(self.groups.iter_mut().map(|group| Box::pin(group.wait())));
        tokio::select! {
            biased;
            outcome = self.public.wait_or_signal() => outcome,
            outcome = self.root_tasks.wait_or_signal() => outcome,
            (outcome, _, _) = groups => outcome,
        }
    }

    /// Stops everything, from the outside in: whoever still answers a request finds everything behind it
    /// working. The leaves come last and flush.
    pub async fn stop(self) -> anyhow::Result<()> {
        let mut parts = vec![(self.public, SERVER_DRAIN), (self.root_tasks, SERVER_DRAIN)];
        let (coordinators, leaves): (Vec<_>, Vec<_>) =
            self.groups.into_iter().map(|group| group.into_parts().into()).unzip();
        parts.extend(coordinators);
        parts.extend(leaves);
        let mut reports = Vec::new();
        for (tasks, budget) in parts {
            reports.push(tasks.drain(budget).await);
        }
        // They hold on to the registry.
        drop(self.root);
        let closed = self.ports.close().await;
        clean(reports).and(closed)
    }
}

/// Whether every partition is served by this many groups at least.
fn is_served_by(root: &Root, groups: usize) -> bool {
    let table = root.routing_table();
    table.partitions().all(|partition| table.routable(partition).count() >= groups)
}

fn clean(reports: impl IntoIterator<Item = DrainReport>) -> anyhow::Result<()> {
    let mut unclean = Vec::new();
    for report in reports {
        report.log_laggards();
        unclean.extend(report.laggards);
        unclean.extend(report.failures.into_iter().map(|failure| failure.name));
    }
    if !unclean.is_empty() {
        bail!("did not stop cleanly: {}", unclean.join(", "));
    }
    Ok(())
}
