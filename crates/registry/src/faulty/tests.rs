//! The wrapper, around a registry in memory and paused time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_types::Class;

use super::{FaultPlan, Faulty};
use crate::{
    Change, EmbeddedRegistry, LeaseId, Operation, Registry, RegistryError, Revision, Transaction,
};

fn registry() -> Arc<dyn Registry> {
    Arc::new(EmbeddedRegistry::in_memory(Arc::new(|| tokio::time::Instant::now().into_std())))
}

fn put(key: &str) -> Transaction {
    let (key, value) = (key.to_owned(), Bytes::from_static(b"x"));
    Transaction {
        operations: vec![Operation::Put { key, value, lease: None }],
        ..Transaction::default()
    }
}

fn is_unavailable<T>(outcome: &Result<T, RegistryError>) -> bool {
    outcome.as_ref().is_err_and(|error| error.class() == Class::Unavailable)
}

/// 200 puts in turn, as one letter each: acknowledged, failed but there, failed and not there.
async fn fates(plan: FaultPlan) -> String {
    let inner = registry();
    let faulty = Faulty::new(Arc::clone(&inner), plan);
    let mut fates = String::new();
    for i in 0..200 {
        let key = i.to_string();
        let outcome = faulty.transact(put(&key)).await;
        assert!(outcome.is_ok() || is_unavailable(&outcome), "{outcome:?}");
        let is_there = inner.get(&key).await.expect("read").is_some();
        fates.push(match (outcome.is_ok(), is_there) {
            (true, true) => 'a',
            (false, true) => 'u',
            (false, false) => 'r',
            (true, false) => panic!("{key} was acknowledged and is not there"),
        });
    }
    fates
}

#[tokio::test(start_paused = true)]
async fn faults_follow_the_seed() {
    let plan = FaultPlan {
        seed: 7,
        write_refused_per_mille: 200,
        write_unknown_per_mille: 200,
        ..FaultPlan::default()
    };
    let first = fates(plan).await;
    assert_eq!(fates(plan).await, first);
    assert_ne!(fates(FaultPlan { seed: 8, ..plan }).await, first);
    for letter in ['a', 'r', 'u'] {
        assert!(first.contains(letter), "{first}");
    }
}

#[tokio::test(start_paused = true)]
async fn reads_and_leases_fail_too() {
    let reads = FaultPlan { read_refused_per_mille: 1000, ..FaultPlan::default() };
    let faulty = Faulty::new(registry(), reads);
    assert!(is_unavailable(&faulty.get("k").await));
    assert!(is_unavailable(&faulty.list("").await));
    assert!(is_unavailable(&faulty.watch("", Revision(1)).await));
    let lease = faulty.grant_lease(Duration::from_secs(1)).await.expect("no read");

    let writes = FaultPlan { write_refused_per_mille: 1000, ..FaultPlan::default() };
    let faulty = Faulty::new(registry(), writes);
    assert!(is_unavailable(&faulty.grant_lease(Duration::from_secs(1)).await));
    assert!(is_unavailable(&faulty.keep_alive(lease).await));
    assert!(is_unavailable(&faulty.revoke_lease(lease).await));
    faulty.get("k").await.expect("no write");
}

#[tokio::test(start_paused = true)]
async fn delays_are_drawn_up_to_their_bound() {
    let delay_max = Duration::from_millis(100);
    let plan = FaultPlan { delayed_per_mille: 1000, delay_max, ..FaultPlan::default() };
    let faulty = Faulty::new(registry(), plan);
    let start = tokio::time::Instant::now();
    for _ in 0..20 {
        faulty.get("k").await.expect("read");
    }
    let mean = start.elapsed() / 20;
    let wanted = Duration::from_millis(20)..Duration::from_millis(80);
    assert!(wanted.contains(&mean), "{mean:?}");
}

/// How many of 100 changes a watch delivers before it ends, three times over.
async fn deliveries(plan: FaultPlan) -> Vec<usize> {
    let inner = registry();
    let faulty = Faulty::new(Arc::clone(&inner), plan);
    for i in 0..100 {
        inner.transact(put(&i.to_string())).await.expect("put");
    }
    let mut counts = Vec::new();
    for _ in 0..3 {
        let mut watch = faulty.watch("", Revision(1)).await.expect("watches");
        let mut count = 0;
        let end = loop {
            match watch.next().await {
                Ok((revision, changes)) => {
                    count += 1;
                    assert_eq!(revision, Revision(count));
                    let [Change::Put(entry)] = &*changes else { panic!("{changes:?}") };
                    assert_eq!(entry.modified, revision);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(end.class(), Class::Unavailable);
        assert!(is_unavailable(&watch.next().await), "it has ended");
        counts.push(usize::try_from(count).expect("fits"));
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn watches_end_by_the_seed() {
    let plan = FaultPlan { seed: 3, watch_ended_per_mille: 100, ..FaultPlan::default() };
    let first = deliveries(plan).await;
    assert_eq!(deliveries(plan).await, first);
    assert!(first.iter().any(|count| *count > 0), "{first:?}");
    assert!(first.iter().any(|count| *count != first[0]), "each watch has its own: {first:?}");
}

#[tokio::test(start_paused = true)]
async fn down_is_unavailable_for_every_call_and_up_again_is_as_before() {
    let inner = registry();
    let faulty = Faulty::new(Arc::clone(&inner), FaultPlan::default());
    faulty.transact(put("k")).await.expect("put");
    let ttl = Duration::from_secs(5);
    let lease = faulty.grant_lease(ttl).await.expect("granted");
    let mut watch = faulty.watch("", Revision(2)).await.expect("watches");
    let mut waiting = tokio::task::JoinSet::new();
    let mut other = faulty.watch("", Revision(2)).await.expect("watches");
    waiting.spawn(async move { other.next().await });
    tokio::task::yield_now().await;

    faulty.set_down(true);
    let woken = waiting.join_next().await.expect("one").expect("no panic");
    assert!(is_unavailable(&woken), "{woken:?}");
    assert!(is_unavailable(&watch.next().await));
    assert!(is_unavailable(&faulty.get("k").await));
    assert!(is_unavailable(&faulty.list("").await));
    assert!(is_unavailable(&faulty.transact(put("lost")).await));
    assert!(is_unavailable(&faulty.watch("", Revision(2)).await));
    assert!(is_unavailable(&faulty.grant_lease(ttl).await));
    assert!(is_unavailable(&faulty.keep_alive(lease).await));
    assert!(is_unavailable(&faulty.revoke_lease(lease).await));

    faulty.set_down(false);
    assert!(is_unavailable(&watch.next().await), "what has ended stays so");
    faulty.keep_alive(lease).await.expect("in time");
    let listing = faulty.list("").await.expect("up");
    assert_eq!((listing.revision, listing.entries.len()), (Revision(1), 1));
    let mut watch = faulty.watch("", Revision(2)).await.expect("watches");
    faulty.transact(put("new")).await.expect("put");
    assert_eq!(watch.next().await.expect("a change").0, Revision(2));

    faulty.set_down(true);
    tokio::time::sleep(ttl * 2).await;
    faulty.set_down(false);
    let gone = faulty.keep_alive(lease).await;
    assert!(matches!(gone, Err(RegistryError::LeaseGone { .. })), "not kept alive: {gone:?}");
    let unknown = faulty.keep_alive(LeaseId(0)).await;
    assert!(matches!(unknown, Err(RegistryError::LeaseGone { lease: 0 })), "{unknown:?}");
}
