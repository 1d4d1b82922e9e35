//! What the leaf's tasks share.

use std::sync::Arc;

use nautilus_engine::{PartitionIdentity, Resources};
use nautilus_index_repository::Snapshots;
use nautilus_mutation_log::MutationLog;
use nautilus_registry::Registry;
use nautilus_service::{Clock, WorkerPool};
use nautilus_types::PartitionId;

use crate::Config;
use crate::builds::WantedBuild;
use crate::digester::Digesting;
use crate::metrics::LeafMetrics;
use crate::partitions::Partitions;
use crate::pulse::Pulses;

/// Ports, pools and the one memory budget.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) log: Arc<dyn MutationLog>,
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) snapshots: Snapshots,
    pub(crate) clock: Clock,
    pub(crate) resources: Resources,
    pub(crate) partitions: Partitions,
    pub(crate) pulses: Pulses,
    /// Applies the log.
    pub(crate) apply_pool: Arc<WorkerPool>,
    /// The same for partitions that nobody serves from here yet.
    pub(crate) replay_pool: Arc<WorkerPool>,
    /// Opens, closes, removes and copies files.
    pub(crate) disk_pool: WorkerPool,
    /// Reads partitions through, slowly; apart from the others, who are waited for.
    pub(crate) scrub_pool: WorkerPool,
    /// Reads partitions for their digests, slowly.
    pub(crate) digest_pool: WorkerPool,
    pub(crate) digesting: Digesting,
    /// Which build the group is to serve.
    pub(crate) wanted_build: WantedBuild,
    pub(crate) metrics: LeafMetrics,
}

impl Shared {
    /// Which partition of which log a folder must hold.
    pub(crate) fn identity(&self, partition: PartitionId) -> PartitionIdentity {
        let log = self.log.identity();
        PartitionIdentity { cluster_id: log.cluster_id, log_generation: log.generation, partition }
    }
}
