//! Brokers that die and brokers that stop answering.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog};
use nautilus_test_services::Kafka;
use nautilus_types::{Class, Offset};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::world::{Beside, P0, P1, append, config, new_log, own, read_all, until};

/// Gives up sooner than an operator would, so that tests end.
fn impatient(kafka: &Kafka) -> KafkaConfig {
    let mut config = config(kafka);
    config.request_timeout = Duration::from_secs(2);
    config.delivery_timeout = Duration::from_secs(3);
    config
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("it ended")
}

/// What one writer knows of its records, in the order it sent them.
#[derive(Default)]
struct Writer {
    acknowledged: Vec<(Offset, String)>,
    unknown: Vec<String>,
    refused: Vec<String>,
}

/// Appends single records and batches, whatever comes, until told to end.
async fn write(
    log: Arc<KafkaLog>,
    name: usize,
    over: Arc<AtomicBool>,
    some_done: Arc<Notify>,
) -> Writer {
    let mut writer = Writer::default();
    for round in 0_usize.. {
        if over.load(Ordering::SeqCst) {
            break;
        }
        let texts: Vec<_> =
            (0..1 + round % 3 * 20).map(|i| format!("{name}:{round:06}:{i:02}")).collect();
        let payloads = texts.iter().map(|text| Bytes::from(text.clone())).collect();
        match log.append_batch(P0, payloads).await {
            Ok(offsets) => writer.acknowledged.extend(offsets.into_iter().zip(texts)),
            Err(LogError::UnknownOutcome { .. }) => writer.unknown.extend(texts),
            Err(error) => {
                assert_eq!(error.class(), Class::Unavailable, "{error:?}");
                writer.refused.extend(texts);
            }
        }
        some_done.notify_one();
    }
    writer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_broker_loses_nothing_that_was_acknowledged() {
    let Some(mut kafka) = own("mutation-log-kafka::killed").await else { return };
    let log = Arc::new(new_log(&impatient(&kafka)).await);
    let (over, some_done) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let mut writers = JoinSet::new();
    for name in 0..4 {
        writers.spawn(write(Arc::clone(&log), name, Arc::clone(&over), Arc::clone(&some_done)));
    }
    for _ in 0..2 {
        for _ in 0..50 {
            some_done.notified().await;
        }
        kafka = blocking(move || {
            kafka.restart();
            kafka
        })
        .await;
    }
    // It goes on by itself.
    let again = async || log.append(P1, Bytes::from_static(b"again")).await;
    until(again, Result::is_ok).await.expect("appended");
    for _ in 0..50 {
        some_done.notified().await;
    }
    over.store(true, Ordering::SeqCst);
    let writers = writers.join_all().await;

    let all = read_all(&log, Offset(0)).await.expect("read");
    let mut there = BTreeMap::new();
    for record in &all {
        let text = String::from_utf8(record.payload.to_vec()).expect("text");
        assert!(there.insert(text, record.offset).is_none(), "a record is there twice");
    }
    let (mut acknowledged, mut unknown) = (0, 0);
    for writer in &writers {
        assert!(writer.acknowledged.is_sorted_by(|a, b| a.0 < b.0), "offsets of a writer grow");
        for (offset, text) in &writer.acknowledged {
            assert_eq!(there.get(text), Some(offset), "{text} was acknowledged");
        }
        for text in &writer.refused {
            assert!(!there.contains_key(text), "{text} was refused");
        }
        acknowledged += writer.acknowledged.len();
        unknown += writer.unknown.len();
    }
    assert!(acknowledged > 100, "{acknowledged} acknowledged");
    assert!(there.len() <= acknowledged + unknown, "records that nobody sent");
    // Each writer's records lie in the order it sent them, batches too.
    for name in 0..writers.len() {
        let own = format!("{name}:");
        let texts = all.iter().map(|record| String::from_utf8_lossy(&record.payload));
        let texts: Vec<_> = texts.filter(|text| text.starts_with(&own)).collect();
        assert!(texts.is_sorted(), "out of order");
    }
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_broker_is_said_in_time_and_forgiven() {
    let Some(kafka) = own("mutation-log-kafka::frozen").await else { return };
    let config = impatient(&kafka);
    let log = Arc::new(new_log(&config).await);
    let mut acknowledged = Vec::new();
    for i in 0..10 {
        acknowledged.push((append(&log, &format!("before {i}")).await, format!("before {i}")));
    }
    let next = acknowledged.last().expect("ten").0.next();
    read_all(&log, Offset(0)).await.expect("read");
    let waiting = {
        let log = Arc::clone(&log);
        Beside::start(async move { log.wait_beyond(P0, next).await })
    };

    kafka.freeze();
    // A deadline that passes is said, and said honestly.
    let patience = config.delivery_timeout * 3;
    let sent = log.append(P0, Bytes::from_static(b"during"));
    let sent = tokio::time::timeout(patience, sent).await.expect("in time");
    assert!(matches!(sent, Err(LogError::UnknownOutcome { .. })), "{sent:?}");
    let batch: Vec<_> = (0..100).map(|i| Bytes::from(format!("batch {i:03}"))).collect();
    let batch = tokio::time::timeout(patience, log.append_batch(P0, batch)).await.expect("in time");
    let batch = batch.expect_err("nobody answers");
    assert_eq!(batch.class(), Class::Unavailable, "{batch:?}");
    for error in [
        tokio::time::timeout(patience, log.watermarks(P0)).await.expect("in time").map(|_| ()),
        tokio::time::timeout(patience, log.read(P0, next, 1)).await.expect("in time").map(|_| ()),
        tokio::time::timeout(patience, log.read(P0, Offset(3), 1))
            .await
            .expect("in time")
            .map(|_| ()),
        tokio::time::timeout(patience, log.trim(P0, next)).await.expect("in time").map(|_| ()),
    ] {
        let error = error.expect_err("nobody answers");
        assert!(matches!(error, LogError::Io { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Unavailable);
    }
    assert!(!waiting.is_finished(), "who waits goes on waiting");

    kafka.thaw();
    let after = async || log.append(P0, Bytes::from_static(b"after")).await;
    let after = until(after, Result::is_ok).await.expect("appended");
    assert!(after >= next);
    let woken = tokio::time::timeout(patience, waiting.end()).await.expect("in time");
    assert!(woken.expect("woken by data") > next);
    let all = read_all(&log, Offset(0)).await.expect("read");
    for (offset, text) in &acknowledged {
        let record = all.iter().find(|record| record.offset == *offset);
        assert_eq!(record.map(|record| &record.payload[..]), Some(text.as_bytes()));
    }
    // What was unknown may be there, once.
    let count = |wanted: &[u8]| all.iter().filter(|record| record.payload == wanted).count();
    assert!(count(b"during") <= 1);
    if !batch.may_have_appended() {
        assert!(!all.iter().any(|record| record.payload.starts_with(b"batch")));
    }
    log.close().await.expect("closed");
}

/// What was sent and not answered may have been written; what never left is known not to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_never_left_is_known_not_to_be_there() {
    let Some(mut kafka) = own("mutation-log-kafka::gone").await else { return };
    let log = new_log(&impatient(&kafka)).await;
    let first = append(&log, "before").await;
    kafka.kill();
    // The producer learns that the connection is gone before it has anything to send.
    let gone = async || log.append(P0, Bytes::from_static(b"never")).await.expect_err("gone");
    let definite = until(gone, |error| !error.may_have_appended()).await;
    assert_eq!(definite.class(), Class::Unavailable, "{definite:?}");

    let kafka = blocking(move || {
        kafka.restart();
        kafka
    })
    .await;
    let again = async || log.append(P0, Bytes::from_static(b"after")).await;
    until(again, Result::is_ok).await.expect("appended");
    let all = read_all(&log, first).await.expect("read");
    assert_eq!(all.first().map(|record| &record.payload[..]), Some(&b"before"[..]));
    log.close().await.expect("closed");
    drop(kafka);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_ends_without_a_broker() {
    let Some(mut kafka) = own("mutation-log-kafka::closing").await else { return };
    let log = Arc::new(new_log(&impatient(&kafka)).await);
    append(&log, "before").await;
    read_all(&log, Offset(0)).await.expect("read");
    kafka.kill();
    let late = {
        let log = Arc::clone(&log);
        Beside::start(async move { log.append(P0, Bytes::from_static(b"late")).await })
    };
    let closed = tokio::time::timeout(Duration::from_secs(60), log.close()).await;
    closed.expect("in time").expect("closed");
    late.end().await.expect_err("nobody took it");
}
