//! Cases about reading, writing and conditions.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{
    RegistryUnderTest, assert_conflict, assert_invalid, bounded, delete, get, perform, put,
    revision, transaction,
};
use crate::{
    Condition, KEY_BYTES_MAX, Operation, Registry, RegistryError, Revision,
    TRANSACTION_OPERATIONS_MAX, Transaction, VALUE_BYTES_MAX,
};

/// A read sees the last write, with the revision that the write was told.
pub async fn what_is_put_is_read(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    assert_eq!(get(&*registry, "a/b").await, None);
    for value in ["one", "", "two"] {
        let written = perform(&*registry, [put("a/b", value)]).await;
        let entry = get(&*registry, "a/b").await.expect("there");
        assert_eq!((&*entry.key, &*entry.value), ("a/b", value.as_bytes()));
        assert_eq!((entry.modified, entry.lease), (written, None));
        assert_eq!(revision(&*registry).await, written);
    }
    let bytes: Bytes = (0..=255).collect();
    let operation = Operation::Put { key: "any".to_owned(), value: bytes.clone(), lease: None };
    perform(&*registry, [operation]).await;
    assert_eq!(get(&*registry, "any").await.expect("there").value, bytes);
    perform(&*registry, [delete("a/b")]).await;
    assert_eq!(get(&*registry, "a/b").await, None);
}

/// Each condition holds when it says, and the first that does not is named.
pub async fn conditions_are_checked(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let first = perform(&*registry, [put("k", "1")]).await;
    let at = perform(&*registry, [put("k", "2")]).await;
    let absent = |key: &str| Condition::Absent(key.to_owned());
    let present = |key: &str| Condition::Present(key.to_owned());
    let unchanged = |key: &str, at| Condition::Unchanged(key.to_owned(), at);
    for failing in [
        absent("k"),
        present("none"),
        unchanged("k", first),
        unchanged("k", at.next()),
        unchanged("none", at),
        unchanged("none", Revision(0)),
    ] {
        let key = failing.key().to_owned();
        for conditions in [
            vec![failing.clone()],
            vec![present("k"), failing.clone()],
            vec![failing.clone(), absent("k")],
        ] {
            let operations = vec![put("k", "lost"), put("none", "lost")];
            let outcome = bounded(registry.transact(Transaction { conditions, operations })).await;
            assert_conflict(outcome, &key, at);
        }
    }
    let holding = [absent("none"), present("k"), unchanged("k", at)];
    let outcome = bounded(registry.transact(transaction(holding, [put("k", "3")]))).await;
    assert!(outcome.expect("all hold") > at);
    assert_eq!(get(&*registry, "k").await.expect("there").value, "3");
}

/// Of two that saw the same state one wins; the other is told the revision and changes nothing.
pub async fn a_loser_changes_nothing(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let seen = perform(&*registry, [put("k", "seen"), put("other", "kept")]).await;
    let unchanged = || Condition::Unchanged("k".to_owned(), seen);
    let won = transaction([unchanged()], [put("k", "won")]);
    let won = bounded(registry.transact(won)).await.expect("the first wins");
    let lost = transaction([unchanged()], [put("k", "lost"), delete("other"), put("new", "x")]);
    assert_conflict(bounded(registry.transact(lost)).await, "k", won);
    let listing = bounded(registry.list("")).await.expect("listed");
    assert_eq!(listing.revision, won);
    let values: Vec<_> = listing.entries.iter().map(|e| (&*e.key, &*e.value)).collect();
    assert_eq!(values, [("k", &b"won"[..]), ("other", b"kept")]);
}

/// All operations of a transaction carry its one revision, the next one up.
pub async fn transactions_happen_at_one_revision(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let before = perform(&*registry, [put("b", "old"), put("d", "old")]).await;
    let at = perform(&*registry, [put("c", "new"), delete("d"), put("b", "new")]).await;
    assert!(at > before);
    let listing = bounded(registry.list("")).await.expect("listed");
    assert_eq!(listing.revision, at);
    let keys: Vec<_> = listing.entries.iter().map(|e| (&*e.key, e.modified)).collect();
    assert_eq!(keys, [("b", at), ("c", at)]);
}

/// A transaction that writes a key twice is refused, whichever way.
pub async fn a_key_is_written_at_most_once(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let before = perform(&*registry, [put("k", "kept")]).await;
    for operations in [
        [put("x", "1"), put("k", "2"), put("k", "3")],
        [put("x", "1"), put("k", "2"), delete("k")],
        [delete("k"), put("x", "1"), put("k", "2")],
        [delete("k"), delete("k"), put("x", "1")],
    ] {
        assert_invalid(
            bounded(registry.transact(transaction([], operations))).await,
            "transaction",
        );
    }
    assert_eq!(revision(&*registry).await, before);
    assert_eq!(get(&*registry, "x").await, None);
    assert_eq!(get(&*registry, "k").await.expect("there").value, "kept");
}

