//! Failing disks without a loss of power, second openers, other configurations.

use std::sync::Arc;

use bytes::Bytes;
use nautilus_types::{Class, Offset, PartitionId};

use super::{config, contents, open};
use crate::embedded::simulated::SimulatedStorage;
use crate::{EmbeddedLog, LogError, MutationLog};

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

fn payload(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test]
async fn a_failed_sync_ends_the_partition_and_reopening_makes_sure() {
    let disk = SimulatedStorage::new(1);
    let log = open(&disk, 1 << 20).await.expect("opened");
    log.append(P0, payload("kept")).await.expect("appended");
    disk.fail_syncs(1);
    let unknown = log.append(P0, payload("unsure")).await.expect_err("the sync failed");
    assert!(unknown.may_have_appended() && unknown.class() == Class::Unavailable);

    let refused = log.append(P0, payload("refused")).await.expect_err("dead");
    assert!(matches!(refused, LogError::Failed { source: Some(_), .. }), "{refused:?}");
    let waited = log.wait_beyond(P0, Offset(1)).await.expect_err("nothing can come");
    assert!(matches!(waited, LogError::Failed { .. }), "{waited:?}");
    assert_eq!(contents(&log, P0).await.expect("readable").len(), 1);
    log.append(P1, payload("the other partition lives")).await.expect("appended");
    log.close().await.expect("closed");

    // The pages of the failed sync are still cached, and clean: what is shown now must be durable.
    let log = open(&disk, 1 << 20).await.expect("opened");
    let shown = contents(&log, P0).await.expect("readable");
    assert_eq!(shown.len(), 2);
    disk.power_off();
    drop(log);
    disk.restart();
    let log = open(&disk, 1 << 20).await.expect("opened");
    assert_eq!(contents(&log, P0).await.expect("readable"), shown);
}

#[tokio::test]
async fn a_failed_write_refuses_its_group_and_goes_on() {
    for seed in 0..40 {
        let disk = SimulatedStorage::new(seed);
        let log = open(&disk, 1 << 20).await.expect("opened");
        log.append(P0, payload("first")).await.expect("appended");
        disk.fail_after(0);
        let refused = log.append(P0, payload("refused")).await.expect_err("not written");
        assert!(matches!(refused, LogError::Io { .. }), "{refused:?}");
        // Refused means that no loss of power brings it back, also before the next sync.
        let mut wanted = vec!["first"];
        if seed % 2 == 0 {
            assert_eq!(log.append(P0, payload("second")).await.expect("appended"), Offset(1));
            wanted.push("second");
        }
        disk.power_off();
        drop(log);
        disk.restart();
        let log = open(&disk, 1 << 20).await.expect("opened");
        let texts: Vec<_> = contents(&log, P0).await.expect("readable").into_values().collect();
        assert_eq!(texts, wanted, "seed {seed}");
    }
}

#[tokio::test]
async fn only_one_has_it_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = EmbeddedLog::open(config(dir.path(), 1000)).await.expect("opened");
    let second = EmbeddedLog::open(config(dir.path(), 1000)).await.err().expect("in use");
    assert!(matches!(second, LogError::InUse { .. }), "{second:?}");
    first.close().await.expect("closed");
    let third = EmbeddedLog::open(config(dir.path(), 1000)).await.expect("free again");
    drop(first);
    drop(third);
    EmbeddedLog::open(config(dir.path(), 1000)).await.expect("free again");
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() {
    let disk = SimulatedStorage::new(1);
    drop(open(&disk, 1000).await.expect("opened"));
    let mut other = config("/log", 1000);
    other.partitions = 3;
    let refused = EmbeddedLog::open_on(Arc::new(disk.clone()), other).await.err().expect("refused");
    assert!(matches!(refused, LogError::OtherPartitions { found: 2, wanted: 3 }), "{refused:?}");
    for (partitions, segment_bytes_max) in [(0, 1000), (1025, 1000), (2, 0)] {
        let mut bad = config("/log", segment_bytes_max);
        bad.partitions = partitions;
        let refused = EmbeddedLog::open_on(Arc::new(disk.clone()), bad).await.err();
        assert!(matches!(refused, Some(LogError::BadConfig { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn groups_share_a_sync() {
    let disk = SimulatedStorage::new(1);
    let log = Arc::new(open(&disk, 1 << 20).await.expect("opened"));
    let batch = vec![payload("a"); 100];
    log.append_batch(P0, batch).await.expect("appended");
    let stats = log.stats();
    assert_eq!((stats.syncs, stats.records), (1, 100));
}
