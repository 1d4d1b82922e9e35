//! What the index repository has of each build.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use nautilus_index_repository::{Manifest, Snapshots};
use nautilus_indexbuilder::rebuild::RebuildParts;
use nautilus_service::Clock;
use nautilus_types::{PartitionId, PartitionMap};

use crate::serve::ConfigArgs;

/// Repository and log of a cluster, open.
pub(super) struct Repository {
    pub(super) parts: RebuildParts,
    pub(super) map: PartitionMap,
}

/// The snapshots of one build.
#[derive(Debug, Default)]
pub(super) struct Build {
    /// The newest of each partition, by what manifests say.
    pub(super) newest: BTreeMap<PartitionId, Manifest>,
    /// Of those.
    pub(super) analyzers: BTreeSet<u32>,
}

impl Build {
    pub(super) fn documents(&self) -> u64 {
        self.newest.values().map(|it| it.draft.documents).fold(0, u64::saturating_add)
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.newest.values().map(Manifest::size_bytes).fold(0, u64::saturating_add)
    }

    /// Of the newest of all.
    pub(super) fn created_unix_ms(&self) -> i64 {
        let newest = self.newest.values().map(|it| it.draft.created_unix_ms).max().unwrap_or(0);
        i64::try_from(newest).unwrap_or(i64::MAX)
    }

    pub(super) fn analyzers_text(&self) -> String {
        let versions: Vec<String> = self.analyzers.iter().map(u32::to_string).collect();
        versions.join(", ")
    }
}

impl Repository {
    /// Those the configuration names.
    pub(super) async fn open(args: &ConfigArgs) -> anyhow::Result<Self> {
        let config = args.load().context("read the configuration")?;
        let clock = Clock::system();
        let (cluster_id, _) = config.cluster.identity()?;
        let repository = config.index_repository.open(None).await?;
        let log = config.mutation_log.open(None, None, &config.cluster, &clock).await?;
        let snapshots = Snapshots::new(repository, cluster_id);
        let map = PartitionMap::divided(config.cluster.partitions);
        Ok(Self { parts: RebuildParts { snapshots, log, clock }, map })
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.parts.log.close().await.context("close the mutation log")
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.map.partitions).map(PartitionId)
    }

    /// Every build there is a manifest of, by name.
    pub(super) async fn builds(&self) -> anyhow::Result<BTreeMap<String, Build>> {
        let mut builds: BTreeMap<String, Build> = BTreeMap::new();
        for partition in self.partitions() {
            // The newest first.
            for manifest in self.parts.snapshots.manifests(partition).await? {
                let build = builds.entry(manifest.draft.build.clone()).or_default();
                if !build.newest.contains_key(&partition) {
                    build.analyzers.insert(manifest.draft.analyzer_version);
                    build.newest.insert(partition, manifest);
                }
            }
        }
        Ok(builds)
    }
}
