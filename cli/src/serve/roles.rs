//! Each role put together from its configuration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_coordinator::Coordinator;
use nautilus_identity::{DevelopmentIssuer, GrantSigner, KeyPair, LogIdentity, TokenKey};
use nautilus_index_repository::Snapshots;
use nautilus_indexbuilder::IndexBuilder;
use nautilus_leaf::Leaf;
use nautilus_merger::Merger;
use nautilus_root::Root;
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use prometheus_client::registry::Registry;

use super::ports::{Opened, grant_verifier};
use super::seam::{self, leaf_server};
use super::transport::Transport;
use super::{Role, Running};
use crate::config::ProcessConfig;

/// For open requests: more than the longest of them may take is of no use.
const SERVER_DRAIN: Duration = Duration::from_secs(15);
/// For a leaf: every partition writes what it holds in memory to disk.
const LEAF_DRAIN: Duration = Duration::from_secs(60);
/// For a coordinator: it only gives its lease back.
const COORDINATOR_DRAIN: Duration = Duration::from_secs(5);

/// Starts the role.
pub(super) async fn start(
    role: Role,
    config: &ProcessConfig,
    clock: Clock,
    registry: &mut Registry,
) -> anyhow::Result<Running> {
    match role {
        Role::Leaf => leaf(config, clock, registry).await,
        Role::Root => root(config, clock, registry).await,
        Role::Coordinator => coordinator(config, clock, registry).await,
        Role::Merger => merger(config, clock, registry).await,
        Role::IndexBuilder => index_builder(config, clock, registry).await,
    }
}

fn tasks() -> TaskGroup {
    // Groups of their own: they stop one after the other.
    TaskGroup::new(&CancellationToken::new())
}

async fn leaf(
    config: &ProcessConfig,
    clock: Clock,
    metrics: &mut Registry,
) -> anyhow::Result<Running> {
    let mut opened = Opened::default();
    let (cluster_id, _) = config.cluster.identity()?;
    let raw =
        nautilus_leaf::RawConfig { partitions: config.cluster.partitions, ..config.leaf.clone() };
    let parts = nautilus_leaf::Parts {
        log: opened.log(config, &clock).await?,
        verifier: grant_verifier(config)?,
        registry: opened.registry(config, &clock).await?,
        snapshots: Snapshots::new(config.index_repository.open(None).await?, cluster_id),
    };
    let leaf = Arc::new(Leaf::build(raw.validate()?, parts, clock.clone())?);
    leaf.metrics().register(metrics);
    let mut leaf_tasks = tasks();
    let transport = Transport::open(config, &clock, &mut leaf_tasks)?;
    let server = transport.internal(leaf_server(Arc::clone(&leaf)));
    let server = server.bind(config.server.listen_address).await?;
    let address = server.local_addr();
    leaf.spawn(&mut leaf_tasks, advertised(config, address));
    leaf_tasks.spawn("leaf-server", |stop| server.serve(stop));
    Ok(Running {
        address: Some(address),
        parts: vec![(leaf_tasks, LEAF_DRAIN)],
        readiness: Arc::new(move || leaf.is_registered()),
        opened,
    })
}

async fn root(
    config: &ProcessConfig,
    clock: Clock,
    metrics: &mut Registry,
) -> anyhow::Result<Running> {
    let mut opened = Opened::default();
    let raw =
        nautilus_root::RawConfig { partitions: config.cluster.partitions, ..config.root.clone() };
    let registry = opened.registry(config, &clock).await?;
    let mut root_tasks = tasks();
    let transport = Transport::open(config, &clock, &mut root_tasks)?;
    let (tls, verifier) = (transport.tls(), grant_verifier(config)?);
    let root = Root::build_over(tls, raw.validate()?, registry, verifier, clock)?;
    root.metrics().register(metrics.sub_registry_with_prefix("nautilus"));
    let root = Arc::new(root);
    let server = transport.internal(Arc::clone(&root).server());
    let server = server.bind(config.server.listen_address).await?;
    let address = server.local_addr();
    root.spawn(&mut root_tasks);
    root_tasks.spawn("root-server", |stop| server.serve(stop));
    let readiness = move || {
        let table = root.routing_table();
        table.partitions().all(|partition| table.routable(partition).next().is_some())
    };
    Ok(Running {
        address: Some(address),
        parts: vec![(root_tasks, SERVER_DRAIN)],
        readiness: Arc::new(readiness),
        opened,
    })
}

