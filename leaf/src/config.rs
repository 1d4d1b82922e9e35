//! Configuration: as written in a file, and checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use nautilus_registry::layout::{GroupName, LeafName};
use nautilus_service::config::{ByteSize, HumanDuration};
use nautilus_types::{PartitionMap, SLOT_COUNT};
use serde::{Deserialize, Serialize};

use crate::LeafError;

/// The `[leaf]` section as it is written.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    /// Its name in the registry, in labels and in logs; unique in its replica group.
    pub name: String,
    /// The replica group it serves.
    pub replica_group: String,
    /// Where the gRPC server listens.
    pub listen_address: SocketAddr,
    /// A folder for each partition is made in here.
    pub data_dir: PathBuf,
    /// How many partitions the slots are divided into.
    pub partitions: u32,
    /// Threads that search; 0 = one per core.
    pub search_threads: usize,
    /// Searches that may wait for a thread.
    pub search_queue: usize,
    /// Threads that fetch documents and list ids, so that these never wait behind searches.
    pub read_threads: usize,
    /// Fetches and lists that may wait for a thread.
    pub read_queue: usize,
    /// Threads that apply the log, for all partitions together.
    pub apply_threads: usize,
    /// Blocks of table files kept in memory, for all partitions together.
    pub block_cache: ByteSize,
    /// Writes kept in memory before they go to disk, for all partitions together.
    pub write_buffers: ByteSize,
    /// Applied records are on this disk after at most this time.
    pub flush_interval: HumanDuration,
    /// And after at most this many records.
    pub flush_records: u64,
    /// How long the registry waits for a sign of life before it takes the leaf for lost.
    pub lease_ttl: HumanDuration,
    /// How long before the end of that time the leaf says that it is not sure of its lease.
    pub lease_margin: HumanDuration,
    /// How often all assignments are read again, whatever the watch says.
    pub relist_interval: HumanDuration,
    /// How long a partition that is served elsewhere still answers.
    pub drain_grace: HumanDuration,
    /// How often a serving partition with new records is published as a snapshot; up to a quarter sooner, drawn each time.
    pub snapshot_interval: HumanDuration,
    /// And after how many records, if that is sooner; 0 = by time only.
    pub snapshot_records: u64,
    /// How much of snapshots is uploaded in a second at most, so that searches do not wait for it.
    pub snapshot_rate: ByteSize,
    /// How often every block of a serving partition is read and its rows checked against each other; 0 = never.
    pub scrub_interval: HumanDuration,
    /// How much of a partition is read in a second for that, and for digests.
    pub scrub_rate: ByteSize,
    /// How often what a partition holds is compared with the other replica groups, by the log's time; 0 = never.
    pub digest_interval: HumanDuration,
}

impl Default for RawConfig {
    fn default() -> Self {
        Self {
            name: "leaf-1".to_owned(),
            replica_group: "a".to_owned(),
            listen_address: SocketAddr::from(([127, 0, 0, 1], 7301)),
            data_dir: PathBuf::from("leaf"),
            partitions: 4,
            search_threads: 0,
            search_queue: 256,
            read_threads: 2,
            read_queue: 256,
            apply_threads: 2,
            block_cache: ByteSize(512 << 20),
            write_buffers: ByteSize(256 << 20),
            // What a restart has to replay at most.
            flush_interval: HumanDuration(Duration::from_secs(600)),
            flush_records: 100_000,
            lease_ttl: HumanDuration(Duration::from_secs(5)),
            lease_margin: HumanDuration(Duration::from_millis(500)),
            relist_interval: HumanDuration(Duration::from_secs(10)),
            drain_grace: HumanDuration(Duration::from_secs(2)),
            // What a recovery has to replay at most.
            snapshot_interval: HumanDuration(Duration::from_secs(600)),
            snapshot_records: 100_000,
            // What there is between two of 10 GB, and a few per cent of a network card.
            snapshot_rate: ByteSize(16 << 20),
            scrub_interval: HumanDuration(Duration::from_secs(7 * 24 * 3_600)),
            // A tenth of what a slow disk reads, and of a core to analyse it.
            scrub_rate: ByteSize(4 << 20),
            digest_interval: HumanDuration(Duration::from_secs(24 * 3_600)),
        }
    }
}

/// What a leaf is told, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the registry, in labels and in logs.
    pub name: LeafName,
    /// The replica group it serves.
    pub replica_group: GroupName,
    /// A folder for each partition is made in here.
    pub data_dir: PathBuf,
    /// Which slots belong to which partition.
    pub map: PartitionMap,
    /// Threads that search.
    pub search_threads: usize,
    /// Searches that may wait for a thread.
    pub search_queue: usize,
    /// Threads that fetch and list.
    pub read_threads: usize,
    /// Fetches and lists that may wait for a thread.
    pub read_queue: usize,
    /// Threads that apply the log.
    pub apply_threads: usize,
    /// In bytes, for all partitions together.
    pub block_cache_bytes: usize,
    /// In bytes, for all partitions together.
    pub write_buffers_bytes: usize,
    /// Applied records are on this disk after at most this time.
    pub flush_interval: Duration,
    /// And after at most this many records.
    pub flush_records: u64,
    /// Life of the leaf's lease after a sign of life.
    pub lease_ttl: Duration,
    /// How long before its end the leaf is not sure of it.
    pub lease_margin: Duration,
    /// How often all assignments are read again.
    pub relist_interval: Duration,
    /// How long a partition that is served elsewhere still answers.
    pub drain_grace: Duration,
    /// How often a serving partition with new records is published.
    pub snapshot_interval: Duration,
    /// And after how many records; 0 = by time only.
    pub snapshot_records: u64,
    /// How fast it is uploaded.
    pub snapshot_bytes_per_second: u64,
    /// How often a serving partition is read through; 0 = never.
    pub scrub_interval: Duration,
    /// How fast.
    pub scrub_bytes_per_second: u64,
    /// How often replica groups are compared, in milliseconds of the log's time; 0 = never.
    pub digest_interval_ms: u64,
}

