//! How long a lost partition took to be served again, against what it may take.
//!
//! ```text
//! allowed = lease TTL + 2 s + bytes / (80 % of a plain parallel copy) + records / (3 × live apply rate)
//! ```
//!
//! Bytes are those of the snapshot that was downloaded, the copy is of the partition's own files from the same
//! repository right afterwards, records are those between the snapshot and the end of the log, and the live apply
//! rate is in records a CPU-second of the leaves before any fault, searches and all.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nautilus_index_repository::{
    IndexRepository, ObjectName, RepositoryError, S3Config, S3Credentials, S3Repository,
};
use nautilus_test_services::S3;
use serde::Deserialize;

use super::leaves::LEASE_TTL;
use super::load_of_machine::Processors;
use super::replicas::{Replica, replicas};
use super::run::Run;
use crate::cluster::Services;
use crate::wait::poll_for;

/// Beside the lease: to notice, decide, and announce.
const DECISION_TIME: Duration = Duration::from_secs(2);
const COPY_SHARE: f64 = 0.8;
const REPLAY_FACTOR: f64 = 3.0;
/// Objects copied at once.
const COPIES: usize = 8;
/// Before a partition is given up.
const RECOVERY_TIME_MAX: Duration = Duration::from_secs(90);
/// Of a range that is read at once.
const RANGE_BYTES: usize = 8 * 1024 * 1024;

/// Records a CPU-second that serving leaves apply, measured from one moment to another.
#[derive(Debug)]
pub(super) struct LiveRate {
    offsets: u64,
    cpu: Duration,
}

