//! Cases about leases and the keys that live by them.

use std::time::Duration;

use super::{
    RegistryUnderTest, assert_invalid, assert_lease_gone, bounded, changes, delete, deleted, get,
    grant, next, perform, put, put_under, transaction, watch_from_now, written,
};
use crate::{LeaseId, Registry, Watch};

/// Waits until the watch tells that the key is deleted.
async fn wait_deleted(watch: &mut dyn Watch, key: &str) {
    while !changes(next(watch).await).contains(&deleted(key)) {}
}

/// Waits until a lease of the shortest time, granted and ended now, is over.
///
/// Time has passed then, and the registry has taken note of it.
async fn wait_noticed(subject: &impl RegistryUnderTest, registry: &dyn Registry) {
    let mut watch = watch_from_now(registry, "noticed").await;
    let short = Duration::from_millis(100);
    let lease = grant(registry, short).await;
    let put = bounded(registry.transact(transaction([], [put_under(lease, "noticed")]))).await;
    subject.pass(short * 2).await;
    if put.is_ok() {
        wait_deleted(&mut *watch, "noticed").await;
    }
}

/// A lease that is not kept alive ends, and all its keys go at one revision, which watchers see.
pub async fn expiry_deletes_a_leases_keys_at_one_revision(subject: impl RegistryUnderTest) {
    let ttl = subject.ttl();
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "l/").await;
    let lease = grant(&*registry, ttl).await;
    let first = perform(&*registry, [put_under(lease, "l/1"), put("l/stays", "x")]).await;
    let second = perform(&*registry, [put_under(lease, "l/2")]).await;
    let mut put = changes(next(&mut *watch).await);
    put.extend(changes(next(&mut *watch).await));
    put.sort();
    assert_eq!(put, [written("l/1", "alive"), written("l/2", "alive"), written("l/stays", "x")]);
    assert_eq!(
        get(&*registry, "l/1").await.map(|e| (e.modified, e.lease)),
        Some((first, Some(lease)))
    );

    subject.pass(ttl * 2).await;
    let end = next(&mut *watch).await;
    let at = end.0;
    assert!(at > second);
    let mut gone = changes(end);
    gone.sort();
    assert_eq!(gone, [deleted("l/1"), deleted("l/2")]);
    let listing = bounded(registry.list("l/")).await.expect("listed");
    assert!(listing.revision >= at);
    let left: Vec<_> = listing.entries.iter().map(|e| &*e.key).collect();
    assert_eq!(left, ["l/stays"]);
    assert_lease_gone(bounded(registry.keep_alive(lease)).await, lease);
}

/// However close to its end, a lease and its keys are there before their time is over.
pub async fn leases_never_end_early(subject: impl RegistryUnderTest) {
    let ttl = subject.ttl();
    let registry = subject.registry();
    for part in [1, 2, 4] {
        let before = subject.now();
        let lease = grant(&*registry, ttl).await;
        perform(&*registry, [put_under(lease, "k")]).await;
        // Close to the end after several steps, each noticed by the registry.
        for _ in 0..part {
            subject.pass(ttl * 3 / 4 / part).await;
            wait_noticed(&subject, &*registry).await;
            let entry = get(&*registry, "k").await;
            let passed = subject.now() - before;
            assert!(entry.is_some() || passed >= ttl, "gone after {passed:?} of {ttl:?}");
        }
        let mut watch = watch_from_now(&*registry, "k").await;
        if get(&*registry, "k").await.is_some() {
            subject.pass(ttl).await;
            wait_deleted(&mut *watch, "k").await;
        }
        let passed = subject.now() - before;
        assert!(passed >= ttl, "gone after {passed:?} of {ttl:?}");
    }
}

/// A lease that is kept alive goes on for several of its times; then its keys go.
pub async fn keeping_alive_extends(subject: impl RegistryUnderTest) {
    let ttl = subject.ttl();
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "k").await;
    let lease = grant(&*registry, ttl).await;
    perform(&*registry, [put_under(lease, "k")]).await;
    let mut last = subject.now();
    for _ in 0..5 {
        subject.pass(ttl / 2).await;
        wait_noticed(&subject, &*registry).await;
        let sent = subject.now();
        let kept = bounded(registry.keep_alive(lease)).await;
        let passed = subject.now() - last;
        assert!(kept.is_ok() || passed >= ttl, "gone {passed:?} after the last keep-alive");
        kept.expect("kept alive within its time; the machine is too slow for this test");
        last = sent;
    }
    assert!(get(&*registry, "k").await.is_some());
    assert_eq!(changes(next(&mut *watch).await), [written("k", "alive")]);
    subject.pass(ttl * 2).await;
    assert_eq!(changes(next(&mut *watch).await), [deleted("k")]);
}

