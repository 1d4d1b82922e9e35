//! Damaged, cut and missing files: always an error or a cut of what was never acknowledged.

use std::collections::BTreeMap;

use bytes::Bytes;
use nautilus_types::{Class, Offset, PartitionId};

use super::{contents, in_partition, open};
use crate::embedded::simulated::SimulatedStorage;
use crate::{LogError, MutationLog};

const P0: PartitionId = PartitionId(0);
const SEGMENT_BYTES_MAX: u64 = 150;

/// A closed log with seven records in three segments: 0 to 2, 3 to 5, and 6.
async fn closed_log() -> (SimulatedStorage, BTreeMap<Offset, Bytes>) {
    let disk = SimulatedStorage::new(1);
    let log = open(&disk, SEGMENT_BYTES_MAX).await.expect("opened");
    for i in 0..7 {
        log.append(P0, Bytes::from(format!("record {i}"))).await.expect("appended");
    }
    let all = contents(&log, P0).await.expect("readable");
    log.close().await.expect("closed");
    let segments = disk.files().into_iter().filter(|(path, _)| {
        path.parent() == in_partition(P0, "x").parent()
            && path.extension().is_some_and(|extension| extension == "segment")
    });
    assert_eq!(segments.count(), 3);
    (disk, all)
}

fn segment(base: u64) -> String {
    format!("{base:020}.segment")
}

/// Opens and reads everything; either fails as corruption or all records come back.
async fn outcome(disk: &SimulatedStorage) -> Result<BTreeMap<Offset, Bytes>, LogError> {
    let log = open(disk, SEGMENT_BYTES_MAX).await?;
    contents(&log, P0).await
}

#[tokio::test]
async fn every_damaged_byte_of_a_segment_is_found() {
    let (disk, all) = closed_log().await;
    for base in [0, 3, 6] {
        let path = in_partition(P0, &segment(base));
        let size = disk.files().into_iter().find(|(other, _)| *other == path).expect("there").1;
        for at in 0..size {
            disk.damage(&path, at, 1 << (at % 8)).expect("damaged");
            let error = outcome(&disk).await.expect_err("damaged");
            let is_refusal =
                matches!(error, LogError::Corrupt { .. } | LogError::OtherVersion { .. });
            assert!(is_refusal, "{base} at {at}: {error:?}");
            disk.damage(&path, at, 1 << (at % 8)).expect("repaired");
        }
    }
    assert_eq!(outcome(&disk).await.expect("whole again"), all);
}

#[tokio::test]
async fn a_cut_or_missing_segment_is_found() {
    for base in [0, 3, 6] {
        for lost in [1, 20, 36, 45, 1000] {
            let (disk, _) = closed_log().await;
            let path = in_partition(P0, &segment(base));
            let size = disk.files().into_iter().find(|(other, _)| *other == path).expect("there").1;
            disk.cut(&path, size.saturating_sub(lost)).expect("cut");
            let error = outcome(&disk).await.expect_err("acknowledged records are missing");
            assert_eq!(error.class(), Class::Corrupt, "{base} less {lost}: {error:?}");
        }
        let (disk, _) = closed_log().await;
        remove(&disk, &segment(base));
        let error = outcome(&disk).await.expect_err("acknowledged records are missing");
        assert_eq!(error.class(), Class::Corrupt, "{base}: {error:?}");
    }
}

fn remove(disk: &SimulatedStorage, name: &str) {
    use crate::LogStorage;
    disk.remove(&in_partition(P0, name)).expect("removed");
}

#[tokio::test]
async fn without_its_mark_a_log_still_tells_corruption_from_a_torn_tail() {
    // Three commit groups of one record each in the last segment.
    let disk = SimulatedStorage::new(1);
    let log = open(&disk, 1 << 20).await.expect("opened");
    for i in 0..3 {
        log.append(P0, Bytes::from(format!("record {i}"))).await.expect("appended");
    }
    log.close().await.expect("closed");
    let path = in_partition(P0, &segment(0));
    let frame = 28 + 8;

    // The second record is damaged, and the third says that the second was durable.
    remove(&disk, "durable");
    disk.damage(&path, 52 + frame + 30, 1).expect("damaged");
    let error = outcome(&disk).await.expect_err("damaged");
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
    disk.damage(&path, 52 + frame + 30, 1).expect("repaired");

    // The same with its length damaged, so that the third has to be searched for.
    disk.damage(&path, 52 + frame, 3).expect("damaged");
    let error = outcome(&disk).await.expect_err("damaged");
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
    disk.damage(&path, 52 + frame, 3).expect("repaired");

    // Nothing says that the third was durable: a torn tail, cut for good.
    disk.damage(&path, 52 + 2 * frame + 30, 1).expect("damaged");
    assert_eq!(outcome(&disk).await.expect("cut").len(), 2);
    assert_eq!(outcome(&disk).await.expect("still").len(), 2);
}

