//! A registry that fails: watches that never tell, calls that fail before or after they took effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use nautilus_registry::{
    Change, Entry, FaultPlan, Faulty, LeaseId, Listing, Registry, RegistryError, Revision,
    Transaction, Watch,
};

use super::world::World;

/// A registry with other watches than its own; counts writes.
struct Watched {
    inner: Arc<dyn Registry>,
    watches: Watches,
    writes: AtomicU64,
}

#[derive(Clone, Copy)]
enum Watches {
    Work,
    CannotBegin,
    EndAtOnce,
    TellNothing,
}

struct Ended;
struct Silent;

fn away() -> RegistryError {
    RegistryError::Unavailable("it is away".into())
}

impl Watched {
    fn new(inner: &Arc<dyn Registry>, watches: Watches) -> Arc<Self> {
        Arc::new(Self { inner: Arc::clone(inner), watches, writes: AtomicU64::new(0) })
    }
}

#[async_trait]
impl Registry for Watched {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        self.inner.list(prefix).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        self.inner.transact(transaction).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        match self.watches {
            Watches::Work => self.inner.watch(prefix, from).await,
            Watches::CannotBegin => Err(away()),
            Watches::EndAtOnce => Ok(Box::new(Ended)),
            Watches::TellNothing => Ok(Box::new(Silent)),
        }
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        self.inner.grant_lease(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.inner.revoke_lease(lease).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[async_trait]
impl Watch for Ended {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        Err(away())
    }
}

#[async_trait]
impl Watch for Silent {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        std::future::pending().await
    }
}

/// Leaves come, move and go; the group settles each time.
async fn lives_through(world: &World) {
    let a = world.leaf("leaf-a").await;
    world.settle(&[&a], 4).await;
    let b = world.leaf("leaf-b").await;
    let even = world.settle(&[&a, &b], 4).await;
    assert_eq!(even.owners().iter().filter(|(_, leaf, _)| *leaf == "leaf-a").count(), 2);
    world.kill(&a).await;
    let stored = world.settle(&[&b], 4).await;
    assert!(stored.owners().iter().all(|(_, leaf, _)| *leaf == "leaf-b"));
}

#[tokio::test(start_paused = true)]
async fn without_working_watches_it_acts_by_reading_again() {
    for watches in [Watches::CannotBegin, Watches::EndAtOnce, Watches::TellNothing] {
        let world = World::new();
        let watched = Watched::new(&world.registry, watches);
        let first = world.coordinator_on(watched.clone(), "c1", 4);
        let second = world.coordinator_on(watched, "c2", 4);
        lives_through(&world).await;
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_repeated_until_it_succeeds() {
    for seed in 0..8 {
        let world = World::new();
        let faulty = world.lossy(seed);
        let first = world.coordinator_on(faulty.clone(), "c1", 4);
        let second = world.coordinator_on(faulty, "c2", 4);
        lives_through(&world).await;
        first.stop().await;
        second.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_an_election_does_nothing() {
    let world = World::new();
    let _first = world.coordinator("c1", 4);
    world.until("a leader", |it| it.leader.is_some()).await;
    let watched = Watched::new(&world.registry, Watches::Work);
    let second = world.coordinator_on(watched.clone(), "c2", 4);
    lives_through(&world).await;
    assert_eq!(watched.writes.load(Ordering::SeqCst), 0);
    assert_eq!(second.metric("nautilus_coordinator_idle_leaves").as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_cut_off_stops_acting_and_another_takes_over() {
    let world = World::new();
    let faulty = Arc::new(Faulty::new(Arc::clone(&world.registry), FaultPlan::default()));
    let first = world.coordinator_on(faulty.clone(), "c1", 4);
    world.until("a leader", |it| it.leader.as_deref() == Some("c1")).await;
    let _second = world.coordinator("c2", 4);
    faulty.set_down(true);
    world.until("the other", |it| it.leader.as_deref() == Some("c2")).await;
    assert_eq!(first.metric("nautilus_coordinator_is_leader").as_deref(), Some("0"));
    lives_through(&world).await;
    // It is back, and stands by.
    faulty.set_down(false);
    world.pass(60).await;
    assert_eq!(world.stored().await.leader.as_deref(), Some("c2"));
}
