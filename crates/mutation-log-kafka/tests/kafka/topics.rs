//! Making and opening topics, and what Kafka itself bounds or drops.

use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, MutationLog};
use nautilus_mutation_log_kafka::{KafkaLog, TopicSettings, create};
use nautilus_types::{Class, Limits, Offset};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;

use crate::world::{ONE_NODE, P0, append, config, new_log, open, read_all, shared, texts};

#[tokio::test(flavor = "multi_thread")]
async fn opening_makes_no_topic() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    for _ in 0..2 {
        let error = KafkaLog::open(config.clone()).await.err().expect("refused");
        assert!(matches!(error, LogError::Refused { .. }), "{error:?}");
        assert_eq!(error.class(), Class::Precondition);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_made_once_and_as_configured() {
    let Some(kafka) = shared().await else { return };
    let mut config = config(kafka);
    let settings = TopicSettings { retention: Some(Duration::from_secs(3600)), ..ONE_NODE };
    let id = create(&config, &settings).await.expect("created");
    let again = create(&config, &ONE_NODE).await.expect_err("it is there");
    assert!(matches!(again, LogError::Refused { .. }), "{again:?}");

    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_server())
        .create()
        .expect("a client");
    let topic = ResourceSpecifier::Topic(&config.topic);
    let said = admin.describe_configs([&topic], &AdminOptions::new()).await.expect("described");
    let said = said.into_iter().next().expect("one topic").expect("described");
    for (name, wanted) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "3600000"),
        ("min.insync.replicas", "1"),
        ("message.timestamp.type", "LogAppendTime"),
        ("unclean.leader.election.enable", "false"),
    ] {
        let found = said.get(name).and_then(|entry| entry.value.clone());
        assert_eq!(found.as_deref(), Some(wanted), "{name}");
    }

    // The id is what a pinned configuration asks for.
    config.topic_id = Some(id);
    let log = open(&config).await;
    assert_eq!(log.topic_id(), id);
    assert_eq!(log.identity().partitions, 2);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_refused() {
    let Some(kafka) = shared().await else { return };
    let mut config = config(kafka);
    create(&config, &ONE_NODE).await.expect("created");
    config.partitions = 3;
    let error = KafkaLog::open(config).await.err().expect("refused");
    assert!(matches!(error, LogError::OtherPartitions { found: 2, wanted: 3 }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_delete_is_out_of_range() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    let log = new_log(&config).await;
    for i in 0..10 {
        append(&log, &format!("{i}")).await;
    }
    assert_eq!(read_all(&log, Offset(0)).await.expect("all are there").len(), 10);

    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_server())
        .create()
        .expect("a client");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&config.topic, 0, rdkafka::Offset::Offset(6)).expect("valid");
    admin.delete_records(&list, &AdminOptions::new()).await.expect("deleted");

    // The log has not heard of it: it is Kafka that says so, and nothing is skipped.
    for gone in [0, 5] {
        let error = log.read(P0, Offset(gone), 1 << 16).await.expect_err("gone");
        let LogError::OutOfRange { asked, low, high, .. } = error else { panic!("{error:?}") };
        assert_eq!((asked, low, high), (Offset(gone), Offset(6), Offset(10)));
    }
    assert_eq!(texts(&read_all(&log, Offset(6)).await.expect("kept")), ["6", "7", "8", "9"]);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_takes_less_than_a_record_says_so_and_goes_on() {
    let Some(kafka) = shared().await else { return };
    let config = config(kafka);
    let admin: AdminClient<DefaultClientContext> = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_server())
        .create()
        .expect("a client");
    // Made by hand, without the bound that `create` sets.
    let topic = NewTopic::new(&config.topic, 2, TopicReplication::Fixed(1))
        .set("max.message.bytes", "10000")
        .set("compression.type", "producer");
    for made in admin.create_topics([&topic], &AdminOptions::new()).await.expect("answered") {
        made.expect("created");
    }
    let log = open(&config).await;
    append(&log, "small").await;
    // Of bytes that do not compress.
    let mut seed = 1_u64;
    let large: Vec<u8> = (0..Limits::RECORD_BYTES_MAX / 2)
        .map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()[0]
        })
        .collect();
    let error = log.append(P0, Bytes::from(large)).await.expect_err("too large for the topic");
    assert!(matches!(error, LogError::Refused { .. }), "{error:?}");
    assert!(!error.may_have_appended());
    append(&log, "small again").await;
    let all = read_all(&log, Offset(0)).await.expect("read");
    assert_eq!(texts(&all), ["small", "small again"]);

    // And a topic whose bound was raised takes it.
    let topic = ResourceSpecifier::Topic(&config.topic);
    let raised = AlterConfig::new(topic).set("max.message.bytes", "2000000");
    for done in admin.alter_configs([&raised], &AdminOptions::new()).await.expect("answered") {
        done.expect("altered");
    }
    let largest = Bytes::from(vec![7; Limits::RECORD_BYTES_MAX]);
    log.append(P0, largest).await.expect("taken");
    log.close().await.expect("closed");
}
