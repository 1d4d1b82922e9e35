//! When leases end, with paused time; and that nothing else waits for a slow disk.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{bounded, perform, put};
use crate::embedded::batch::Batch;
use crate::embedded::leases::Leases;
use crate::embedded::state::State;
use crate::embedded::store::Store;
use crate::embedded::{EmbeddedConfig, EmbeddedRegistry, MonotonicClock};
use crate::{LeaseId, Registry, RegistryError, Revision};

fn paused() -> MonotonicClock {
    Arc::new(|| Instant::now().into_std())
}

/// Waits for the end of the lease's key and returns how long it was there since `start`.
async fn lifetime(registry: &EmbeddedRegistry, lease: LeaseId, start: Instant) -> Duration {
    let at = perform(registry, put("k", "x", Some(lease))).await;
    let mut watch = registry.watch("k", at.next()).await.expect("watches");
    watch.next().await.expect("its end");
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn leases_end_by_themselves_and_in_time() {
    let registry = EmbeddedRegistry::in_memory(paused());
    for ttl in [100, 101, 5_000, 3_600_000].map(Duration::from_millis) {
        let start = Instant::now();
        let lease = registry.grant_lease(ttl).await.expect("granted");
        let lived = lifetime(&registry, lease, start).await;
        assert!(lived >= ttl && lived <= ttl + Duration::from_millis(2), "{lived:?} for {ttl:?}");
    }
    let ttl = Duration::from_secs(3);
    let lease = registry.grant_lease(ttl).await.expect("granted");
    tokio::time::advance(ttl - Duration::from_millis(1)).await;
    let kept = Instant::now();
    registry.keep_alive(lease).await.expect("kept");
    let lived = lifetime(&registry, lease, kept).await;
    assert!(lived >= ttl && lived <= ttl + Duration::from_millis(2), "{lived:?} for {ttl:?}");
    registry.close().await;
}

#[tokio::test(start_paused = true)]
async fn the_shorter_of_two_leases_ends_first() {
    let registry = EmbeddedRegistry::in_memory(paused());
    let mut ends = Vec::new();
    for (key, seconds) in [("long", 9), ("short", 2), ("middle", 5)] {
        let lease = registry.grant_lease(Duration::from_secs(seconds)).await.expect("granted");
        perform(&registry, put(key, "x", Some(lease))).await;
    }
    let mut watch = registry.watch("", Revision(4)).await.expect("watches");
    for _ in 0..3 {
        let (_, gone) = watch.next().await.expect("an end");
        ends.extend(gone.iter().map(|change| change.key().to_owned()));
    }
    assert_eq!(ends, ["short", "middle", "long"]);
}

/// Commits when it is told to.
struct SlowStore {
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[async_trait]
impl Store for SlowStore {
    async fn commit(&mut self, _: &Batch) -> Result<(), RegistryError> {
        self.begun.notify_one();
        self.go_on.notified().await;
        Ok(())
    }

    async fn recover(&mut self) -> Result<Revision, RegistryError> {
        Err(RegistryError::Closed)
    }

    async fn close(self: Box<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn keeping_alive_and_reading_wait_for_no_disk() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let store = SlowStore { begun: Arc::clone(&begun), go_on: Arc::clone(&go_on) };
    let changes_max = EmbeddedConfig::HISTORY_CHANGES_MAX;
    let state = State::new(Revision(0), [].into(), changes_max, Leases::of_opening(1));
    let registry = Arc::new(EmbeddedRegistry::start(state, Box::new(store), paused()));
    let ttl = Duration::from_secs(2);
    let lease = registry.grant_lease(ttl).await.expect("granted");

    let mut writes = tokio::task::JoinSet::new();
    let writer = Arc::clone(&registry);
    writes.spawn(async move { writer.transact(put("k", "x", Some(lease))).await });
    bounded(begun.notified()).await;
    for _ in 0..10 {
        tokio::time::advance(ttl / 2).await;
        registry.keep_alive(lease).await.expect("kept alive beside the commit");
        assert_eq!(registry.get("k").await.expect("read"), None, "not committed yet");
    }
    go_on.notify_one();
    let written = bounded(writes.join_next()).await.expect("one").expect("no panic");
    assert_eq!(written.expect("committed"), Revision(1));
    assert!(registry.get("k").await.expect("read").is_some(), "its lease was kept");

    // The end of the lease is committed as slowly, and closing waits for it.
    tokio::time::advance(ttl * 2).await;
    bounded(begun.notified()).await;
    go_on.notify_one();
    bounded(registry.close()).await;
}

#[tokio::test(start_paused = true)]
async fn dropping_a_registry_wakes_its_watches() {
    let registry = EmbeddedRegistry::in_memory(paused());
    let mut watch = registry.watch("", Revision(1)).await.expect("watches");
    drop(registry);
    let woken = bounded(watch.next()).await;
    assert!(matches!(woken, Err(RegistryError::Closed)), "{woken:?}");
}

#[tokio::test(start_paused = true)]
async fn the_history_is_bounded_by_changes() {
    let leases = Leases::of_opening(1);
    let state = State::new(Revision(0), [].into(), 10, leases);
    let store = Box::new(crate::embedded::store::MemoryStore::default());
    let registry = EmbeddedRegistry::start(state, store, paused());
    let mut behind = registry.watch("k", Revision(1)).await.expect("watches");
    let mut elsewhere = registry.watch("other", Revision(1)).await.expect("watches");
    perform(&registry, put("other", "x", None)).await;
    elsewhere.next().await.expect("its change");
    for _ in 0..30 {
        perform(&registry, put("k", "x", None)).await;
        // Waits in vain, and learns how far it is.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(elsewhere.next()).as_mut().poll(&mut context).is_pending());
    }
    let oldest = Revision(22);
    let told = behind.next().await;
    assert!(
        matches!(told, Err(RegistryError::Compacted { asked: Revision(1), oldest: o }) if o == oldest),
        "{told:?}"
    );
    let refused = registry.watch("k", Revision(21)).await.err();
    assert!(matches!(refused, Some(RegistryError::Compacted { .. })), "{refused:?}");
    let mut kept = registry.watch("k", oldest).await.expect("watches");
    for revision in 22..=31 {
        assert_eq!(kept.next().await.expect("kept").0, Revision(revision));
    }
    perform(&registry, put("other", "y", None)).await;
    assert_eq!(elsewhere.next().await.expect("its change").0, Revision(32));
}
