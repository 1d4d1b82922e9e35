//! The suite every implementation of [`MutationLog`] runs: the port's rules, one case each.
//!
//! ```text
//! mod embedded {
//!     nautilus_mutation_log::mutation_log_conformance!(TempLog::open().await);
//! }
//! ```
//!
//! The expression makes a fresh [`LogUnderTest`] for each case, in a tokio test with several
//! threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

use crate::{LogError, MutationLog, Record};

mod append;
mod read;
mod tail;

pub use append::*;
pub use read::*;
pub use tail::*;

/// An empty log with at least two partitions that can trim at least once in 256 KiB of records.
#[async_trait]
pub trait LogUnderTest: Send {
    /// The log as it is open now.
    fn log(&self) -> Arc<dyn MutationLog>;

    /// Closes the log and opens it again with what it holds, as after a restart of the process.
    async fn reopen(&mut self) -> Arc<dyn MutationLog>;
}

/// Stamps the suite for one implementation: a test per case. Put it in a module of its own.
#[macro_export]
macro_rules! mutation_log_conformance {
    ($subject:expr) => {
        $crate::mutation_log_conformance! { @cases $subject =>
            concurrent_writers_keep_their_order
            acknowledged_records_survive_reopening
            batches_stay_in_order
            oversize_is_refused
            partitions_are_independent
            unknown_partitions_are_refused
            closed_logs_refuse
            below_low_is_out_of_range
            above_high_is_out_of_range
            trimming_keeps_what_is_above
            reads_return_at_least_one_record
            resuming_neither_skips_nor_repeats
            tailing_wakes_without_polling
            a_dropped_wait_changes_nothing
            closing_wakes_waiters
            tailing_follows_concurrent_appends
        }
    };
    (@cases $subject:expr => $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case($subject).await;
            }
        )+
    };
}

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

/// No step of the suite takes this long unless it hangs.
const STEP_MAX: Duration = Duration::from_secs(60);

/// The result of a step that must end.
async fn bounded<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_MAX, step).await.expect("the step ended in time")
}

async fn append(log: &dyn MutationLog, partition: PartitionId, payload: &str) -> Offset {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    bounded(log.append(partition, payload)).await.expect("appended")
}

/// Reads everything there is from `from` on, checking that offsets ascend and the end is empty.
async fn read_all(
    log: &dyn MutationLog,
    partition: PartitionId,
    from: Offset,
    bytes_max: usize,
) -> Vec<Record> {
    let mut all: Vec<Record> = Vec::new();
    let mut next = from;
    loop {
        let records = bounded(log.read(partition, next, bytes_max)).await.expect("read");
        let Some(last) = records.last() else { break };
        let after = last.offset.next();
        for record in records {
            assert!(record.offset >= next, "{} again, wanted {next}", record.offset);
            next = record.offset.next();
            all.push(record);
        }
        assert_eq!(next, after, "records of a read ascend");
    }
    let high = log.watermarks(partition).await.expect("watermarks").high;
    assert!(next <= high, "read past the high watermark");
    all
}

fn by_offset(records: Vec<Record>) -> BTreeMap<Offset, Bytes> {
    records.into_iter().map(|record| (record.offset, record.payload)).collect()
}

/// Fills partition 0 and trims until its low watermark is above zero.
async fn trimmed(log: &dyn MutationLog) -> BTreeMap<Offset, Bytes> {
    let mut appended = BTreeMap::new();
    for i in 0..256_u32 {
        let payload = Bytes::from(format!("{i:0>1024}"));
        let offset = bounded(log.append(P0, payload.clone())).await.expect("appended");
        appended.insert(offset, payload);
    }
    let high = log.watermarks(P0).await.expect("watermarks").high;
    let low = bounded(log.trim(P0, high)).await.expect("trimmed");
    assert!(low > Offset(0), "256 KiB are enough to trim something");
    appended
}

#[track_caller]
fn assert_out_of_range(outcome: Result<impl std::fmt::Debug, LogError>, wanted: Offset) {
    match outcome {
        Err(LogError::OutOfRange { asked, low, high, .. }) => {
            assert_eq!(asked, wanted);
            assert!(asked < low || asked > high, "{asked} is within {low} to {high}");
        }
        other => panic!("expected out of range, got {other:?}"),
    }
}