async fn coordinator(
    config: &ProcessConfig,
    clock: Clock,
    metrics: &mut Registry,
) -> anyhow::Result<Running> {
    let mut opened = Opened::default();
    let raw = nautilus_coordinator::RawConfig {
        partitions: config.cluster.partitions,
        ..config.coordinator.clone()
    };
    let registry = opened.registry(config, &clock).await?;
    let coordinator = Coordinator::build(raw.validate()?, registry, clock)?;
    coordinator.metrics().register(metrics.sub_registry_with_prefix("nautilus"));
    let mut coordinating = tasks();
    coordinator.spawn(&mut coordinating);
    Ok(Running {
        address: None,
        parts: vec![(coordinating, COORDINATOR_DRAIN)],
        readiness: Arc::new(|| true),
        opened,
    })
}

async fn merger(
    config: &ProcessConfig,
    clock: Clock,
    metrics: &mut Registry,
) -> anyhow::Result<Running> {
    let mut opened = Opened::default();
    let (cluster_id, generation) = config.cluster.identity()?;
    let keys = &config.keys;
    let pair = KeyPair::load(&keys.dir.join("grant.key")).context("load the key of grants")?;
    let raw = nautilus_merger::RawConfig {
        partitions: config.cluster.partitions,
        ..config.merger.clone()
    };
    let mut serving = tasks();
    let transport = Transport::open(config, &clock, &mut serving)?;
    let parts = nautilus_merger::Parts {
        catalog: opened.catalog(config).await?,
        authenticator: Arc::new(DevelopmentIssuer::authenticator_from(&keys.identity_dir)?),
        signer: GrantSigner::new(pair),
        token_key: token_key(config)?,
        roots: transport.roots(config)?,
    };
    let merger_config = raw.validate(LogIdentity { cluster_id, generation })?;
    let merger = Merger::build(merger_config, parts, clock.clone());
    merger.register_metrics(metrics);
    let server = GrpcServer::new("merger", ServerSettings::default(), clock)
        .service(merger.search_service())
        .service(merger.cluster_service())
        .reflection(&[nautilus_proto::FILE_DESCRIPTOR_SET]);
    let server = transport.public(server).bind(config.server.listen_address).await?;
    let address = server.local_addr();
    merger.spawn(&mut serving);
    serving.spawn("merger-server", |stop| server.serve(stop));
    Ok(Running {
        address: Some(address),
        parts: vec![(serving, SERVER_DRAIN)],
        readiness: Arc::new(|| true),
        opened,
    })
}

async fn index_builder(
    config: &ProcessConfig,
    clock: Clock,
    metrics: &mut Registry,
) -> anyhow::Result<Running> {
    let mut opened = Opened::default();
    let identity = &config.keys.identity_dir;
    let mut serving = tasks();
    let transport = Transport::open(config, &clock, &mut serving)?;
    let parts = nautilus_indexbuilder::Parts {
        catalog: opened.catalog(config).await?,
        log: opened.log(config, &clock).await?,
        authenticator: Arc::new(DevelopmentIssuer::authenticator_from(identity)?),
        token_key: token_key(config)?,
        roots: transport.roots(config)?,
        annotators: seam::annotators(),
    };
    let builder_config = config.indexbuilder.clone().validate()?;
    let builder = Arc::new(IndexBuilder::build(builder_config, parts, clock.clone())?);
    builder.register_metrics(metrics);
    let server = GrpcServer::new("indexbuilder", ServerSettings::default(), clock);
    let server = builder.mount(server).reflection(&[nautilus_proto::FILE_DESCRIPTOR_SET]);
    let server = transport.public(server).bind(config.server.listen_address).await?;
    let address = server.local_addr();
    serving.spawn("indexbuilder-server", |stop| server.serve(stop));
    let mut working = tasks();
    working.spawn("index-builder", |stop| async move { builder.run(stop).await });
    Ok(Running {
        address: Some(address),
        parts: vec![(serving, SERVER_DRAIN), (working, SERVER_DRAIN)],
        readiness: Arc::new(|| true),
        opened,
    })
}

/// How others reach this process.
fn advertised(config: &ProcessConfig, address: SocketAddr) -> String {
    config.server.advertise.clone().unwrap_or_else(|| format!("http://{address}"))
}

fn token_key(config: &ProcessConfig) -> anyhow::Result<Arc<TokenKey>> {
    let path = config.keys.dir.join("token.key");
    // Made here, it would be another one than that of every other process.
    anyhow::ensure!(path.exists(), "{} is not there; `nautilus init` makes it", path.display());
    Ok(Arc::new(TokenKey::load_or_create(&path).context("load the key of tokens")?))
}
