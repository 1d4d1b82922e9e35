//! What a coordinator does when nothing is in its way, and when another one is.

use nautilus_registry::Operation;
use nautilus_registry::layout::{Key, Record};
use nautilus_types::PartitionId;

use super::world::{Leaf, World, group, leaf_name};

#[tokio::test(start_paused = true)]
async fn partitions_are_given_to_the_leaves_that_are_there() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 4);
    let said = world.until("a decision", |it| it.decision.is_some()).await;
    assert_eq!(said.decision.expect("a decision").unassigned.len(), 4);
    assert_eq!(said.leader.as_deref(), Some("c1"));
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    let stored = world.until("assignments", |it| it.is_settled(4)).await;
    let expected = [(0, "leaf-a", 1), (1, "leaf-b", 1), (2, "leaf-a", 1), (3, "leaf-b", 1)];
    assert_eq!(stored.owners(), expected);
    assert_eq!(stored.of(0).reason, "NEW_PARTITION");
    // And there they stay.
    assert_eq!(world.settle(&[&a, &b], 4).await, stored);
    assert_eq!(coordinator.metric("nautilus_coordinator_is_leader").as_deref(), Some("1"));
    assert_eq!(coordinator.metric("nautilus_coordinator_moves_total").as_deref(), Some("4"));
    coordinator.stop().await;
    assert_eq!(world.stored().await.leader, None, "the lease is given back");
}

#[tokio::test(start_paused = true)]
async fn a_lost_leaf_is_replaced_and_a_draining_one_emptied() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 2);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    world.settle(&[&a, &b], 2).await;
    world.kill(&a).await;
    let stored = world.until("a new owner", |it| it.of(0).owner.leaf == b.name).await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2), (1, "leaf-b", 1)]);

    world.settle(&[&b], 2).await;
    let c = world.leaf("leaf-c").await;
    world.register(&b, 1, true).await;
    let stored = world.until("moves", |it| it.of(1).retiring.is_some()).await;
    assert_eq!(stored.of(1).owner.leaf, c.name);
    // As long as the new owner does not serve, the old one is not let go.
    world.pass(60).await;
    assert!(world.stored().await.of(1).retiring.is_some());
    let stored = world.settle(&[&b, &c], 2).await;
    assert_eq!(stored.owners(), [(0, "leaf-c", 3), (1, "leaf-c", 2)]);
}

/// What the earlier life of a leaf announced does not end a move to its next one.
#[tokio::test(start_paused = true)]
async fn announcements_of_another_lease_do_not_count() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 1);
    let a = world.leaf("leaf-a").await;
    world.settle(&[&a], 1).await;
    let b = world.leaf("leaf-b").await;
    world.register(&a, 1, true).await;
    let moving = world.until("a move", |it| it.of(0).retiring.is_some()).await;
    // Leaf b starts again and registers anew; its first life's lease, and "serving", still stand.
    let again = Leaf {
        name: leaf_name("leaf-b"),
        lease: world
            .registry
            .grant_lease(std::time::Duration::from_secs(3_600))
            .await
            .expect("lease"),
    };
    world.register(&again, 2, false).await;
    world.announce(&b, PartitionId(0), &moving.of(0).owner).await;
    world.pass(60).await;
    assert_eq!(world.stored().await.assignments, moving.assignments);
    let stored = world.settle(&[&a, &again], 1).await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2)]);
}

#[tokio::test(start_paused = true)]
async fn a_standby_takes_over_when_the_first_is_stopped() {
    let world = World::new();
    let first = world.coordinator("c1", 2);
    world.until("a leader", |it| it.leader.is_some()).await;
    let second = world.coordinator("c2", 2);
    let (a, b) = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    let before = world.settle(&[&a, &b], 2).await;
    assert_eq!(before.leader.as_deref(), Some("c1"));
    assert_eq!(second.metric("nautilus_coordinator_is_leader").as_deref(), Some("0"));
    first.stop().await;
    let after = world.until("the other", |it| it.leader.as_deref() == Some("c2")).await;
    assert_eq!(after.assignments, before.assignments);
    world.pass(60).await;
    assert_eq!(world.stored().await.assignments, before.assignments, "nothing moves without need");
    world.kill(&a).await;
    let stored = world.until("a new owner", |it| it.of(0).owner.leaf == b.name).await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2), (1, "leaf-b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_lost_its_lead_writes_nothing_more() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 2);
    let a = world.leaf("leaf-a").await;
    let before = world.settle(&[&a], 2).await;
    // Somebody else leads. The lease lives on: only the condition of each transaction tells.
    world.lead_by_hand("another").await;
    world.kill(&a).await;
    let b = world.leaf("leaf-b").await;
    world.pass(600).await;
    let stored = world.stored().await;
    assert_eq!(stored.assignments, before.assignments);
    assert_eq!(stored.leader.as_deref(), Some("another"));
    assert_eq!(coordinator.metric("nautilus_coordinator_is_leader").as_deref(), Some("0"));
    let key = Key::Coordinator { group: group() }.to_string();
    world.write(Operation::Delete(key)).await;
    world.until("a new owner", |it| it.of(0).owner.leaf == b.name).await;
}

#[tokio::test(start_paused = true)]
async fn an_assignment_that_does_not_read_stops_all_changes() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 2);
    let a = world.leaf("leaf-a").await;
    let before = world.settle(&[&a], 2).await;
    let key = Key::Assignment { group: group(), partition: PartitionId(1) }.to_string();
    let damaged = Operation::Put { key: key.clone(), value: vec![0xff; 9].into(), lease: None };
    world.write(damaged).await;
    world.kill(&a).await;
    let b = world.leaf("leaf-b").await;
    world.pass(600).await;
    assert_eq!(world.stored().await.of(0), before.of(0), "nothing was changed");
    // A person puts it right.
    let record = Record::Assignment(group(), before.of(1).clone());
    world.put(&record, None).await;
    let stored = world
        .until("new owners", |it| it.assignments.len() == 2 && it.of(1).owner.leaf == b.name)
        .await;
    assert_eq!(stored.owners(), [(0, "leaf-b", 2), (1, "leaf-b", 2)]);
}