impl RawConfig {
    /// Checks everything that can be checked without touching the disk.
    pub fn validate(self) -> Result<Config, LeafError> {
        let invalid = |key, problem: &str| LeafError::Config { key, problem: problem.to_owned() };
        if !(1..=u32::from(SLOT_COUNT)).contains(&self.partitions) {
            return Err(invalid("partitions", "is not 1 to 16384"));
        }
        let counts = [
            ("search_queue", self.search_queue),
            ("read_threads", self.read_threads),
            ("read_queue", self.read_queue),
            ("apply_threads", self.apply_threads),
        ];
        if let Some((key, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(invalid(key, "is 0"));
        }
        if self.flush_records == 0 {
            return Err(invalid("flush_records", "is 0"));
        }
        let (ttl, margin) = (self.lease_ttl.0, self.lease_margin.0);
        if !(Duration::from_millis(100)..=Duration::from_secs(3_600)).contains(&ttl) {
            return Err(invalid("lease_ttl", "is not 100 ms to 1 hour"));
        }
        // A third of the time passes between two signs of life anyway.
        if margin > ttl / 3 {
            return Err(invalid("lease_margin", "is over a third of lease_ttl"));
        }
        for (key, interval) in [
            ("relist_interval", self.relist_interval.0),
            ("snapshot_interval", self.snapshot_interval.0),
        ] {
            if interval.is_zero() {
                return Err(invalid(key, "is 0"));
            }
        }
        for (key, rate) in [("scrub_rate", self.scrub_rate), ("snapshot_rate", self.snapshot_rate)]
        {
            if rate.0 == 0 {
                return Err(invalid(key, "is 0"));
            }
        }
        let name = |key, error: nautilus_registry::layout::InvalidName| LeafError::Config {
            key,
            problem: error.to_string(),
        };
        let bytes = |key, size: ByteSize| {
            usize::try_from(size.0).map_err(|_| invalid(key, "is more than this machine can hold"))
        };
        let cores = || std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Config {
            name: LeafName::new(&self.name).map_err(|error| name("name", error))?,
            replica_group: GroupName::new(&self.replica_group)
                .map_err(|error| name("replica_group", error))?,
            data_dir: self.data_dir,
            map: PartitionMap::divided(self.partitions),
            search_threads: if self.search_threads == 0 { cores() } else { self.search_threads },
            search_queue: self.search_queue,
            read_threads: self.read_threads,
            read_queue: self.read_queue,
            apply_threads: self.apply_threads,
            block_cache_bytes: bytes("block_cache", self.block_cache)?,
            write_buffers_bytes: bytes("write_buffers", self.write_buffers)?,
            flush_interval: self.flush_interval.0,
            flush_records: self.flush_records,
            lease_ttl: ttl,
            lease_margin: margin,
            relist_interval: self.relist_interval.0,
            drain_grace: self.drain_grace.0,
            snapshot_interval: self.snapshot_interval.0,
            snapshot_records: self.snapshot_records,
            snapshot_bytes_per_second: self.snapshot_rate.0,
            scrub_interval: self.scrub_interval.0,
            scrub_bytes_per_second: self.scrub_rate.0,
            digest_interval_ms: u64::try_from(self.digest_interval.0.as_millis())
                .unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let config = RawConfig::default().validate().expect("valid");
        assert_eq!((config.map.partitions, config.apply_threads), (4, 2));
        assert!(config.search_threads > 0);
    }

    #[test]
    fn contradictions_are_refused() {
        let refused = |change: fn(&mut RawConfig)| {
            let mut raw = RawConfig::default();
            change(&mut raw);
            raw.validate().expect_err("refused").to_string()
        };
        assert!(refused(|raw| raw.name = "Leaf 1".to_owned()).contains("name"));
        assert!(refused(|raw| raw.replica_group = String::new()).contains("replica_group"));
        assert!(refused(|raw| raw.partitions = 0).contains("partitions"));
        assert!(refused(|raw| raw.search_queue = 0).contains("search_queue"));
        assert!(refused(|raw| raw.read_threads = 0).contains("read_threads"));
        assert!(refused(|raw| raw.apply_threads = 0).contains("apply_threads"));
        assert!(refused(|raw| raw.flush_records = 0).contains("flush_records"));
        assert!(refused(|raw| raw.lease_ttl.0 = Duration::ZERO).contains("lease_ttl"));
        assert!(refused(|raw| raw.lease_margin.0 = Duration::from_secs(2)).contains("margin"));
        assert!(refused(|raw| raw.relist_interval.0 = Duration::ZERO).contains("relist"));
        assert!(refused(|raw| raw.scrub_rate.0 = 0).contains("scrub_rate"));
        assert!(refused(|raw| raw.snapshot_rate.0 = 0).contains("snapshot_rate"));
        assert!(refused(|raw| raw.snapshot_interval.0 = Duration::ZERO).contains("snapshot"));
    }
}
