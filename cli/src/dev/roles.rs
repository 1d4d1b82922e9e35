//! The four roles, each behind a server of its own or a share of the public one, and their life.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use nautilus_identity::{GrantSigner, LogIdentity};
use nautilus_indexbuilder::IndexBuilder;
use nautilus_leaf::Leaf;
use nautilus_merger::{Merger, Parts};
use nautilus_root::{Root, RoutingTable};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::signals::Signals;
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::{PartitionId, PartitionMap};
use tonic::transport::Endpoint;

use super::data_dir::DataDir;
use super::ports::Ports;

/// Where the inner roles listen: any free port that only this machine reaches.
const INNER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Name of the one replica group and of its one leaf.
const REPLICA_GROUP: &str = "a";
const LEAF_NAME: &str = "leaf-1";

/// For open requests: more than the longest of them may take is of no use.
const SERVER_DRAIN: Duration = Duration::from_secs(15);

/// For the leaf: every partition writes what it holds in memory to disk.
const LEAF_DRAIN: Duration = Duration::from_secs(60);

/// The roles while they run.
pub(super) struct Roles {
    address: SocketAddr,
    signals: TaskGroup,
    /// What clients reach: merger and index builder.
    public: TaskGroup,
    root: TaskGroup,
    leaf: TaskGroup,
}

impl Roles {
    /// Starts everything. From here on a signal asks to stop rather than kills.
    pub(super) async fn start(
        data_dir: &DataDir,
        ports: &Ports,
        grant_signer: GrantSigner,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        let shutdown = CancellationToken::new();
        let mut signals = TaskGroup::new(&shutdown);
        let handlers = Signals::install().context("handle signals")?;
        signals.spawn("watch-signals", |stop| handlers.watch(shutdown, stop));
        // Groups of their own, not under `shutdown`: they stop one after the other.
        let group = || TaskGroup::new(&CancellationToken::new());
        let mut roles =
            Self { address: listen, signals, public: group(), root: group(), leaf: group() };
        match roles.launch(data_dir, ports, grant_signer, listen).await {
            Ok(()) => Ok(roles),
            Err(error) => {
                // The error that came first is the one to tell.
                let _ = roles.stop().await;
                Err(error)
            }
        }
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    async fn launch(
        &mut self,
        data_dir: &DataDir,
        ports: &Ports,
        grant_signer: GrantSigner,
        listen: SocketAddr,
    ) -> anyhow::Result<()> {
        let map = PartitionMap::divided(ports.partitions());
        let leaf = self.start_leaf(data_dir, ports, map).await.context("start the leaf")?;
        let root = self.start_root(ports, map, leaf).await.context("start the root")?;
        self.start_public(ports, map, grant_signer, root, listen).await
    }

    async fn start_leaf(
        &mut self,
        data_dir: &DataDir,
        ports: &Ports,
        map: PartitionMap,
    ) -> anyhow::Result<SocketAddr> {
        let config = nautilus_leaf::RawConfig {
            name: LEAF_NAME.to_owned(),
            data_dir: data_dir.partitions(),
            partitions: map.partitions,
            ..nautilus_leaf::RawConfig::default()
        };
        let log = Arc::clone(&ports.log);
        let verifier = ports.grant_verifier();
        let leaf = Arc::new(Leaf::build(config.validate()?, log, verifier, ports.clock.clone())?);
        leaf.spawn_appliers(&mut self.leaf)?;
        let server = leaf.bind(INNER).await?;
        let address = server.local_addr();
        self.leaf.spawn("leaf-server", |stop| server.serve(stop));
        Ok(address)
    }

    async fn start_root(
        &mut self,
        ports: &Ports,
        map: PartitionMap,
        leaf: SocketAddr,
    ) -> anyhow::Result<SocketAddr> {
        let uri = format!("http://{leaf}");
        let leaves: BTreeMap<PartitionId, String> =
            (0..map.partitions).map(|number| (PartitionId(number), uri.clone())).collect();
        let table = RoutingTable { replica_group: REPLICA_GROUP.to_owned(), map, leaves };
        let config = nautilus_root::Config::new(table);
        let root = Root::build(config, ports.grant_verifier(), ports.clock.clone())?;
        let server = root.bind(INNER).await?;
        let address = server.local_addr();
        self.root.spawn("root-server", |stop| server.serve(stop));
        Ok(address)
    }

    async fn start_public(
        &mut self,
        ports: &Ports,
        map: PartitionMap,
        signer: GrantSigner,
        root: SocketAddr,
        listen: SocketAddr,
    ) -> anyhow::Result<()> {
        let identity = ports.log.identity();
        let log = LogIdentity { cluster_id: identity.cluster_id, generation: identity.generation };
        let config = nautilus_merger::Config::new(log, map, REPLICA_GROUP);
        let parts = Parts {
            catalog: Arc::clone(&ports.catalog),
            authenticator: Arc::new(ports.issuer.authenticator()),
            signer,
            token_key: Arc::clone(&ports.token_key),
            root: Endpoint::from_shared(format!("http://{root}"))?.tcp_nodelay(true).connect_lazy(),
        };
        let merger =
            Merger::build(config, parts, ports.clock.clone()).context("start the merger")?;
        let config = nautilus_indexbuilder::RawConfig::default().validate()?;
        let builder = Arc::new(IndexBuilder::build(
            config,
            Arc::clone(&ports.catalog),
            Arc::clone(&ports.log),
            Arc::new(ports.issuer.authenticator()),
            Arc::clone(&ports.token_key),
            ports.clock.clone(),
        ));
        let server = GrpcServer::new("public", ServerSettings::default(), ports.clock.clone())
            .service(merger.search_service())
            .service(merger.cluster_service());
        let server = builder
            .mount(server)
            .reflection(&[nautilus_proto::FILE_DESCRIPTOR_SET])
            .bind(listen)
            .await?;
        self.address = server.local_addr();
        self.public.spawn("index-builder", |stop| async move { builder.run(stop).await });
        self.public.spawn("public-server", |stop| server.serve(stop));
        Ok(())
    }

    /// Waits for a signal, or for a part that fails, and stops everything in good order.
    pub(super) async fn until_stopped(mut self) -> anyhow::Result<()> {
        let outcome = tokio::select! {
            biased;
            outcome = self.signals.wait_or_signal() => outcome,
            outcome = self.public.wait_or_signal() => outcome,
            outcome = self.root.wait_or_signal() => outcome,
            outcome = self.leaf.wait_or_signal() => outcome,
        };
        let stopped = self.stop().await;
        outcome.into_result()?;
        stopped
    }

    /// From the outside in: whoever still answers a request finds everything behind it working.
    /// The leaf comes last and flushes.
    async fn stop(self) -> anyhow::Result<()> {
        let mut unclean = Vec::new();
        for (group, budget) in [
            (self.public, SERVER_DRAIN),
            (self.root, SERVER_DRAIN),
            (self.leaf, LEAF_DRAIN),
            (self.signals, SERVER_DRAIN),
        ] {
            let report = group.drain(budget).await;
            report.log_laggards();
            unclean.extend(report.laggards);
            unclean.extend(report.failures.into_iter().map(|failure| failure.name));
        }
        if !unclean.is_empty() {
            bail!("did not stop cleanly: {}", unclean.join(", "));
        }
        Ok(())
    }
}
