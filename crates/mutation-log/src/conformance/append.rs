//! Cases about appending: order, durability, bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use nautilus_types::{Class, Limits, Offset, PartitionId};
use tokio::task::JoinSet;

use super::{LogUnderTest, P0, P1, append, bounded, by_offset, read_all};
use crate::{BATCH_BYTES_MAX, LogError};

/// Many writers at once: each sees its own appends in its order, and readers see what was acknowledged
/// at its offset.
pub async fn concurrent_writers_keep_their_order(subject: impl LogUnderTest) {
    let log = subject.log();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for i in 0..50 {
                let payload = format!("{writer}:{i}");
                let offset = append(&*log, P0, &payload).await;
                acknowledged.push((offset, Bytes::from(payload)));
            }
            acknowledged
        });
    }
    let mut all = BTreeMap::new();
    while let Some(acknowledged) = writers.join_next().await {
        let acknowledged = acknowledged.expect("the writer ended");
        assert!(acknowledged.is_sorted_by(|a, b| a.0 < b.0), "offsets of one writer grow");
        all.extend(acknowledged);
    }
    assert_eq!(all.len(), 400, "no offset was given twice");
    assert_eq!(by_offset(read_all(&*log, P0, Offset(0), 1000).await), all);
}

/// What was acknowledged is there after a restart, at its offset, and the log is the same log.
pub async fn acknowledged_records_survive_reopening(mut subject: impl LogUnderTest) {
    let log = subject.log();
    let identity = log.identity().clone();
    for i in 0..20 {
        append(&*log, P0, &format!("first life {i}")).await;
    }
    let before = read_all(&*log, P0, Offset(0), 1 << 20).await;
    assert_eq!(before.len(), 20);
    let high = log.watermarks(P0).await.expect("watermarks").high;
    drop(log);

    let log = subject.reopen().await;
    assert_eq!(*log.identity(), identity);
    assert_eq!(read_all(&*log, P0, Offset(0), 1 << 20).await, before);
    assert_eq!(log.watermarks(P0).await.expect("watermarks").high, high);
    assert!(append(&*log, P0, "second life").await >= high);
}

/// A batch is appended whole, in the order given, even between other writers.
pub async fn batches_stay_in_order(subject: impl LogUnderTest) {
    let log = subject.log();
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let log = Arc::clone(&log);
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for round in 0..10 {
                let payloads: Vec<Bytes> =
                    (0..7).map(|i| Bytes::from(format!("{writer}:{round}:{i}"))).collect();
                let appended = log.append_batch(P0, payloads.clone());
                let offsets = bounded(appended).await.expect("appended");
                assert!(offsets.is_sorted_by(|a, b| a < b));
                assert_eq!(offsets.len(), payloads.len());
                acknowledged.extend(offsets.into_iter().zip(payloads));
            }
            assert!(acknowledged.is_sorted_by(|a, b| a.0 < b.0));
            acknowledged
        });
    }
    let mut all = BTreeMap::new();
    while let Some(acknowledged) = writers.join_next().await {
        all.extend(acknowledged.expect("the writer ended"));
    }
    assert_eq!(all.len(), 280);
    assert_eq!(by_offset(read_all(&*log, P0, Offset(0), 100).await), all);

    let high = log.watermarks(P0).await.expect("watermarks").high;
    assert_eq!(bounded(log.append_batch(P0, Vec::new())).await.expect("nothing to do"), []);
    assert_eq!(log.watermarks(P0).await.expect("watermarks").high, high);
}

/// A record of exactly the bound is taken; one byte more is refused, alone or in a batch, and so is
/// too large a batch. A refusal leaves nothing behind.
pub async fn oversize_is_refused(subject: impl LogUnderTest) {
    let log = subject.log();
    let largest = Bytes::from(vec![7; Limits::RECORD_BYTES_MAX]);
    let larger = Bytes::from(vec![7; Limits::RECORD_BYTES_MAX + 1]);
    let offset = bounded(log.append(P0, largest.clone())).await.expect("the bound is allowed");
    let empty = bounded(log.append(P0, Bytes::new())).await.expect("no bytes are allowed");
    let high = log.watermarks(P0).await.expect("watermarks").high;

    let too_many = vec![largest.clone(); BATCH_BYTES_MAX / Limits::RECORD_BYTES_MAX + 1];
    for refused in [
        bounded(log.append(P0, larger.clone())).await.map(|offset| vec![offset]),
        bounded(log.append_batch(P0, vec![Bytes::from_static(b"small"), larger])).await,
        bounded(log.append_batch(P0, too_many)).await,
    ] {
        let error = refused.expect_err("over the bound");
        assert!(matches!(error, LogError::TooLarge { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Invalid);
    }
    assert_eq!(log.watermarks(P0).await.expect("watermarks").high, high);
    let all = by_offset(read_all(&*log, P0, Offset(0), 10).await);
    assert_eq!(all, BTreeMap::from([(offset, largest), (empty, Bytes::new())]));
}

/// Appends to one partition do not show in another.
pub async fn partitions_are_independent(subject: impl LogUnderTest) {
    let log = subject.log();
    append(&*log, P0, "zero").await;
    assert_eq!(read_all(&*log, P1, Offset(0), 100).await, []);
    append(&*log, P1, "one").await;
    append(&*log, P1, "two").await;
    let texts = |records: Vec<crate::Record>| {
        records.into_iter().map(|record| record.payload).collect::<Vec<_>>()
    };
    assert_eq!(texts(read_all(&*log, P0, Offset(0), 100).await), ["zero"]);
    assert_eq!(texts(read_all(&*log, P1, Offset(0), 100).await), ["one", "two"]);
}

/// Every call about a partition that is not there says so.
pub async fn unknown_partitions_are_refused(subject: impl LogUnderTest) {
    let log = subject.log();
    let wrong = PartitionId(log.identity().partitions);
    let payload = Bytes::from_static(b"x");
    for error in [
        bounded(log.append(wrong, payload.clone())).await.expect_err("append"),
        bounded(log.append_batch(wrong, vec![payload])).await.expect_err("append_batch"),
        bounded(log.read(wrong, Offset(0), 1)).await.expect_err("read"),
        log.watermarks(wrong).await.expect_err("watermarks"),
        bounded(log.wait_beyond(wrong, Offset(0))).await.expect_err("wait_beyond"),
        bounded(log.trim(wrong, Offset(0))).await.expect_err("trim"),
    ] {
        assert!(matches!(error, LogError::NoSuchPartition { .. }), "{error:?}");
    }
}

/// After closing every call is refused; closing again is fine.
pub async fn closed_logs_refuse(subject: impl LogUnderTest) {
    let log = subject.log();
    append(&*log, P0, "x").await;
    bounded(log.close()).await.expect("closed");
    bounded(log.close()).await.expect("closed again");
    let payload = Bytes::from_static(b"y");
    for error in [
        bounded(log.append(P0, payload.clone())).await.expect_err("append"),
        bounded(log.append_batch(P0, vec![payload])).await.expect_err("append_batch"),
        bounded(log.read(P0, Offset(0), 1)).await.expect_err("read"),
        log.watermarks(P0).await.expect_err("watermarks"),
        bounded(log.wait_beyond(P0, Offset(0))).await.expect_err("wait_beyond"),
        bounded(log.trim(P0, Offset(0))).await.expect_err("trim"),
    ] {
        assert!(matches!(error, LogError::Closed), "{error:?}");
    }
}
