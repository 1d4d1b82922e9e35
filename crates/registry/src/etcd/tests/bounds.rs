//! The port's bounds within those of etcd: 1.5 MiB for a request, 128 operations, 4 MiB for an answer.

use nautilus_test_services::{Etcd, or_skip};

use super::{all, bounded, config, etcd, latest, next, open, perform, put, put_under, watch_from};
use crate::etcd::EtcdConfig;
use crate::{
    Condition, KEY_BYTES_MAX, Registry, RegistryError, TRANSACTION_OPERATIONS_MAX, Transaction,
    VALUE_BYTES_MAX,
};

/// With the longest name, which is a part of every key.
fn longest(endpoint: String) -> EtcdConfig {
    EtcdConfig { cluster: "c".repeat(63), ..config(vec![endpoint]) }
}

fn key(number: usize) -> String {
    format!("{number:0>KEY_BYTES_MAX$}")
}

/// The largest transaction is taken, and told whole when its conditions do not hold; so are listings and
/// watches of many such.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_transactions_fit() {
    const ROUNDS: usize = 10;
    let Some(etcd) = etcd() else { return };
    let registry = open(longest(etcd.endpoint())).await;
    let from = latest(&*registry).await.next();
    let value = "v".repeat(VALUE_BYTES_MAX);
    let numbers = |round: usize| {
        (0..TRANSACTION_OPERATIONS_MAX).map(move |i| round * TRANSACTION_OPERATIONS_MAX + i)
    };
    let largest = |round: usize| Transaction {
        conditions: numbers(round).map(|i| Condition::Absent(key(i))).collect(),
        operations: numbers(round).map(|i| put(&key(i), &value)).collect(),
    };
    let mut revisions = Vec::new();
    for round in 0..ROUNDS {
        revisions.push(bounded(registry.transact(largest(round))).await.unwrap());
    }
    match bounded(registry.transact(largest(3))).await {
        Err(RegistryError::Conflict { key: failed, revision }) => {
            let first = key(3 * TRANSACTION_OPERATIONS_MAX);
            assert_eq!((failed, revision), (first, revisions[ROUNDS - 1]));
        }
        other => panic!("{other:?}"),
    }
    // 5.8 MiB: several pages, and more than a message of a watch that catches up may have.
    let listing = bounded(registry.list("")).await.unwrap();
    assert_eq!(listing.entries.len(), ROUNDS * TRANSACTION_OPERATIONS_MAX);
    assert!(listing.entries.iter().all(|entry| entry.value == value));
    let mut watch = watch_from(&*registry, from).await;
    for at in revisions {
        let (told, changes) = next(&mut *watch).await;
        assert_eq!((told, changes.len()), (at, TRANSACTION_OPERATIONS_MAX));
    }
}

/// An etcd with lower limits than the port says so, and nothing happens.
#[tokio::test]
async fn lower_limits_of_etcd_are_told() {
    let limits = ["--max-txn-ops", "20", "--max-request-bytes", "20000"];
    let Some(etcd) = or_skip("registry::etcd", Etcd::start_with(&limits)) else { return };
    let registry = open(longest(etcd.endpoint())).await;
    let value = "v".repeat(VALUE_BYTES_MAX);
    for (count, wanted) in [(21, "too many operations"), (20, "too large")] {
        let puts: Vec<_> = (0..count).map(|i| put(&key(i), &value)).collect();
        match bounded(registry.transact(all(puts))).await {
            Err(RegistryError::Invalid { what: "transaction", problem }) => {
                assert!(problem.contains(wanted), "{problem}");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(bounded(registry.list("")).await.unwrap().entries, []);
}

/// The end of a lease is one revision, also where etcd sends it in pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_larger_than_a_message_is_told_whole() {
    // Some 2.5 MiB of deletions; etcd sends at most 2 MiB in one piece.
    const KEYS: usize = 36 * TRANSACTION_OPERATIONS_MAX;
    let Some(etcd) = etcd() else { return };
    let registry = open(longest(etcd.endpoint())).await;
    let lease = registry.grant_lease(std::time::Duration::from_secs(600)).await.unwrap();
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    for part in keys.chunks(TRANSACTION_OPERATIONS_MAX) {
        let puts: Vec<_> = part.iter().map(|key| put_under(Some(lease), key, "x")).collect();
        bounded(registry.transact(all(puts))).await.unwrap();
    }
    let from = latest(&*registry).await.next();
    let mut live = watch_from(&*registry, from).await;
    bounded(registry.revoke_lease(lease)).await.unwrap();
    let after = perform(&*registry, [put("after", "x")]).await;
    let mut late = watch_from(&*registry, from).await;
    for watch in [&mut live, &mut late] {
        let (told, changes) = next(&mut **watch).await;
        assert_eq!((told, changes.len()), (from, KEYS));
        assert_eq!(next(&mut **watch).await.0, after);
    }
}
