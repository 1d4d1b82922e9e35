//! A leaf of this process alone: it downloads, applies the log and publishes as any other, but its registry is a file of
//! its own and it has no server, so that the cluster hears nothing of it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_index_repository::Snapshots;
use nautilus_leaf::Leaf;
use nautilus_mutation_log::MutationLog;
use nautilus_proto::admin::v1::PartitionStatus;
use nautilus_registry::layout::{Assignment, GroupBuild, GroupName, Holder, LeafName, Record};
use nautilus_registry::{EmbeddedConfig, EmbeddedRegistry, Operation, Registry, Transaction};
use nautilus_service::config::HumanDuration;
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use nautilus_types::{Epoch, PartitionId};

use crate::config::ProcessConfig;
use crate::serve::grant_verifier;

const STOP_TIME_MAX: Duration = Duration::from_secs(60);
const REGISTRY: &str = "registry.sqlite";

/// What it is to do.
pub(crate) struct Duty<'a> {
    /// Its name and its group's.
    pub(crate) name: &'a str,
    /// Its folder; what an earlier one left there is used.
    pub(crate) folder: &'a Path,
    /// What it is to serve.
    pub(crate) partitions: &'a [PartitionId],
    /// Of which build; none = fed from the log alone.
    pub(crate) build: Option<GroupBuild>,
    /// How often it publishes a partition that has new records.
    pub(crate) snapshot_interval: Duration,
}

/// It runs.
pub(crate) struct PrivateLeaf {
    leaf: Leaf,
    tasks: TaskGroup,
    registry: Arc<dyn Registry>,
    log: Arc<dyn MutationLog>,
}

impl PrivateLeaf {
    /// Starts it on the log and the index repository that the configuration names.
    pub(crate) async fn start(
        config: &ProcessConfig,
        duty: Duty<'_>,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let log = config.mutation_log.open(None, None, &config.cluster, clock).await?;
        let registry = own_registry(&duty, clock).await?;
        let (cluster_id, _) = config.cluster.identity()?;
        let raw = nautilus_leaf::RawConfig {
            name: duty.name.to_owned(),
            replica_group: duty.name.to_owned(),
            data_dir: duty.folder.join("leaf"),
            partitions: config.cluster.partitions,
            snapshot_interval: HumanDuration(duty.snapshot_interval),
            snapshot_records: 0,
            ..config.leaf.clone()
        };
        let parts = nautilus_leaf::Parts {
            log: Arc::clone(&log),
            verifier: grant_verifier(config)?,
            registry: Arc::clone(&registry),
            snapshots: Snapshots::new(config.index_repository.open(None).await?, cluster_id),
        };
        let leaf = Leaf::build(raw.validate()?, parts, clock.clone())?;
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        // Nobody reaches it: it has no server.
        leaf.spawn(&mut tasks, "http://127.0.0.1:9");
        Ok(Self { leaf, tasks, registry, log })
    }

    /// Its partitions.
    pub(crate) async fn partitions(&self) -> Vec<PartitionStatus> {
        self.leaf.status().await.partitions
    }

    /// Stops it; its folder stays.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.tasks.drain(STOP_TIME_MAX).await.log_laggards();
        self.registry.close().await;
        self.log.close().await.context("close the mutation log")
    }
}

/// A registry that says that the leaf of this process is to serve the partitions, of the build, and nothing else.
async fn own_registry(duty: &Duty<'_>, clock: &Clock) -> anyhow::Result<Arc<dyn Registry>> {
    let clock = clock.clone();
    let file = duty.folder.join(REGISTRY);
    // That of an earlier process says that the leaf lives.
    for suffix in ["", "-wal", "-shm"] {
        let old = duty.folder.join(format!("{REGISTRY}{suffix}"));
        match fs::remove_file(&old) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("remove {}", old.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let config = EmbeddedConfig::new(file, Arc::new(move || clock.now()));
    let registry = EmbeddedRegistry::open(config).await.context("open a registry")?;
    let group = GroupName::new(duty.name)?;
    let mut records = Vec::new();
    records.extend(duty.build.clone().map(|build| Record::Build(group.clone(), build)));
    for &partition in duty.partitions {
        let assignment = Assignment {
            partition,
            owner: Holder { leaf: LeafName::new(duty.name)?, epoch: Epoch(1) },
            retiring: None,
            reason: "PRIVATE".to_owned(),
            is_pinned: false,
        };
        records.push(Record::Assignment(group.clone(), assignment));
    }
    for record in records {
        let (key, value) = (record.key().to_string(), record.encode()?);
        let operations = vec![Operation::Put { key, value, lease: None }];
        registry.transact(Transaction { conditions: Vec::new(), operations }).await?;
    }
    Ok(Arc::new(registry))
}