/// Revoking ends a lease now, and not another one. Doing it again is no error.
pub async fn revoking_ends_a_lease(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let long = Duration::from_secs(60 * 60);
    let (lease, other) = (grant(&*registry, long).await, grant(&*registry, long).await);
    assert_ne!(lease, other);
    let before = perform(
        &*registry,
        [put_under(lease, "r/1"), put_under(lease, "r/2"), put_under(other, "r/3")],
    )
    .await;
    let mut watch = bounded(registry.watch("r/", before.next())).await.expect("watches");
    bounded(registry.revoke_lease(lease)).await.expect("revoked");
    assert_eq!(get(&*registry, "r/1").await, None, "gone when the call returns");
    let mut gone = changes(next(&mut *watch).await);
    gone.sort();
    assert_eq!(gone, [deleted("r/1"), deleted("r/2")]);
    bounded(registry.revoke_lease(lease)).await.expect("gone already");
    assert_lease_gone(bounded(registry.keep_alive(lease)).await, lease);
    bounded(registry.keep_alive(other)).await.expect("another one");
    assert!(get(&*registry, "r/3").await.is_some());
}

/// A transaction that puts a key under a lease that is gone, or never was, changes nothing.
pub async fn dead_leases_take_no_keys(subject: impl RegistryUnderTest) {
    let ttl = subject.ttl();
    let registry = subject.registry();
    let mut watch = watch_from_now(&*registry, "k").await;
    let revoked = grant(&*registry, ttl).await;
    bounded(registry.revoke_lease(revoked)).await.expect("revoked");
    let expired = grant(&*registry, ttl).await;
    perform(&*registry, [put_under(expired, "k")]).await;
    subject.pass(ttl * 2).await;
    wait_deleted(&mut *watch, "k").await;
    let before = perform(&*registry, [put("kept", "1")]).await;
    for dead in [revoked, expired, LeaseId(u64::MAX >> 1)] {
        let operations = [put("x", "1"), put_under(dead, "k"), delete("kept")];
        let outcome = bounded(registry.transact(transaction([], operations))).await;
        assert_lease_gone(outcome, dead);
        assert_lease_gone(bounded(registry.keep_alive(dead)).await, dead);
        bounded(registry.revoke_lease(dead)).await.expect("no error");
    }
    let listing = bounded(registry.list("")).await.expect("listed");
    assert_eq!((listing.revision, listing.entries.len()), (before, 1));
}

/// A key put again lives by the lease of its last put, or by none.
pub async fn a_key_follows_its_last_lease(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let long = Duration::from_secs(60 * 60);
    let (first, second) = (grant(&*registry, long).await, grant(&*registry, long).await);
    perform(&*registry, [put_under(first, "moved"), put_under(first, "freed")]).await;
    perform(&*registry, [put_under(second, "moved"), put("freed", "x"), put("bound", "x")]).await;
    perform(&*registry, [put_under(second, "bound")]).await;
    bounded(registry.revoke_lease(first)).await.expect("revoked");
    for key in ["moved", "freed", "bound"] {
        assert!(get(&*registry, key).await.is_some(), "{key}");
    }
    bounded(registry.revoke_lease(second)).await.expect("revoked");
    let left = bounded(registry.list("")).await.expect("listed").entries;
    let left: Vec<_> = left.iter().map(|e| (&*e.key, e.lease)).collect();
    assert_eq!(left, [("freed", None)]);
}

/// Leases shorter than 100 ms and longer than an hour are refused.
pub async fn times_to_live_are_bounded(subject: impl RegistryUnderTest) {
    let registry = subject.registry();
    let hour = Duration::from_secs(60 * 60);
    for ttl in [Duration::ZERO, Duration::from_millis(99), hour + Duration::from_millis(1)] {
        assert_invalid(bounded(registry.grant_lease(ttl)).await, "lease");
    }
    for ttl in [Duration::from_millis(100), hour] {
        bounded(registry.grant_lease(ttl)).await.expect("granted");
    }
}
