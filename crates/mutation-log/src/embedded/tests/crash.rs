//! Random schedules of appends, trims, failures and losses of power: what was acknowledged stays.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};
use tokio::task::JoinSet;

use super::{contents, open};
use crate::embedded::simulated::SimulatedStorage;
use crate::seeded::Seeded;
use crate::{EmbeddedLog, LogError, MutationLog};

/// What one partition must hold.
#[derive(Default)]
struct Expected {
    /// Acknowledged, or read after an opening: these stay, at their offsets.
    settled: BTreeMap<Offset, Bytes>,
    /// Refused with certainty: these never show.
    refused: BTreeSet<Bytes>,
    low: Offset,
}

/// How often the schedules came to what they are for.
#[derive(Default, Debug)]
struct Seen {
    acknowledged: usize,
    unknown: usize,
    refused: usize,
    surfaced: usize,
    power_losses: usize,
    interrupted_openings: usize,
    trims: usize,
}

type Expectations = Arc<Mutex<[Expected; 2]>>;

/// Appends from several writers until the power goes or all is done.
async fn write(
    log: &Arc<EmbeddedLog>,
    expected: &Expectations,
    seen: &Arc<Mutex<Seen>>,
    draws: &mut Seeded,
    round: u64,
) {
    let mut writers = JoinSet::new();
    for writer in 0..draws.below(1..5) {
        let (log, expected) = (Arc::clone(log), Arc::clone(expected));
        let (seen, mut draws) = (Arc::clone(seen), Seeded::new(draws.next_u64()));
        writers.spawn(async move {
            for i in 0..draws.below(1..20) {
                let partition = PartitionId(u32::from(draws.chance(300)));
                let payloads: Vec<Bytes> = (0..draws.below(1..4))
                    .map(|part| {
                        let length = usize::try_from(draws.below(0..900)).expect("small");
                        let name = format!("{round}:{writer}:{i}:{part}:");
                        Bytes::from(name + &"x".repeat(length))
                    })
                    .collect();
                let outcome = log.append_batch(partition, payloads.clone()).await;
                let mut all = expected.lock().expect("not poisoned");
                let expected = &mut all[usize::from(partition.0 == 1)];
                let mut seen = seen.lock().expect("not poisoned");
                match outcome {
                    Ok(offsets) => {
                        for (offset, payload) in offsets.into_iter().zip(payloads) {
                            let before = expected.settled.insert(offset, payload);
                            assert_eq!(before, None, "offset {offset} was given twice");
                            seen.acknowledged += 1;
                        }
                    }
                    Err(error) if error.may_have_appended() => seen.unknown += 1,
                    Err(LogError::Io { .. } | LogError::Failed { .. }) => {
                        expected.refused.extend(payloads);
                        seen.refused += 1;
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("the writer ended");
    }
}

/// Compares both partitions with what is expected, and settles what surfaced.
async fn check(log: &EmbeddedLog, expected: &Expectations, seen: &Arc<Mutex<Seen>>) {
    for (i, partition) in [PartitionId(0), PartitionId(1)].into_iter().enumerate() {
        let low = log.watermarks(partition).await.expect("watermarks").low;
        let found = contents(log, partition).await.expect("readable");
        let mut all = expected.lock().expect("not poisoned");
        let expected = &mut all[i];
        assert!(low >= expected.low, "low went back from {} to {low}", expected.low);
        expected.low = low;
        expected.settled = expected.settled.split_off(&low);
        for (offset, payload) in &expected.settled {
            assert_eq!(found.get(offset), Some(payload), "partition {partition} offset {offset}");
        }
        for payload in found.values() {
            assert!(!expected.refused.contains(payload), "a refused record is in the log");
        }
        seen.lock().expect("not poisoned").surfaced += found.len() - expected.settled.len();
        expected.settled = found;
    }
}

/// Trims partition 0 below a drawn offset; what was below is no longer expected.
async fn trim(
    log: &EmbeddedLog,
    expected: &Expectations,
    seen: &Arc<Mutex<Seen>>,
    draws: &mut Seeded,
) {
    let at = log.watermarks(PartitionId(0)).await.expect("watermarks");
    let below = Offset(draws.below(at.low.0..at.high.0 + 1));
    let Ok(low) = log.trim(PartitionId(0), below).await else {
        return;
    };
    assert!(low <= below || low == at.low, "trimmed to {low}, above {below}");
    let expected = &mut expected.lock().expect("not poisoned")[0];
    expected.settled = expected.settled.split_off(&low);
    expected.low = low;
    seen.lock().expect("not poisoned").trims += usize::from(low > at.low);
}

/// One disk through several losses of power.
async fn run(seed: u64, seen: &Arc<Mutex<Seen>>) {
    let mut draws = Seeded::new(seed);
    let disk = SimulatedStorage::new(draws.next_u64());
    let segment_bytes_max = draws.below(200..6000);
    let expected = Expectations::default();
    for round in 0..6 {
        // The power may already go while the log is being opened.
        if draws.chance(300) {
            disk.power_off_after(draws.below(0..30));
        }
        let log = match open(&disk, segment_bytes_max).await {
            Ok(log) => Arc::new(log),
            Err(error) => {
                assert!(!disk.is_on(), "round {round}: {error:?}");
                seen.lock().expect("not poisoned").interrupted_openings += 1;
                disk.restart();
                continue;
            }
        };
        if disk.is_on() {
            check(&log, &expected, seen).await;
        }
        match draws.below(0..4) {
            0 => disk.power_off_after(draws.below(0..60)),
            1 => disk.fail_after(draws.below(0..40)),
            2 => disk.fail_syncs(1),
            _ => {}
        }
        write(&log, &expected, seen, &mut draws, round).await;
        if draws.chance(400) {
            trim(&log, &expected, seen, &mut draws).await;
            write(&log, &expected, seen, &mut draws, 100 + round).await;
        }
        if draws.chance(300) {
            // A clean end, or that of a killed process: what was written is still seen.
            drop(log);
            if disk.is_on() {
                disk.clear_faults();
                continue;
            }
            disk.restart();
            continue;
        }
        disk.power_off();
        drop(log);
        disk.restart();
        seen.lock().expect("not poisoned").power_losses += 1;
    }
    let log = open(&disk, segment_bytes_max).await.expect("opens in the end");
    check(&log, &expected, seen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_records_survive_every_schedule() {
    let seen = Arc::new(Mutex::new(Seen::default()));
    for seed in 0..400 {
        // Shown when a schedule fails: the last line is the seed.
        println!("seed {seed}");
        let ended = tokio::time::timeout(Duration::from_secs(60), run(seed, &seen)).await;
        ended.expect("the schedule ended in time");
    }
    let seen = seen.lock().expect("not poisoned");
    println!("{seen:?}");
    assert!(seen.acknowledged > 5000 && seen.unknown > 50 && seen.refused > 50, "{seen:?}");
    assert!(seen.power_losses > 500 && seen.interrupted_openings > 50, "{seen:?}");
    assert!(seen.surfaced > 10 && seen.trims > 50, "{seen:?}");
}
