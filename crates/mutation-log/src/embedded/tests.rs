//! Tests of the embedded log as a whole; units have theirs beside them.

mod conformance;
mod crash;
mod damage;
mod failure;
mod format;
mod wrappers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

use super::config::{EmbeddedConfig, WallClock};
use super::simulated::SimulatedStorage;
use crate::{EmbeddedLog, LogError, MutationLog};

/// A clock that moves by one millisecond with every look.
fn counting_clock() -> WallClock {
    let now = AtomicU64::new(1_700_000_000_000);
    Arc::new(move || now.fetch_add(1, Ordering::Relaxed))
}

fn config(dir: impl Into<PathBuf>, segment_bytes_max: u64) -> EmbeddedConfig {
    EmbeddedConfig { segment_bytes_max, ..EmbeddedConfig::new(dir, 2, counting_clock()) }
}

/// Opens the log of a simulated disk.
async fn open(disk: &SimulatedStorage, segment_bytes_max: u64) -> Result<EmbeddedLog, LogError> {
    EmbeddedLog::open_on(Arc::new(disk.clone()), config("/log", segment_bytes_max)).await
}

fn in_partition(partition: PartitionId, name: &str) -> PathBuf {
    super::files::partition_dir(Path::new("/log"), partition).join(name)
}

/// Everything readable in a partition; offsets ascend without gaps.
async fn contents(
    log: &dyn MutationLog,
    partition: PartitionId,
) -> Result<BTreeMap<Offset, Bytes>, LogError> {
    let mut next = log.watermarks(partition).await?.low;
    let mut all = BTreeMap::new();
    loop {
        let records = log.read(partition, next, 2000).await?;
        if records.is_empty() {
            assert_eq!(next, log.watermarks(partition).await?.high);
            return Ok(all);
        }
        for record in records {
            assert_eq!(record.offset, next);
            next = next.next();
            all.insert(record.offset, record.payload);
        }
    }
}
