//! How many threads a log costs, and that they end with it. A program of its own, since it counts them all.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogIdentity, MutationLog as _};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog, TopicSettings, create};
use nautilus_test_services::{Kafka, or_skip};
use nautilus_types::{LogGeneration, Offset, PartitionId};

const PARTITIONS: u32 = 48;
/// Our reader, the producer's poller, and librdkafka's own: two clients with a main thread, the one broker by its
/// address and by its number, and the consumer's coordinator.
const THREADS_MAX: usize = 10;

/// Threads of this process but for those of the runtime's blocking pool, which come and go.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let name = |path: std::path::PathBuf| fs::read_to_string(path.join("comm")).ok();
    let mut names: Vec<_> = tasks
        .filter_map(|task| name(task.ok()?.path()))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.starts_with("tokio-"))
        .collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_partitions_share_a_few_threads() {
    let Some(kafka) = or_skip("mutation-log-kafka::threads", Kafka::start()) else { return };
    let identity =
        LogIdentity { cluster_id: [7; 16], generation: LogGeneration(1), partitions: PARTITIONS };
    let mut config = KafkaConfig::new(vec![kafka.bootstrap_server()], "mutations", identity);
    config.fetch_wait = Duration::from_millis(10);
    let settings = TopicSettings { replication_factor: 1, min_insync_replicas: 1, retention: None };
    create(&config, &settings).await.expect("created");

    let before = threads();
    let log = KafkaLog::open(config).await.expect("opened");
    for partition in (0..PARTITIONS).map(PartitionId) {
        log.append(partition, Bytes::from(format!("{partition}"))).await.expect("appended");
    }
    for partition in (0..PARTITIONS).map(PartitionId) {
        let records = log.read(partition, Offset(0), 100).await.expect("read");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].payload, format!("{partition}"));
    }
    let during = threads();
    assert!(during.len() <= before.len() + THREADS_MAX, "{before:?}, then {during:?}");
    log.close().await.expect("closed");
    let after = threads();
    assert!(after.len() <= before.len(), "{before:?}, then {after:?}");
}
