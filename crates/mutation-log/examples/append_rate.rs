//! How fast the embedded log takes appends, by number of concurrent writers.
//!
//! `cargo run --release -p nautilus-mutation-log --example append_rate [-- <dir> <payload bytes>]`
//!
//! One partition; every writer appends one record at a time and waits for its acknowledgement. The
//! folder should be on the disk that is meant: in memory file systems a sync costs nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, LogError, MutationLog};
use nautilus_types::{Offset, PartitionId};
use tokio::task::JoinSet;

const RUN_TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let above = args.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let payload_bytes = args.next().map_or(Ok(1024), |bytes| bytes.parse())?;
    println!(
        "writers  appends/s  fdatasyncs/s  records/sync  mean ack ms   ({payload_bytes} bytes)"
    );
    for writers in [1_u32, 16, 256] {
        let dir = tempfile::tempdir_in(&above)?;
        let config = EmbeddedConfig::new(dir.path(), 1, Arc::new(|| 0));
        let log = Arc::new(EmbeddedLog::open(config).await?);
        let (appends, seconds) = append_for(&log, writers, payload_bytes, RUN_TIME).await?;
        let stats = log.stats();
        println!(
            "{writers:7}  {:9.0}  {:12.0}  {:12.1}  {:11.2}",
            appends / seconds,
            count(stats.syncs) / seconds,
            count(stats.records) / count(stats.syncs),
            seconds * 1000.0 * f64::from(writers) / appends,
        );
        if writers == 256 {
            let (records, bytes, seconds) = read_back(&*log).await?;
            let mib_per_second = count(bytes) / 1_048_576.0 / seconds;
            println!(
                "read     {:9.0} records/s, {mib_per_second:.0} MiB/s",
                count(records) / seconds
            );
        }
        log.close().await?;
    }
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
    log: &Arc<EmbeddedLog>,
    writers: u32,
    payload_bytes: usize,
    time: Duration,
) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let payload = Bytes::from(vec![b'x'; payload_bytes]);
    let start = now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (log, is_over) = (Arc::clone(log), Arc::clone(&is_over));
        let payload = payload.clone();
        tasks.spawn(async move {
            let mut appends = 0;
            while !is_over.load(Ordering::Relaxed) {
                log.append(PartitionId(0), payload.clone()).await?;
                appends += 1;
            }
            Ok::<u64, LogError>(appends)
        });
    }
    tokio::time::sleep(time).await;
    is_over.store(true, Ordering::Relaxed);
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
        let records = log.read(PartitionId(0), next, 1 << 20).await?;
        let Some(last) = records.last() else { break };
        next = last.offset.next();
        read += records.len() as u64;
        bytes += records.iter().map(|record| record.payload.len() as u64).sum::<u64>();
    }
    Ok((read, bytes, start.elapsed().as_secs_f64()))
}
