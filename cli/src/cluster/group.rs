//! One replica group: its coordinator and its leaves, each leaf behind a server of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_coordinator::Coordinator;
use nautilus_index_repository::Snapshots;
use nautilus_leaf::{Leaf, Parts};
use nautilus_service::config::{ByteSize, HumanDuration};
use nautilus_service::task_group::{DrainReport, Outcome};
use nautilus_service::{CancellationToken, TaskGroup};
use nautilus_types::PartitionMap;

use super::data_dir::DataDir;
use super::ports::Ports;
use super::{RoleMetrics, Settings};

/// Where the inner roles listen: any free port that only this machine reaches.
pub(super) const INNER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// For a leaf: every partition writes what it holds in memory to disk.
const LEAF_DRAIN: Duration = Duration::from_secs(60);
/// For a coordinator: it only gives its lease back.
const COORDINATOR_DRAIN: Duration = Duration::from_secs(5);

/// All leaves of the process are there within this time.
const GATHER_TIME: Duration = Duration::from_millis(200);

/// What the groups of a process are made with.
pub(super) struct Plan<'a> {
    pub(super) data_dir: &'a DataDir,
    pub(super) ports: &'a Ports,
    pub(super) map: PartitionMap,
    pub(super) settings: &'a Settings,
    pub(super) metrics: &'a RoleMetrics,
}

impl Plan<'_> {
    /// What every coordinator is told but for its name and group.
    pub(super) fn coordinator(&self) -> nautilus_coordinator::RawConfig {
        nautilus_coordinator::RawConfig {
            partitions: self.map.partitions,
            gather_time: HumanDuration(GATHER_TIME),
            // All leaves are of one process, and go together: there is nobody to spare.
            spare_percent: 0,
            ..self.settings.roles.coordinator.clone()
        }
    }
}

/// One replica group while it runs.
pub struct ReplicaGroup {
    name: String,
    coordinator: TaskGroup,
    leaf_tasks: TaskGroup,
    leaves: Vec<Arc<Leaf>>,
}

impl ReplicaGroup {
    /// Starts the group of this name.
    pub(super) async fn start(plan: &Plan<'_>, name: &str) -> anyhow::Result<Self> {
        let tasks = || TaskGroup::new(&CancellationToken::new());
        let mut group = Self {
            name: name.to_owned(),
            coordinator: tasks(),
            leaf_tasks: tasks(),
            leaves: Vec::new(),
        };
        group.start_leaves(plan).await?;
        let config = nautilus_coordinator::RawConfig {
            name: format!("{name}-coordinator"),
            replica_group: name.to_owned(),
            ..plan.coordinator()
        };
        let (registry, clock) = (Arc::clone(&plan.ports.registry), plan.ports.clock.clone());
        let coordinator = Coordinator::build(config.validate()?, registry, clock)
            .context("start the coordinator")?
            .with_metrics(plan.metrics.coordinators.clone());
        coordinator.spawn(&mut group.coordinator);
        Ok(group)
    }

    /// Starts all leaves, which must not run.
    pub(super) async fn start_leaves(&mut self, plan: &Plan<'_>) -> anyhow::Result<()> {
        for number in 1..=plan.settings.leaves_per_group {
            let name = format!("{}-{number}", self.name);
            self.start_leaf(plan, &name).await.with_context(|| format!("start leaf {name}"))?;
        }
        Ok(())
    }

    async fn start_leaf(&mut self, plan: &Plan<'_>, name: &str) -> anyhow::Result<()> {
        let leaves = u64::from(plan.settings.groups * plan.settings.leaves_per_group).max(1);
        let told = &plan.settings.roles.leaf;
        let config = nautilus_leaf::RawConfig {
            name: name.to_owned(),
            replica_group: self.name.clone(),
            data_dir: plan.data_dir.leaf(name),
            partitions: plan.map.partitions,
            // What is told is for the process.
            block_cache: ByteSize(told.block_cache.0 / leaves),
            write_buffers: ByteSize(told.write_buffers.0 / leaves),
            ..told.clone()
        };
        let ports = plan.ports;
        let cluster_id = ports.log.identity().cluster_id;
        let parts = Parts {
            log: Arc::clone(&ports.log),
            verifier: ports.grant_verifier(),
            registry: Arc::clone(&ports.registry),
            snapshots: Snapshots::new(Arc::clone(&ports.repository), cluster_id),
        };
        let leaf = Leaf::build(config.validate()?, parts, ports.clock.clone())?;
        let leaf = Arc::new(leaf.counting_with(&plan.metrics.leaves));
        let server = Arc::clone(&leaf).bind(INNER).await?;
        leaf.spawn(&mut self.leaf_tasks, format!("http://{}", server.local_addr()));
        self.leaf_tasks.spawn(format!("{name}-server"), |stop| server.serve(stop));
        self.leaves.push(leaf);
        Ok(())
    }

    /// Its name: `a`, `b`, …
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The leaves that run.
    #[must_use]
    pub fn leaves(&self) -> &[Arc<Leaf>] {
        &self.leaves
    }

    /// Stops all leaves. The coordinator stays.
    pub(super) async fn stop_leaves(&mut self) -> DrainReport {
        self.leaves.clear();
        let tasks = TaskGroup::new(&CancellationToken::new());
        std::mem::replace(&mut self.leaf_tasks, tasks).drain(LEAF_DRAIN).await
    }

    /// Returns when a part of the group fails.
    pub(super) async fn wait(&mut self) -> Outcome {
        tokio::select! {
            biased;
            outcome = self.leaf_tasks.wait_or_signal() => outcome,
            outcome = self.coordinator.wait_or_signal() => outcome,
        }
    }

    /// Its tasks with their time to stop: first the coordinator's, which would give away the partitions of
    /// leaves that go, then the leaves'.
    pub(super) fn into_parts(self) -> [(TaskGroup, Duration); 2] {
        [(self.coordinator, COORDINATOR_DRAIN), (self.leaf_tasks, LEAF_DRAIN)]
    }
}