#[tokio::test]
async fn a_torn_group_is_cut_even_where_its_later_part_is_sound() {
    let disk = SimulatedStorage::new(1);
    let log = open(&disk, 1 << 20).await.expect("opened");
    log.append(P0, Bytes::from_static(b"before")).await.expect("appended");
    let batch = (0..4).map(|i| Bytes::from(format!("batch {i}"))).collect();
    log.append_batch(P0, batch).await.expect("appended");
    log.close().await.expect("closed");
    // As if the power had gone before the batch was acknowledged: its second record never arrived.
    remove(&disk, "durable");
    let path = in_partition(P0, &segment(0));
    disk.damage(&path, 52 + 34 + 35 + 30, 0xff).expect("damaged");
    let texts: Vec<_> = outcome(&disk).await.expect("cut").into_values().collect();
    assert_eq!(texts, ["before", "batch 0"]);
}

#[tokio::test]
async fn a_payload_that_looks_like_frames_proves_nothing() {
    // A document may hold the bytes of a log: here, sound frames of another log's same positions.
    let other = SimulatedStorage::new(1);
    let log = open(&other, 1 << 20).await.expect("opened");
    for i in 0..9 {
        log.append(P0, Bytes::from(format!("record {i}"))).await.expect("appended");
    }
    log.close().await.expect("closed");
    let frames = {
        use crate::LogStorage;
        let file = other.open(&in_partition(P0, &segment(0)), false).expect("opened");
        let mut bytes = vec![0; usize::try_from(file.size().expect("size")).expect("small")];
        file.read_exact_at(&mut bytes, 0).expect("read");
        bytes
    };
    let disk = SimulatedStorage::new(2);
    let log = open(&disk, 1 << 20).await.expect("opened");
    log.append(P0, Bytes::from_static(b"before")).await.expect("appended");
    log.append(P0, Bytes::from(frames)).await.expect("appended");
    log.close().await.expect("closed");
    remove(&disk, "durable");
    disk.damage(&in_partition(P0, &segment(0)), 52 + 34, 1).expect("damaged");
    assert_eq!(outcome(&disk).await.expect("a torn tail").len(), 1);
}

#[tokio::test]
async fn a_lost_identity_is_refused_while_there_are_records() {
    use crate::LogStorage;
    let (disk, all) = closed_log().await;
    disk.rename("/log/identity".as_ref(), "/log/elsewhere".as_ref()).expect("renamed");
    assert_eq!(outcome(&disk).await.expect_err("lost").class(), Class::Corrupt);
    disk.rename("/log/elsewhere".as_ref(), "/log/identity".as_ref()).expect("renamed");
    assert_eq!(outcome(&disk).await.expect("as before"), all);
    for at in 0..44 {
        disk.damage("/log/identity".as_ref(), at, 1).expect("damaged");
        outcome(&disk).await.expect_err("damaged");
        disk.damage("/log/identity".as_ref(), at, 1).expect("repaired");
    }
}

#[tokio::test]
async fn files_of_others_are_left_alone() {
    use crate::LogStorage;
    let (disk, all) = closed_log().await;
    for name in ["notes.txt", "mine.new", "42.segment", "lost+found"] {
        disk.open(&in_partition(P0, name), true).expect("made");
    }
    disk.open(&in_partition(P0, "low.new"), true).expect("made");
    assert_eq!(outcome(&disk).await.expect("opens"), all);
    let names = disk.list(in_partition(P0, "x").parent().expect("a folder")).expect("listed");
    assert!(
        ["notes.txt", "mine.new", "42.segment"].iter().all(|name| names.iter().any(|n| n == name))
    );
    assert!(!names.iter().any(|name| name == "low.new"), "our own leftover is removed");
}
