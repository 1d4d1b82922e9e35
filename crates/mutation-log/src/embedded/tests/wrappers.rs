//! The wrappers of the port, around a log on a simulated disk.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};

use super::{contents, open};
use crate::embedded::simulated::SimulatedStorage;
use crate::{CallCounts, FaultPlan, Faulty, LogError, Metered, MutationLog};

const P0: PartitionId = PartitionId(0);

async fn log() -> Arc<dyn MutationLog> {
    Arc::new(open(&SimulatedStorage::new(1), 1 << 20).await.expect("opened"))
}

/// 200 appends in turn, as one letter each: appended, refused, unknown.
async fn fates(inner: Arc<dyn MutationLog>, plan: FaultPlan) -> String {
    let faulty = Faulty::new(inner, plan);
    let mut fates = String::new();
    for i in 0..200 {
        fates.push(match faulty.append(P0, Bytes::from(format!("{i}"))).await {
            Ok(_) => 'a',
            Err(LogError::Io { .. }) => 'r',
            Err(LogError::UnknownOutcome { .. }) => 'u',
            Err(other) => panic!("{other:?}"),
        });
    }
    fates
}

#[tokio::test]
async fn faults_follow_the_seed_and_keep_their_word() {
    let plan = FaultPlan {
        seed: 7,
        append_refused_per_mille: 200,
        append_unknown_per_mille: 200,
        ..FaultPlan::default()
    };
    let inner = log().await;
    let first = fates(Arc::clone(&inner), plan).await;
    assert_eq!(fates(log().await, plan).await, first);
    assert_ne!(fates(log().await, FaultPlan { seed: 8, ..plan }).await, first);
    for letter in ['a', 'r', 'u'] {
        assert!(first.contains(letter), "{first}");
    }
    let wanted: Vec<Bytes> = first
        .chars()
        .enumerate()
        .filter(|(_, fate)| *fate != 'r')
        .map(|(i, _)| Bytes::from(format!("{i}")))
        .collect();
    let found: Vec<Bytes> = contents(&*inner, P0).await.expect("readable").into_values().collect();
    assert_eq!(found, wanted, "refused is not there, unknown is");
}

#[tokio::test(start_paused = true)]
async fn delays_are_drawn_up_to_their_bound() {
    let plan = FaultPlan {
        delayed_per_mille: 1000,
        delay_max: Duration::from_millis(100),
        ..FaultPlan::default()
    };
    let faulty = Faulty::new(log().await, plan);
    let start = tokio::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(faulty.read(P0, Offset(0), 1).await.expect("empty"), []);
    }
    let mean = start.elapsed() / 20;
    let wanted = Duration::from_millis(20)..Duration::from_millis(80);
    assert!(wanted.contains(&mean), "{mean:?}");
}

#[tokio::test]
async fn counts_are_of_what_happened() {
    let plan = FaultPlan { append_unknown_per_mille: 1000, ..FaultPlan::default() };
    let inner = log().await;
    let unknown = Metered::new(Arc::new(Faulty::new(Arc::clone(&inner), plan)));
    unknown.append(P0, Bytes::from_static(b"unknown")).await.expect_err("always unknown");
    let counts = unknown.counts();
    assert_eq!((counts.append_calls, counts.append_errors, counts.append_unknown), (1, 1, 1));
    assert_eq!((counts.append_records, counts.append_bytes), (0, 0));

    let metered = Metered::new(inner);
    metered.append(P0, Bytes::from_static(b"four")).await.expect("appended");
    let batch = vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
    metered.append_batch(P0, batch).await.expect("appended");
    metered.read(P0, Offset(1), 1000).await.expect("read");
    metered.read(P0, Offset(9), 1000).await.expect_err("out of range");
    metered.wait_beyond(P0, Offset(0)).await.expect("there");
    metered.trim(P0, Offset(0)).await.expect("nothing to trim");
    let wanted = CallCounts {
        append_calls: 2,
        append_records: 3,
        append_bytes: 7,
        read_calls: 2,
        read_errors: 1,
        read_records: 3,
        read_bytes: 7,
        wait_calls: 1,
        trim_calls: 1,
        ..CallCounts::default()
    };
    assert_eq!(metered.counts(), wanted);
}
