//! What a real node cannot be made to do on its own: librdkafka's mock of a cluster. It proves how this client
//! takes it, not that Kafka does it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog};
use nautilus_types::{Class, LogGeneration, Offset};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::world::{Beside, P0, append, open, read_all, texts, until};

const TOPIC: &str = "mutations";
const BROKERS: i32 = 3;

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock() -> (Mock, KafkaConfig) {
    let mock = MockCluster::new(BROKERS).expect("a cluster");
    mock.create_topic(TOPIC, 2, BROKERS).expect("created");
    mock.partition_leader(TOPIC, 0, Some(1)).expect("led");
    let identity = LogIdentity { cluster_id: [7; 16], generation: LogGeneration(3), partitions: 2 };
    let servers = mock.bootstrap_servers().split(',').map(str::to_owned).collect();
    let mut config = KafkaConfig::new(servers, TOPIC, identity);
    config.request_timeout = Duration::from_secs(2);
    config.delivery_timeout = Duration::from_secs(3);
    config.fetch_wait = Duration::from_millis(10);
    (mock, config)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_leader_is_not_noticed() {
    let (mock, config) = mock();
    let log = Arc::new(open(&config).await);
    let reader = {
        let log = Arc::clone(&log);
        Beside::start(async move {
            let (mut next, mut seen) = (Offset(0), Vec::new());
            while seen.len() < 60 {
                let records = match log.read(P0, next, 1 << 16).await {
                    Ok(records) if records.is_empty() => {
                        log.wait_beyond(P0, next).await.expect("woken");
                        continue;
                    }
                    Ok(records) => records,
                    Err(error) => {
                        assert_eq!(error.class(), Class::Unavailable, "{error:?}");
                        continue;
                    }
                };
                next = records.last().expect("some").offset.next();
                seen.extend(texts(&records));
            }
            seen
        })
    };
    let mut sent = Vec::new();
    for i in 0..60 {
        if i % 20 == 10 {
            mock.partition_leader(TOPIC, 0, Some(1 + i / 20 % BROKERS)).expect("led");
        }
        let text = format!("{i:02}");
        append(&log, &text).await;
        sent.push(text);
    }
    let seen = tokio::time::timeout(Duration::from_secs(60), reader.end()).await;
    assert_eq!(seen.expect("in time"), sent);
    log.close().await.expect("closed");
}

/// The broker has written the record; only its answer is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_too_late_is_an_unknown_outcome() {
    let (mock, config) = mock();
    let log = open(&config).await;
    append(&log, "first").await;
    mock.broker_round_trip_time(1, config.delivery_timeout * 4).expect("slowed");
    let late = log.append(P0, Bytes::from_static(b"late")).await.expect_err("no answer");
    assert!(matches!(late, LogError::UnknownOutcome { .. }), "{late:?}");
    mock.broker_round_trip_time(1, Duration::ZERO).expect("quickened");
    // It goes on, and what was unknown is there at most once.
    until(async || log.append(P0, Bytes::from_static(b"next")).await, Result::is_ok)
        .await
        .expect("appended");
    let all = until(async || read_all(&log, Offset(0)).await, Result::is_ok).await.expect("read");
    let all = texts(&all);
    assert!(all.iter().filter(|text| *text == "late").count() <= 1, "{all:?}");
    assert_eq!(all.first().map(String::as_str), Some("first"));
    log.close().await.expect("closed");
}

/// The broker takes the records but not enough replicas have them yet: the client asks until they do, and nothing
/// is there twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_tried_again() {
    let (mock, config) = mock();
    let log = open(&config).await;
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    append(&log, "once").await;
    assert_eq!(texts(&read_all(&log, Offset(0)).await.expect("read")), ["once"]);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_definite() {
    let (mock, config) = mock();
    let log = open(&config).await;
    append(&log, "may").await;
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    // One record: two may travel in two requests, of which one would be refused.
    let error = log.append(P0, Bytes::from_static(b"may not")).await.expect_err("refused");
    assert!(matches!(error, LogError::Refused { .. }), "{error:?}");
    append(&log, "may again").await;
    assert_eq!(texts(&read_all(&log, Offset(0)).await.expect("read")), ["may", "may again"]);
    log.close().await.expect("closed");
}

/// librdkafka gives up a producer whose numbering the broker disputes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_producer_is_replaced() {
    let (mock, config) = mock();
    let log = open(&config).await;
    append(&log, "first").await;
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    let killed = log.append(P0, Bytes::from_static(b"disputed")).await.expect_err("disputed");
    assert!(matches!(killed, LogError::UnknownOutcome { .. }), "{killed:?}");
    append(&log, "second").await;
    let all = texts(&read_all(&log, Offset(0)).await.expect("read"));
    assert_eq!((all.first(), all.last()), (Some(&"first".into()), Some(&"second".into())));
    log.close().await.expect("closed");
}

/// A leader that has just changed may not know the end of the log yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_asked_for_until_somebody_knows() {
    let (mock, config) = mock();
    let log = open(&config).await;
    append(&log, "first").await;
    mock.request_errors(
        RDKafkaApiKey::ListOffsets,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 2],
    );
    assert_eq!(log.watermarks(P0).await.expect("answered").high, Offset(1));
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_out_of_reach_is_unavailable() {
    let (mock, config) = mock();
    mock.broker_down(-1).expect("down");
    let error = KafkaLog::open(config).await.err().expect("nobody is there");
    assert!(matches!(error, LogError::Io { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Unavailable);
    drop(mock);
}
