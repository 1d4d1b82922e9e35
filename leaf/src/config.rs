//! Configuration: as written in a file, and checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nautilus_service::config::{ByteSize, HumanDuration};
use nautilus_types::{Epoch, PartitionId, PartitionMap, SLOT_COUNT};
use serde::Deserialize;

use crate::LeafError;

/// The `[leaf]` section as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Its name in labels and logs.
    pub name: String,
    /// Where the gRPC server listens.
    pub listen_address: SocketAddr,
    /// One folder per partition is made in here.
    pub data_dir: PathBuf,
    /// How many partitions the slots are divided into.
    pub partitions: u32,
    /// Those served here; empty = all.
    pub serves: Vec<u32>,
    /// Threads that search; 0 = one per core.
    pub search_threads: usize,
    /// Searches that may wait for a thread.
    pub search_queue: usize,
    /// Blocks of table files kept in memory, for all partitions together.
    pub block_cache: ByteSize,
    /// Writes kept in memory before they go to disk, for all partitions together.
    pub write_buffers: ByteSize,
    /// Applied records are on this disk after at most this time.
    pub flush_interval: HumanDuration,
    /// And after at most this many records.
    pub flush_records: u64,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            name: "leaf-1".to_owned(),
            listen_address: SocketAddr::from(([127, 0, 0, 1], 7301)),
            data_dir: PathBuf::from("leaf"),
            partitions: 4,
            serves: Vec::new(),
            search_threads: 0,
            search_queue: 256,
            block_cache: ByteSize(512 << 20),
            write_buffers: ByteSize(256 << 20),
            // What a restart has to replay at most.
            flush_interval: HumanDuration(Duration::from_secs(600)),
            flush_records: 100_000,
        }
    }
}

/// What a leaf is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in labels and logs.
    pub name: String,
    /// One folder per partition is made in here.
    pub data_dir: PathBuf,
    /// Which slots belong to which partition.
    pub map: PartitionMap,
    /// The partitions served here.
    pub serves: Vec<PartitionId>,
    /// Of the assignment. A coordinator will give it; without one it is 1.
    pub epoch: Epoch,
    /// Threads that search.
    pub search_threads: usize,
    /// Searches that may wait for a thread.
    pub search_queue: usize,
    /// In bytes, for all partitions together.
    pub block_cache_bytes: usize,
    /// In bytes, for all partitions together.
    pub write_buffers_bytes: usize,
    /// Applied records are on this disk after at most this time.
    pub flush_interval: Duration,
    /// And after at most this many records.
    pub flush_records: u64,
}

impl RawConfig {
    /// Checks everything that can be checked without touching the disk.
    pub fn validate(self) -> Result<Config, LeafError> {
        let invalid = |key, problem: &str| LeafError::Config { key, problem: problem.to_owned() };
        if !(1..=u32::from(SLOT_COUNT)).contains(&self.partitions) {
            return Err(invalid("partitions", "is not 1 to 16384"));
        }
        let mut serves = self.serves;
        if serves.is_empty() {
            serves = (0..self.partitions).collect();
        }
        serves.sort_unstable();
        serves.dedup();
        if serves.last().is_some_and(|last| *last >= self.partitions) {
            return Err(invalid("serves", "names a partition that does not exist"));
        }
        if self.search_queue == 0 {
            return Err(invalid("search_queue", "is 0"));
        }
        if self.flush_records == 0 {
            return Err(invalid("flush_records", "is 0"));
        }
        let bytes = |key, size: ByteSize| {
            usize::try_from(size.0).map_err(|_| invalid(key, "is more than this machine can hold"))
        };
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Config {
            name: self.name,
            data_dir: self.data_dir,
            map: PartitionMap::divided(self.partitions),
            serves: serves.into_iter().map(PartitionId).collect(),
            epoch: Epoch(1),
            search_threads: if self.search_threads == 0 { cores() } else { self.search_threads },
            search_queue: self.search_queue,
            block_cache_bytes: bytes("block_cache", self.block_cache)?,
            write_buffers_bytes: bytes("write_buffers", self.write_buffers)?,
            flush_interval: self.flush_interval.0,
            flush_records: self.flush_records,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_serve_all() {
        let config = RawConfig::default().validate().expect("valid");
        assert_eq!(config.serves, (0..4).map(PartitionId).collect::<Vec<_>>());
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |change: fn(&mut RawConfig)| {
            let mut raw = RawConfig::default();
            change(&mut raw);
            raw.validate().expect_err("refused").to_string()
        };
        assert!(refused(|raw| raw.serves = vec![4]).contains("serves"));
        assert!(refused(|raw| raw.partitions = 0).contains("partitions"));
        assert!(refused(|raw| raw.search_queue = 0).contains("search_queue"));
        assert!(refused(|raw| raw.flush_records = 0).contains("flush_records"));
    }
}
