//! Snapshots that are damaged, and disks that are older than what is left of the log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nautilus_types::{Offset, PartitionId};

use super::groups::members_of;
use super::history::{open_log, read_log};
use super::leaves::{CALM, recovered_all};
use super::replicas::replicas;
use super::run::Run;
use super::verify;
use crate::cluster::{Cluster, Services};
use crate::wait::wait_until;

const RECOVERY_TIME_MAX: Duration = Duration::from_secs(180);
const SNAPSHOTS_TIME_MAX: Duration = Duration::from_secs(120);
/// What a leaf says of a snapshot that it could have used but for its state.
const PASSED_OVER: &str = "snapshot not used";

/// A group comes back from empty disks while the newest snapshot of each partition is damaged, each in another way.
pub(super) fn damage(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let count = run.cluster.serving()?;
    let partitions: Vec<u32> = run.log.partitions().map(|partition| partition.0).collect();
    wait_until("two snapshots of each partition", SNAPSHOTS_TIME_MAX, || {
        let has_two = |partition: &u32| manifests(run, *partition).len() >= 2;
        Ok(partitions.iter().all(has_two).then_some(()))
    })?;
    let leaves = leaves_of(run, "a");
    for leaf in &leaves {
        run.cluster.kill(leaf)?;
        run.cluster.wipe(leaf)?;
    }
    run.injected("every leaf of a group is gone with its disk");
    gone(run, count, partitions.len())?;
    for partition in partitions {
        let manifests = manifests(run, partition);
        let newest = manifests.last().context("the snapshots are gone")?;
        match partition % 3 {
            0 => {
                flip(&largest_file(run, partition, newest)?)?;
                run.injected("a byte of the newest snapshot is flipped");
            }
            1 => {
                cut(newest)?;
                run.injected("the newest manifest is cut short");
            }
            _ => {
                fs::remove_file(largest_file(run, partition, newest)?)?;
                run.injected("a file of the newest snapshot is removed");
            }
        }
    }
    for leaf in &leaves {
        run.cluster.launch(leaf)?;
    }
    let is_back = recovered_all(run, count, RECOVERY_TIME_MAX)?;
    let logs = leaves.iter().map(|leaf| log_of(&run.cluster, leaf));
    let passed_over: usize = logs.map(|log| log.matches(PASSED_OVER).count()).sum();
    run.check(
        "every partition is served again without the damaged snapshots, which are named",
        is_back && passed_over > 0,
        format!("{passed_over} passed over"),
    );
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// A group stands still while the log is trimmed beyond what its disks hold; then it comes back.
pub(super) fn trim_log(run: &mut Run) -> anyhow::Result<()> {
    run.until(CALM)?;
    let count = run.cluster.serving()?;
    let of_a = replicas(run)?.into_iter().filter(|replica| replica.replica_group == "a");
    let leaves = leaves_of(run, "a");
    for leaf in &leaves {
        run.cluster.kill(leaf)?;
    }
    run.injected("kill -9 of every leaf of a group, whose disks stay");
    let held: BTreeMap<u32, u64> = of_a.map(|it| (it.partition, it.log_high_offset)).collect();
    gone(run, count, held.len())?;
    wait_until("snapshots beyond what the disks hold", SNAPSHOTS_TIME_MAX, || {
        let newest = |partition: u32| manifests(run, partition).last().map(|it| offset_of(it));
        let is_beyond = |(&partition, &held): (&u32, &u64)| newest(partition) > Some(held);
        Ok(held.iter().all(is_beyond).then_some(()))
    })?;
    // What is trimmed is still needed to check answers.
    read_log(&run.cluster, &mut run.log)?;
    let mut bounds = Vec::new();
    for &partition in held.keys() {
        let newest = manifests(run, partition);
        let newest = newest.last().context("the snapshots are gone")?;
        bounds.push((PartitionId(partition), Offset(offset_of(newest))));
    }
    let lows = trim(&run.cluster, &bounds)?;
    run.injected("the log is trimmed");
    let is_beyond = lows.iter().all(|(partition, low)| held.get(partition) < Some(low));
    run.check("the log begins beyond what the disks hold", is_beyond, format!("{lows:?}"));
    for leaf in &leaves {
        run.cluster.launch(leaf)?;
    }
    let is_back = recovered_all(run, count, RECOVERY_TIME_MAX)?;
    run.check("the old disks give way to snapshots", is_back, format!("{} leaves", leaves.len()));
    let least = run.options.duration;
    run.until(least)?;
    let report = run.finish_load()?;
    verify::everything_acknowledged_is_found(run, &report)
}

/// Waits until the leases of a group that died are over.
fn gone(run: &Run, before: usize, partitions: usize) -> anyhow::Result<()> {
    wait_until("the group's leases to end", SNAPSHOTS_TIME_MAX, || {
        let serving = run.cluster.serving().unwrap_or(before);
        Ok((serving + partitions <= before).then_some(()))
    })
}

fn trim(cluster: &Cluster, bounds: &[(PartitionId, Offset)]) -> anyhow::Result<Vec<(u32, u64)>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let log = open_log(cluster).await?;
        let mut lows = Vec::new();
        for &(partition, below) in bounds {
            lows.push((partition.0, log.trim(partition, below).await?.0));
        }
        log.close().await?;
        Ok(lows)
    })
}

fn leaves_of(run: &Run, group: &str) -> Vec<String> {
    let mut members = members_of(run, group);
    members.retain(|name| name.starts_with("leaf-"));
    members
}

fn log_of(cluster: &Cluster, name: &str) -> String {
    let path = cluster.folder().join("logs").join(format!("{name}.log"));
    fs::read_to_string(path).unwrap_or_default()
}

fn partition_dir(run: &Run, partition: u32) -> PathBuf {
    let bucket = run.cluster.services.s3.bucket_dir(Services::BUCKET);
    let cluster = u128::from_be_bytes(run.cluster.log_identity().cluster_id);
    bucket.join(format!("{cluster:032x}")).join(format!("{partition:010}"))
}

/// Files of the manifests, the oldest first; what is being written has a name of its own.
fn manifests(run: &Run, partition: u32) -> Vec<PathBuf> {
    let Ok(entries) = partition_dir(run, partition).join("manifests").read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    found.retain(|path| name_of(path).starts_with('0'));
    found.sort();
    found
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// `<log generation>-<next offset>-…`
fn offset_of(manifest: &Path) -> u64 {
    name_of(manifest).split('-').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn largest_file(run: &Run, partition: u32, manifest: &Path) -> anyhow::Result<PathBuf> {
    let uploads = partition_dir(run, partition).join("files").join(name_of(manifest));
    let mut files = Vec::new();
    for upload in uploads.read_dir().context("read a snapshot's folder")? {
        for file in upload?.path().read_dir()? {
            let file = file?;
            files.push((file.metadata()?.len(), file.path()));
        }
    }
    files.into_iter().max().map(|(_, path)| path).context("the snapshot has no files")
}

/// In place, so that what the server notes beside the file stays.
fn flip(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle)?;
    file.write_all_at(&[byte[0] ^ 1], middle)?;
    Ok(())
}

fn cut(path: &Path) -> anyhow::Result<()> {
    let file = fs::OpenOptions::new().write(true).open(path)?;
    file.set_len(file.metadata()?.len() / 2)?;
    Ok(())
}
