//! A Kafka for all tests that do it no harm, topics on it, and a way to reach under the log.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog, Record};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog, TopicId, TopicSettings, create};
use nautilus_test_services::{Kafka, or_skip};
use nautilus_types::{LogGeneration, Offset, PartitionId};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use tokio::task::{AbortHandle, JoinSet};

pub(crate) const P0: PartitionId = PartitionId(0);
pub(crate) const P1: PartitionId = PartitionId(1);

/// One replica is all that one node can hold.
pub(crate) const ONE_NODE: TopicSettings =
    TopicSettings { replication_factor: 1, min_insync_replicas: 1, retention: None };

static SHARED: LazyLock<Option<Kafka>> =
    LazyLock::new(|| or_skip("mutation-log-kafka", Kafka::start()));

/// The Kafka that tests share; `None` where this machine has none. It is neither frozen nor killed.
pub(crate) async fn shared() -> Option<&'static Kafka> {
    tokio::task::spawn_blocking(|| SHARED.as_ref()).await.expect("Kafka starts")
}

/// A Kafka for one test, which may do with it what it likes.
pub(crate) async fn own(test: &'static str) -> Option<Kafka> {
    let start = move || or_skip(test, Kafka::start());
    tokio::task::spawn_blocking(start).await.expect("Kafka starts")
}

/// For a topic of its own with two partitions, which does not exist yet.
pub(crate) fn config(kafka: &Kafka) -> KafkaConfig {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    let topic = format!("mutations-{}", TOPICS.fetch_add(1, Ordering::Relaxed));
    let identity = LogIdentity { cluster_id: [7; 16], generation: LogGeneration(3), partitions: 2 };
    let mut config = KafkaConfig::new(vec![kafka.bootstrap_server()], topic, identity);
    config.fetch_wait = Duration::from_millis(10);
    // Far away, so that tests of what is noticed without the guard are.
    config.guard_interval = Duration::from_secs(600);
    config
}

/// A new topic, and its log.
pub(crate) async fn new_log(config: &KafkaConfig) -> KafkaLog {
    create(config, &ONE_NODE).await.expect("created");
    open(config).await
}

pub(crate) async fn open(config: &KafkaConfig) -> KafkaLog {
    KafkaLog::open(config.clone()).await.expect("opened")
}

pub(crate) async fn append(log: &KafkaLog, payload: &str) -> Offset {
    log.append(P0, Bytes::copy_from_slice(payload.as_bytes())).await.expect("appended")
}

/// All of partition 0 from `from` on.
pub(crate) async fn read_all(log: &KafkaLog, from: Offset) -> Result<Vec<Record>, LogError> {
    let (mut all, mut next) = (Vec::new(), from);
    loop {
        let records = log.read(P0, next, 1 << 16).await?;
        let Some(last) = records.last() else { return Ok(all) };
        next = last.offset.next();
        all.extend(records);
    }
}

pub(crate) fn texts(records: &[Record]) -> Vec<String> {
    let text = |record: &Record| String::from_utf8_lossy(&record.payload).into_owned();
    records.iter().map(text).collect()
}

/// What an operator does past the log.
pub(crate) struct Operator<'a> {
    admin: AdminClient<DefaultClientContext>,
    config: &'a KafkaConfig,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(config: &'a KafkaConfig) -> Self {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", config.bootstrap_servers.join(","));
        Self { admin: client.create().expect("a client"), config }
    }

    pub(crate) async fn delete(&self) {
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let deleted = self.admin.delete_topics(&[&self.config.topic], &options).await;
        for answer in deleted.expect("answered") {
            answer.expect("deleted");
        }
    }

    /// Deletes the topic and makes another one of the same name.
    pub(crate) async fn make_again(&self, config: &KafkaConfig) -> TopicId {
        self.delete().await;
        create(config, &ONE_NODE).await.expect("made again")
    }

    pub(crate) async fn grow_to(&self, partitions: usize) {
        let wanted = NewPartitions::new(&self.config.topic, partitions);
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let grown = self.admin.create_partitions([&wanted], &options).await;
        for answer in grown.expect("answered") {
            answer.expect("grown");
        }
    }
}

/// What `attempt` gives once `is_it` holds for it; a test that waits for longer than a minute has failed.
pub(crate) async fn until<T: std::fmt::Debug>(
    mut attempt: impl AsyncFnMut() -> T,
    is_it: impl Fn(&T) -> bool,
) -> T {
    let wait = async {
        loop {
            let got = attempt().await;
            if is_it(&got) {
                return got;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("it came to be in time")
}

/// Something that happens beside a test; it ends with the test.
pub(crate) struct Beside<T> {
    tasks: JoinSet<T>,
    handle: AbortHandle,
}

impl<T: Send + 'static> Beside<T> {
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> Self {
        let mut tasks = JoinSet::new();
        let handle = tasks.spawn(work);
        Self { tasks, handle }
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Its end.
    pub(crate) async fn end(mut self) -> T {
        self.tasks.join_next().await.expect("one").expect("ran")
    }
}