/// Deleting a missing key is no error and, alone, no change; so is a transaction of nothing.
pub async fn deleting_what_is_missing_changes_nothing(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let before = perform(&*registry, [put("k", "1")]).await;
    assert_eq!(perform(&*registry, [delete("none")]).await, before);
    assert_eq!(perform(&*registry, []).await, before);
    assert_eq!(revision(&*registry).await, before);
    let at = perform(&*registry, [delete("none"), delete("k")]).await;
    assert!(at > before);
    assert_eq!(revision(&*registry).await, at);
}

/// What is at its bound is taken, what is over it refused, and nothing is changed then.
pub async fn bounds_are_kept(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let key = "k".repeat(KEY_BYTES_MAX);
    let value = "v".repeat(VALUE_BYTES_MAX);
    let before = perform(&*registry, [put(&key, &value)]).await;
    assert_eq!(get(&*registry, &key).await.expect("there").value, value);

    for bad in ["", "a b", "a\nb", "\u{e9}", "a\0", "k\x7f", &"k".repeat(KEY_BYTES_MAX + 1)] {
        for bad in [
            transaction([], [put("x", "1"), put(bad, "1")]),
            transaction([], [put("x", "1"), delete(bad)]),
            transaction([Condition::Absent(bad.to_owned())], [put("x", "1")]),
        ] {
            assert_invalid(bounded(registry.transact(bad)).await, "key");
        }
        assert_eq!(get(&*registry, bad).await, None);
    }
    let large = "v".repeat(VALUE_BYTES_MAX + 1);
    let large = transaction([], [put("x", "1"), put("y", &large)]);
    assert_invalid(bounded(registry.transact(large)).await, "value");

    let many = |count: usize| Transaction {
        conditions: vec![Condition::Absent("x".to_owned()); count],
        operations: (0..count).map(|i| put(&format!("many/{i}"), "1")).collect(),
    };
    let max = TRANSACTION_OPERATIONS_MAX;
    let over = Transaction { conditions: Vec::new(), ..many(max + 1) };
    assert_invalid(bounded(registry.transact(over)).await, "transaction");
    let over = Transaction { operations: Vec::new(), ..many(max + 1) };
    assert_invalid(bounded(registry.transact(over)).await, "transaction");
    assert_eq!(revision(&*registry).await, before);
    assert!(bounded(registry.transact(many(max))).await.expect("at its bound") > before);
}

/// A listing holds the keys that begin with its prefix, all of them, in their order.
pub async fn listings_are_of_their_prefix(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let keys = ["a", "a/", "a/1", "a/10", "a/2", "a0", "b/1", "~"];
    for key in keys.iter().rev() {
        perform(&*registry, [put(key, "1")]).await;
    }
    for prefix in ["", "a", "a/", "a/1", "a/1/", "b", "c", "~", "~~", "\u{e9}"] {
        let listing = bounded(registry.list(prefix)).await.expect("listed");
        let listed: Vec<_> = listing.entries.iter().map(|entry| &*entry.key).collect();
        let wanted: Vec<_> = keys.into_iter().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(listed, wanted, "{prefix}");
    }
}

/// While two keys are always written together, no listing shows one without the other.
pub async fn readers_see_all_of_a_transaction_or_none(subject: impl RegistryUnderTest) {
    const ROUNDS: usize = 100;
    let registry = subject.registry();
    perform(&*registry, [put("p/1", "0"), put("p/2", "0")]).await;
    let mut tasks = JoinSet::new();
    let writer = subject.registry();
    tasks.spawn(async move {
        for round in 1..=ROUNDS {
            let value = round.to_string();
            perform(&*writer, [put("p/1", &value), put("p/2", &value)]).await;
        }
    });
    loop {
        let listing = bounded(registry.list("p/")).await.expect("listed");
        let [one, two] = &*listing.entries else { panic!("{listing:?}") };
        assert_eq!((&one.value, one.modified), (&two.value, two.modified));
        assert!(one.modified <= listing.revision);
        if one.value == ROUNDS.to_string() {
            break;
        }
        tokio::task::yield_now().await;
    }
    bounded(tasks.join_all()).await;
}

/// Several that read, add one and write if unchanged count to their sum.
pub async fn concurrent_increments_lose_nothing(subject: impl RegistryUnderTest) {
    const WRITERS: usize = 4;
    const INCREMENTS: usize = 25;
    async fn increment(registry: &dyn Registry) -> Revision {
        loop {
            let entry = get(registry, "count").await.expect("there");
            let count: usize = str::from_utf8(&entry.value).expect("text").parse().expect("number");
            let unchanged = Condition::Unchanged("count".to_owned(), entry.modified);
            let next = transaction([unchanged], [put("count", &(count + 1).to_string())]);
            match bounded(registry.transact(next)).await {
                Ok(revision) => return revision,
                Err(RegistryError::Conflict { revision, .. }) => assert!(revision > entry.modified),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    let registry = subject.registry();
    perform(&*registry, [put("count", "0")]).await;
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let registry = subject.registry();
        writers.spawn(async move {
            let mut revisions = Vec::new();
            for _ in 0..INCREMENTS {
                revisions.push(increment(&*registry).await);
            }
            assert!(revisions.is_sorted_by(|a, b| a < b));
        });
    }
    bounded(writers.join_all()).await;
    let count = get(&*registry, "count").await.expect("there").value;
    assert_eq!(count, (WRITERS * INCREMENTS).to_string());
}
