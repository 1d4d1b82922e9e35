//! Another log under the same name, or another configuration for the same log.

use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog};
use nautilus_types::{Class, LogGeneration, Offset};
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::world::{Operator, P0, append, config, new_log, open, read_all, shared, texts, until};

fn next_generation(config: &KafkaConfig) -> KafkaConfig {
    KafkaConfig { generation: LogGeneration(config.generation.0 + 1), ..config.clone() }
}

#[track_caller]
fn assert_other_log<T: std::fmt::Debug>(outcome: Result<T, LogError>) {
    match outcome {
        Err(error @ LogError::OtherLog { .. }) => assert_eq!(error.class(), Class::Precondition),
        other => panic!("expected another log, got {other:?}"),
    }
}

/// The records of the other log lie at the very offsets the reader goes on from, so only what they carry tells.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_is_never_read_on() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    let log = new_log(&config).await;
    for i in 0..5 {
        append(&log, &format!("old {i}")).await;
    }
    assert_eq!(read_all(&log, Offset(0)).await.expect("read").len(), 5);

    // With the same cluster and generation too: an operator's slip.
    Operator::new(&config).make_again(&config).await;
    let new = open(&config).await;
    for i in 0..20 {
        append(&new, &format!("new {i}")).await;
    }
    // Until it is noticed calls may fail, but nothing of the new log comes out of the old one.
    for from in [Offset(5), Offset(0), Offset(3)] {
        let outcome = until(
            async || log.read(P0, from, 1 << 16).await,
            |outcome| !matches!(outcome, Err(LogError::Io { .. })),
        )
        .await;
        assert_other_log(outcome);
    }
    // The suspicion made the guard look, long before its time.
    let append = async || log.append(P0, Bytes::from_static(b"late")).await;
    let refused = until(append, |outcome| matches!(outcome, Err(LogError::OtherLog { .. }))).await;
    assert_other_log(refused);
    assert_other_log(log.watermarks(P0).await);
    assert_other_log(log.wait_beyond(P0, Offset(5)).await);
    log.close().await.expect("closed");
    new.close().await.expect("closed");
}

/// Without any read: the guard alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_again_is_noticed_without_being_read() {
    let Some(kafka) = shared().await else { return };
    let mut config = config(kafka);
    config.guard_interval = Duration::from_millis(100);
    let log = new_log(&config).await;
    let next = append(&log, "old").await.next();
    // Brokers may not know for a moment where the topic is; whoever waits asks again then.
    let wait = until(
        async || log.wait_beyond(P0, next).await,
        |outcome| !matches!(outcome, Err(LogError::Io { .. })),
    );
    let again = async { Operator::new(&config).make_again(&next_generation(&config)).await };
    let (woken, _) = tokio::join!(tokio::time::timeout(Duration::from_secs(60), wait), again);
    // Whoever waits is told, and so is whoever comes later.
    assert_other_log(woken.expect("woken in time"));
    assert_other_log(log.append(P0, Bytes::from_static(b"late")).await);
    log.close().await.expect("closed");
    assert!(matches!(log.watermarks(P0).await, Err(LogError::Closed)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_topic_made_again_does_not_open() {
    let Some(kafka) = shared().await else { return };
    let mut config = config(kafka);
    let log = new_log(&config).await;
    config.topic_id = Some(log.topic_id());
    log.close().await.expect("closed");
    open(&config).await.close().await.expect("closed");

    let other = Operator::new(&config).make_again(&config).await;
    assert_ne!(Some(other), config.topic_id);
    assert_other_log(KafkaLog::open(config).await.map(|_| ()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_generation_neither_reads_nor_writes() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    let log = new_log(&config).await;
    append(&log, "mine").await;
    for wrong in [next_generation(&config), KafkaConfig { cluster_id: [8; 16], ..config.clone() }] {
        let wrong = open(&wrong).await;
        assert_other_log(wrong.append(P0, Bytes::from_static(b"theirs")).await);
        assert_other_log(wrong.read(P0, Offset(0), 1).await);
        wrong.close().await.expect("closed");
    }
    // It left nothing behind.
    append(&log, "mine again").await;
    let all = read_all(&log, Offset(0)).await.expect("read");
    assert_eq!(texts(&all), ["mine", "mine again"]);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_record_is_not_passed_over() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    let log = new_log(&config).await;
    append(&log, "mine").await;
    let stranger: FutureProducer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_server())
        .create()
        .expect("a producer");
    let record: FutureRecord<'_, str, str> =
        FutureRecord::to(&config.topic).partition(0).payload("unstamped");
    stranger.send(record, Duration::from_secs(30)).await.expect("sent");
    append(&log, "mine after").await;

    let before = log.read(P0, Offset(0), 1 << 16).await.expect("up to it");
    assert_eq!(texts(&before), ["mine"]);
    assert_other_log(log.read(P0, Offset(1), 1 << 16).await);
    assert_other_log(log.read(P0, Offset(1), 1 << 16).await);
    // Who knows what they do reads on behind it.
    let after = log.read(P0, Offset(2), 1 << 16).await.expect("behind it");
    assert_eq!(texts(&after), ["mine after"]);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_were_added_end_the_log() {
    let Some(kafka) = shared().await else { return };
    let mut config = config(kafka);
    config.guard_interval = Duration::from_millis(100);
    let log = new_log(&config).await;
    let next = append(&log, "two partitions").await.next();
    // Brokers may not know for a moment where the topic is; whoever waits asks again then.
    let wait = until(
        async || log.wait_beyond(P0, next).await,
        |outcome| !matches!(outcome, Err(LogError::Io { .. })),
    );
    let operator = Operator::new(&config);
    let (woken, ()) =
        tokio::join!(tokio::time::timeout(Duration::from_secs(60), wait), operator.grow_to(4));
    let grown = |error: LogError| {
        assert!(matches!(error, LogError::OtherPartitions { found: 4, wanted: 2 }), "{error:?}");
    };
    grown(woken.expect("woken in time").expect_err("refused"));
    grown(log.append(P0, Bytes::from_static(b"four")).await.expect_err("refused"));
    grown(log.read(P0, Offset(0), 1).await.expect_err("refused"));
    log.close().await.expect("closed");
    grown(KafkaLog::open(config).await.err().expect("refused"));
}
