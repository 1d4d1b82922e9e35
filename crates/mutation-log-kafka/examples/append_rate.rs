//! How fast a log on Kafka takes appends and gives them back.
//!
//! `cargo run --release -p nautilus-mutation-log-kafka --example append_rate [-- <host:port> <payload bytes>]`
//!
//! Without an address it starts a Kafka of its own (see `scripts/test-deps.sh`), which is one node without
//! replicas and with a small heap: figures of this client rather than of Kafka. The topic is a new one and stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nautilus_mutation_log::{LogError, LogIdentity, MutationLog};
use nautilus_mutation_log_kafka::{KafkaConfig, KafkaLog, TopicSettings, create};
use nautilus_test_services::Kafka;
use nautilus_types::{LogGeneration, Offset, PartitionId};
use tokio::task::JoinSet;

const RUN_TIME: Duration = Duration::from_secs(3);
const P0: PartitionId = PartitionId(0);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next();
    let payload_bytes = args.next().map_or(Ok(1024), |bytes| bytes.parse())?;
    // Kept until the end: it goes with this variable.
    let own = match address {
        Some(_) => None,
        None => Some(Kafka::start().map_err(|missing| missing.to_string())?),
    };
    let server = address.or(own.as_ref().map(Kafka::bootstrap_server)).ok_or("no server")?;
    let topic = format!("append-rate-{}", std::process::id());
    let identity = LogIdentity { cluster_id: [1; 16], generation: LogGeneration(1), partitions: 1 };
    let config = KafkaConfig::new(vec![server], topic, identity);
    let one = TopicSettings { replication_factor: 1, min_insync_replicas: 1, retention: None };
    create(&config, &one).await?;
    let log = Arc::new(KafkaLog::open(config).await?);

    println!("writers  records/append  records/s  mean ack ms   ({payload_bytes} bytes)");
    for (writers, batch) in [(1_u32, 1_u32), (16, 1), (256, 1), (1, 100), (4, 1000)] {
        let (appends, seconds) = append_for(&log, writers, batch, payload_bytes).await?;
        println!(
            "{writers:7}  {batch:14}  {:9.0}  {:11.2}",
            appends * f64::from(batch) / seconds,
            seconds * 1000.0 * f64::from(writers) / appends,
        );
    }
    let (records, bytes, seconds) = read_back(&*log).await?;
    let mib_per_second = count(bytes) / 1_048_576.0 / seconds;
    println!("read     {:.0} records/s, {mib_per_second:.0} MiB/s", count(records) / seconds);
    log.close().await?;
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn count(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::disallowed_methods, reason = "a measurement is where time is read")]
fn now() -> Instant {
    Instant::now()
}

/// Appends acknowledged and the seconds they took.
async fn append_for(
    log: &Arc<KafkaLog>,
    writers: u32,
    batch: u32,
    payload_bytes: usize,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let payload = Bytes::from(vec![b'x'; payload_bytes]);
    let start = now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let log = Arc::clone(log);
        let payloads: Vec<_> = (0..batch).map(|_| payload.clone()).collect();
        tasks.spawn(async move {
            let mut appends = 0;
            while start.elapsed() < RUN_TIME {
                log.append_batch(P0, payloads.clone()).await?;
                appends += 1;
            }
            Ok::<u64, LogError>(appends)
        });
    }
    let mut appends = 0;
    while let Some(ended) = tasks.join_next().await {
        appends += ended??;
    }
    Ok((count(appends), start.elapsed().as_secs_f64()))
}

/// Reads the whole partition once; records, payload bytes and seconds.
async fn read_back(log: &dyn MutationLog) -> Result<(u64, u64, f64), LogError> {
    let start = now();
    let (mut next, mut read, mut bytes) = (Offset(0), 0, 0);
    loop {
        let records = log.read(P0, next, 1 << 20).await?;
        let Some(last) = records.last() else { break };
        next = last.offset.next();
        read += records.len() as u64;
        bytes += records.iter().map(|record| record.payload.len() as u64).sum::<u64>();
    }
    Ok((read, bytes, start.elapsed().as_secs_f64()))
}