impl LiveRate {
    /// What the serving leaves have applied and used so far.
    pub(super) fn so_far(run: &Run) -> anyhow::Result<Self> {
        let mut found = replicas(run)?;
        found.retain(Replica::is_serving);
        let mut leaves: Vec<&str> = found.iter().map(|it| it.leaf.as_str()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        let times = leaves.into_iter().map(|leaf| run.cluster.processor_time(leaf));
        let cpu = times.sum::<anyhow::Result<Duration>>()?;
        Ok(Self { offsets: found.iter().map(|it| it.next_offset).sum(), cpu })
    }

    /// Since an earlier moment.
    pub(super) fn since(&self, earlier: &Self) -> f64 {
        let records = count(self.offsets.saturating_sub(earlier.offsets));
        let cpu = self.cpu.saturating_sub(earlier.cpu).as_secs_f64().max(0.01);
        (records / cpu).max(1.0)
    }
}

/// What a leaf's log says of a download.
#[derive(Debug, Default, Deserialize)]
struct Downloaded {
    partition: u32,
    epoch: u64,
    offset: u64,
    bytes: u64,
}

/// The partitions that a leaf serves now.
pub(super) fn served_by(run: &Run, leaf: &str) -> anyhow::Result<Vec<Replica>> {
    let mut found = replicas(run)?;
    found.retain(|it| it.is_serving() && it.leaf == leaf);
    Ok(found)
}

/// Waits until other leaves of the group serve what was lost at `since`, and says of each partition how long it took
/// and how long it may take. Whether all came back, and whether all in time; the times count where the machine had
/// some left.
pub(super) fn measure(
    run: &mut Run,
    lost: &[Replica],
    since: Duration,
    live_rate: f64,
) -> anyhow::Result<(bool, Duration)> {
    let processors = Processors::now()?;
    let mut back = BTreeMap::<u32, (Replica, Duration)>::new();
    let all = poll_for(RECOVERY_TIME_MAX, || {
        // Whoever is asked may be one of those that are hurt.
        for found in replicas(run).unwrap_or_default() {
            let is_heir = |old: &Replica| {
                (old.partition, &old.replica_group) == (found.partition, &found.replica_group)
                    && found.leaf != old.leaf
            };
            if found.is_serving() && lost.iter().any(is_heir) {
                let took = run.now().saturating_sub(since);
                back.entry(found.partition).or_insert((found, took));
            }
        }
        Ok((back.len() >= lost.len()).then_some(()))
    })?;
    let busy = processors.busy_until(&Processors::now()?);
    let mut slowest = Duration::ZERO;
    for (partition, (replica, took)) in back {
        let downloaded = downloaded(run, &replica);
        let copy_rate = copy_rate(run, partition)?;
        let records = replica.log_high_offset.saturating_sub(downloaded.offset);
        let allowed = LEASE_TTL
            + DECISION_TIME
            + seconds(count(downloaded.bytes) / (COPY_SHARE * copy_rate))
            + seconds(count(records) / (REPLAY_FACTOR * live_rate));
        run.say(&format!(
            "partition {partition} is served by {} after {:.1} s of {:.1} s: lease {:.0} s + {:.0} s + {} bytes of a \
             copy's {copy_rate:.0} a second + {records} records of a live {live_rate:.0} a CPU-second",
            replica.leaf,
            took.as_secs_f64(),
            allowed.as_secs_f64(),
            LEASE_TTL.as_secs_f64(),
            DECISION_TIME.as_secs_f64(),
            downloaded.bytes,
        ));
        slowest = slowest.max(took);
        if took > allowed {
            run.missed(
                busy,
                "a lost partition is served again in its time",
                format!("{:.1} s of {:.1} s", took.as_secs_f64(), allowed.as_secs_f64()),
            );
        }
    }
    Ok((all.is_some(), slowest))
}

/// The download that brought a replica; nothing where it was fed from the log alone.
fn downloaded(run: &Run, replica: &Replica) -> Downloaded {
    let path = run.cluster.folder().join("logs").join(format!("{}.log", replica.leaf));
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().rev().filter(|line| line.contains("snapshot downloaded"));
    let mut read = lines.filter_map(|line| serde_json::from_str::<Downloaded>(line).ok());
    let is_it = |it: &Downloaded| (it.partition, it.epoch) == (replica.partition, replica.epoch);
    read.find(is_it).unwrap_or_default()
}

/// Bytes a second of a plain copy of all files of a partition, several at a time.
fn copy_rate(run: &Run, partition: u32) -> anyhow::Result<f64> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let target = tempfile::tempdir_in(run.cluster.folder())?;
    runtime.block_on(async {
        let config = S3Config {
            endpoint: Some(run.cluster.services.s3.endpoint()),
            credentials: S3Credentials::Fixed {
                key_id: S3::KEY_ID.to_owned(),
                secret_key: S3::SECRET_KEY.to_owned(),
                token: None,
            },
            ..S3Config::new(S3::REGION, Services::BUCKET)
        };
        let repository = Arc::new(S3Repository::open(config).await.context("reach the store")?);
        let cluster = u128::from_be_bytes(run.cluster.log_identity().cluster_id);
        let folder = ObjectName::new(format!("{cluster:032x}/{partition:010}/files"))?;
        let objects = repository.list_all(&folder).await?;
        let began = run.clock.now();
        let copies = objects.into_iter().enumerate().map(|(number, object)| {
            let (repository, path) =
                (Arc::clone(&repository), target.path().join(number.to_string()));
            async move {
                let mut bytes = Vec::new();
                loop {
                    let from = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    match repository.get_range(&object.name, from, RANGE_BYTES).await {
                        Ok(part) if part.is_empty() => break,
                        Ok(part) => bytes.extend_from_slice(&part),
                        // A newer snapshot made it superfluous since it was listed.
                        Err(RepositoryError::NotFound { .. }) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                tokio::fs::write(path, &bytes).await.context("write a copy")?;
                anyhow::Ok(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
        });
        let copied: Vec<u64> = stream::iter(copies).buffer_unordered(COPIES).try_collect().await?;
        let took = run.clock.now().saturating_duration_since(began).as_secs_f64().max(0.001);
        Ok((count(copied.iter().sum()) / took).max(1.0))
    })
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Exact below 2^53.
fn count(number: u64) -> f64 {
    number as f64
}
