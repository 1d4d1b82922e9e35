//! What `nautilus status` says of the replicas.

use anyhow::Context as _;
use serde::Deserialize;

use super::run::Run;

/// One partition of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Replica {
    pub(super) partition: u32,
    pub(super) replica_group: String,
    pub(super) leaf: String,
    pub(super) state: String,
    pub(super) epoch: u64,
    pub(super) next_offset: u64,
    pub(super) log_high_offset: u64,
}

impl Replica {
    pub(super) fn is_serving(&self) -> bool {
        self.state == "SERVING"
    }

    /// Where it is, and since which decision.
    pub(super) fn place(&self) -> (u32, String, String, u64) {
        (self.partition, self.replica_group.clone(), self.leaf.clone(), self.epoch)
    }
}

/// All of them, as far as they are known now.
pub(super) fn replicas(run: &Run) -> anyhow::Result<Vec<Replica>> {
    let text = run.cluster.run(&["status", "--output", "json"])?;
    let mut status: serde_json::Value = serde_json::from_str(&text)?;
    let partitions = status.get_mut("partitions").context("no partitions in the status")?;
    Ok(serde_json::from_value(partitions.take())?)
}
