//! What people ask for while a coordinator acts: done once, whoever acts and whenever it is lost.

use std::sync::Arc;
use std::time::Duration;

use nautilus_registry::Operation;
use nautilus_registry::layout::{CordonKind, Key, LeafName, Note};
use nautilus_types::PartitionId;

use super::world::{World, group, leaf_name};
use crate::RawConfig;
use crate::operate::{Change, apply};

fn note() -> Note {
    Note { owner: "sre".to_owned(), reason: "a test".to_owned() }
}

fn move_to(partition: u32, to: Option<&str>) -> Change {
    Change::Move { partition: PartitionId(partition), to: to.map(leaf_name), note: note() }
}

fn mark(leaf: &str, kind: CordonKind, ttl: Option<Duration>) -> Change {
    Change::Cordon { leaf: leaf_name(leaf), kind, note: note(), placed_unix_ms: 1, ttl }
}

async fn ask(world: &World, change: &Change) {
    apply(world.registry.as_ref(), &group(), change).await.expect("written");
}

#[tokio::test(start_paused = true)]
async fn a_move_is_made_before_it_breaks_and_stays() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 2);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    world.settle(&[&a, &b], 2).await;
    ask(&world, &move_to(0, Some("leaf-b"))).await;
    let moving = world.until("a move", |it| it.of(0).retiring.is_some()).await;
    assert!(moving.requests.is_empty(), "it goes with the assignment");
    assert_eq!(
        (moving.of(0).owner.leaf.as_str(), &*moving.of(0).reason),
        ("leaf-b", "OPERATOR_MOVE")
    );
    let stored = world.settle(&[&a, &b], 2).await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2), (1, "leaf-b", 1)]);
    assert!(stored.of(0).is_pinned);
    let metric = |name: &str| coordinator.metric(name).expect("there");
    assert_eq!(metric("nautilus_coordinator_pinned_partitions"), "1");
    assert_eq!(metric("nautilus_coordinator_move_requests"), "0");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_done_is_told_and_forgotten() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 2);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    world.settle(&[&a, &b], 2).await;
    ask(&world, &mark("leaf-b", CordonKind::Cordon, None)).await;
    ask(&world, &move_to(0, Some("leaf-b"))).await;
    let told = |it: &super::world::Stored| {
        let refused = it.decision.iter().flat_map(|it| &it.refused_moves);
        refused.map(|it| (it.partition.0, it.why.clone())).collect::<Vec<_>>()
    };
    let expected = [(0, "LEAF_CORDONED".to_owned())];
    let stored = world.until("a refusal", |it| told(it) == expected).await;
    assert!(stored.requests.is_empty(), "both in one moment");
    assert_eq!(stored.of(0).owner.leaf, a.name);
    let refused = coordinator.metric("nautilus_coordinator_moves_refused_total").expect("there");
    assert_eq!(refused, "1");
    assert_eq!(coordinator.metric("nautilus_coordinator_cordoned_leaves").as_deref(), Some("1"));
    // It is told until a move of the same partition is made.
    ask(&world, &Change::Uncordon { leaf: b.name.clone() }).await;
    ask(&world, &move_to(0, None)).await;
    let stored = world.until("a move", |it| told(it).is_empty() && it.of(0).is_pinned).await;
    assert_eq!(stored.of(0).owner.leaf, b.name);
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_ends_by_itself_empties_the_leaf_until_then() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 4);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    world.settle(&[&a, &b], 4).await;
    ask(&world, &mark("leaf-b", CordonKind::Drain, Some(Duration::from_secs(600)))).await;
    let stored = world.settle(&[&a, &b], 4).await;
    assert!(stored.assignments.values().all(|it| it.owner.leaf == a.name));
    // Nobody takes the mark away.
    world.pass(600).await;
    let stored = world.settle(&[&a, &b], 4).await;
    assert_eq!(stored.assignments.values().filter(|it| it.owner.leaf == b.name).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cordon_that_does_not_read_still_keeps_partitions_away() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 4);
    let a = world.leaf("leaf-a").await;
    world.settle(&[&a], 4).await;
    let key = Key::Cordon { group: group(), leaf: leaf_name("leaf-b") }.to_string();
    let put = Operation::Put { key: key.clone(), value: vec![0xff; 9].into(), lease: None };
    world.write(put).await;
    let b = world.leaf("leaf-b").await;
    let stored = world.settle(&[&a, &b], 4).await;
    assert!(stored.assignments.values().all(|it| it.owner.leaf == a.name));
    world.write(Operation::Delete(key)).await;
    let stored = world.settle(&[&a, &b], 4).await;
    assert_eq!(stored.assignments.values().filter(|it| it.owner.leaf == b.name).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn spares_stay_idle_and_replace_the_lost() {
    let world = World::new();
    let raw = RawConfig { partitions: 6, ..RawConfig::default() };
    let coordinator = world.coordinator_with(Arc::clone(&world.registry), raw);
    let mut leaves = Vec::new();
    for name in ["leaf-a", "leaf-b", "leaf-c", "leaf-d"] {
        leaves.push(world.leaf(name).await);
    }
    let all: Vec<_> = leaves.iter().collect();
    let stored = world.settle(&all, 6).await;
    let of = |stored: &super::world::Stored, name: &LeafName| {
        stored.assignments.values().filter(|it| it.owner.leaf == *name).count()
    };
    assert_eq!(leaves.iter().map(|it| of(&stored, &it.name)).collect::<Vec<_>>(), [2, 2, 2, 0]);
    let metric = |name: &str| coordinator.metric(name).expect("there");
    assert_eq!(metric("nautilus_coordinator_idle_leaves"), "1");
    assert_eq!(metric("nautilus_coordinator_spare_leaves_wanted"), "1");
    world.kill(&leaves[0]).await;
    let stored = world.settle(&all[1..], 6).await;
    assert_eq!(leaves.iter().map(|it| of(&stored, &it.name)).collect::<Vec<_>>(), [0, 2, 2, 2]);
}

/// Two coordinators on a registry that loses calls before and after they took effect: each wish comes true once.
#[tokio::test(start_paused = true)]
async fn whatever_is_lost_every_wish_is_answered_once() {
    for seed in 0..8 {
        let world = World::new();
        let faulty = world.lossy(seed);
        let first = world.coordinator_on(faulty.clone(), "c1", 4);
        let _second = world.coordinator_on(faulty, "c2", 4);
        let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
        world.settle(&[&a, &b], 4).await;
        ask(&world, &move_to(0, Some("leaf-b"))).await;
        ask(&world, &move_to(2, None)).await;
        ask(&world, &mark("leaf-z", CordonKind::Drain, None)).await;
        let c = world.leaf("leaf-z").await;
        // The one that acts goes in the middle of it.
        first.stop().await;
        let stored = world.settle(&[&a, &b, &c], 4).await;
        assert!(stored.requests.is_empty());
        for partition in [0, 2] {
            let it = stored.of(partition);
            assert_eq!((it.owner.leaf.as_str(), it.is_pinned), ("leaf-b", true), "{it:?}");
            assert_eq!(it.owner.epoch.0, 2, "moved once");
        }
        assert!(stored.assignments.values().all(|it| it.owner.leaf != c.name));
    }
}

/// Somebody else decides between the plan and its transaction: the request is gone, and nothing is written.
#[tokio::test(start_paused = true)]
async fn one_that_lost_its_lead_answers_nothing() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 2);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    let before = world.settle(&[&a, &b], 2).await;
    world.lead_by_hand("another").await;
    ask(&world, &move_to(0, Some("leaf-b"))).await;
    ask(&world, &move_to(1, Some("leaf-a"))).await;
    world.pass(600).await;
    let stored = world.stored().await;
    assert_eq!(stored.assignments, before.assignments);
    assert_eq!(stored.requests.len(), 2);
    // One is taken back, the other is done by whoever leads next.
    ask(&world, &Change::Withdraw { partition: PartitionId(1) }).await;
    world.write(Operation::Delete(Key::Coordinator { group: group() }.to_string())).await;
    let stored = world.settle(&[&a, &b], 2).await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2), (1, "leaf-b", 1)]);
    assert!(stored.requests.is_empty());
}
