//! Partitions come and go by the registry's word, and nothing else.

use std::time::Duration;

use nautilus_registry::layout::{Key, LeafName, LeafRegistration, Replica, ReplicaState};
use nautilus_service::config::HumanDuration;
use tonic::Code;

use crate::flaky::Flaky;
use crate::world::{Setup, World, group, holder, ids, refusal, until};

fn serves(epoch: u64) -> impl Fn(Option<&Replica>) -> bool {
    move |replica| {
        replica.is_some_and(|replica| {
            replica.state == ReplicaState::Serving && replica.epoch.0 == epoch
        })
    }
}

async fn registration(world: &World, leaf: &str) -> Option<LeafRegistration> {
    let leaf = LeafName::new(leaf).expect("valid");
    let key = Key::Leaf { group: group(), leaf }.to_string();
    let entry = world.registry.get(&key).await.expect("answered")?;
    Some(LeafRegistration::decode(&entry.value).expect("sound"))
}

#[tokio::test]
async fn a_partition_moves_while_somebody_always_answers() {
    let world = World::new().await;
    let notes = world.first();
    world.append(world.upsert(notes, "a", "tide")).await;
    let old = world.start_as(world.setup("old")).await;
    let new = world.start_as(world.setup("new")).await;
    world.assign(0, holder("old", 1), None).await;
    let replica = world.until_announced(0, "old", serves(1)).await.expect("announced");
    assert_eq!((&*replica.address, replica.build), (&*old.address, None));
    let registered = registration(&world, "old").await.expect("registered");
    assert_eq!((&*registered.address, registered.is_draining), (&*old.address, false));
    assert!(new.held(0).await.is_none(), "nobody assigned it there");
    let refused = refusal(new.search(world.search(notes, "tide")).await);
    assert_eq!(refused, (Code::FailedPrecondition, "PARTITION_NOT_SERVED".to_owned()));

    // Make: the new owner comes up while the old one serves under its epoch.
    world.assign(0, holder("new", 2), Some(holder("old", 1))).await;
    world.until_announced(0, "new", serves(2)).await;
    world.append(world.upsert(notes, "b", "tide")).await;
    for (leaf, epoch) in [(&old, 1), (&new, 2)] {
        let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
        assert_eq!(ids(&answer).len(), 2);
        assert_eq!(answer.label.expect("labelled").epoch, epoch);
    }
    assert!(serves(1)(world.announced(0, "old").await.as_ref()));

    // Break: the old one withdraws at once, answers for a while, and is gone with its folder.
    world.assign(0, holder("new", 2), None).await;
    world.until_announced(0, "old", |replica| replica.is_none()).await;
    if old.held(0).await.is_some_and(|status| status.state == "DRAINING") {
        assert!(old.search(world.search(notes, "tide")).await.is_ok(), "still answers");
    }
    old.until_gone(0).await;
    let folder = world.dir.path().join("old");
    until(async || (folder.read_dir().expect("folder").count() == 0).then_some(())).await;
    assert!(new.search(world.search(notes, "tide")).await.is_ok());

    // And back, to an empty disk, under a newer epoch.
    world.assign(0, holder("old", 3), Some(holder("new", 2))).await;
    world.until_announced(0, "old", serves(3)).await;
    let answer = old.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.label.expect("labelled").epoch), (2, 3));
    // A registry that forgot its last changes takes nothing away, and nothing is announced by its word.
    world.assign(0, holder("new", 2), None).await;
    world.assign(1, holder("old", 1), None).await;
    world.until_announced(1, "old", serves(1)).await;
    assert_eq!(old.status(0).await.state, "SERVING");

    new.stop().await;
    old.stop().await;
    assert!(registration(&world, "old").await.is_none(), "its lease is given back");
    assert!(world.announced(1, "old").await.is_none());
}

#[tokio::test]
async fn a_newer_epoch_goes_on_with_what_is_there() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(notes, "a", "tide")).await;
    world.until_announced(0, "leaf-7", serves(1)).await;
    // While it serves.
    world.assign(0, holder("leaf-7", 4), None).await;
    world.until_announced(0, "leaf-7", serves(4)).await;
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!((ids(&answer).len(), answer.label.expect("labelled").epoch), (1, 4));
    // While it drains.
    world.assign(0, holder("elsewhere", 5), None).await;
    world.until_announced(0, "leaf-7", |replica| replica.is_none()).await;
    world.assign(0, holder("leaf-7", 6), None).await;
    world.until_announced(0, "leaf-7", serves(6)).await;
    leaf.stop().await;
    // From the folder of another epoch, on a disk that has it: what was applied is not applied again.
    world.assign(0, holder("leaf-7", 9), None).await;
    let leaf = world.start().await.serving().await;
    assert_eq!(leaf.status(0).await.durable_offset, 1);
    assert_eq!(leaf.status(0).await.label.expect("labelled").epoch, 9);
    leaf.stop().await;
}

fn short_lease(raw: &mut nautilus_leaf::RawConfig) {
    raw.lease_ttl = HumanDuration(Duration::from_millis(600));
    raw.lease_margin = HumanDuration(Duration::from_millis(100));
}

#[tokio::test]
async fn a_leaf_without_a_registry_serves_and_says_that_it_is_not_sure() {
    let world = World::new().await;
    let notes = world.first();
    world.append(world.upsert(notes, "a", "tide")).await;
    let flaky = Flaky::new(world.registry.clone());
    let setup = Setup { registry: flaky.clone(), change: short_lease, ..world.setup("leaf-7") };
    world.assign_all("leaf-7").await;
    let leaf = world.start_as(setup).await.serving().await;
    world.until_announced(0, "leaf-7", serves(1)).await;
    let is_uncertain = async || {
        let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
        assert_eq!(ids(&answer)[0], "a");
        answer.label.expect("labelled").is_lease_uncertain
    };
    until(async || (!is_uncertain().await).then_some(())).await;

    flaky.set_up(false);
    until(async || is_uncertain().await.then_some(())).await;
    // The lease is gone and with it what was announced; the leaf goes on, and applies what comes.
    world.until_announced(0, "leaf-7", |replica| replica.is_none()).await;
    world.append(world.upsert(notes, "b", "tide")).await;
    let answer = leaf.search(world.search(notes, "tide")).await.expect("answered");
    assert_eq!(ids(&answer).len(), 2);
    assert!(answer.label.expect("labelled").is_lease_uncertain);

    // Back: a new lease, registered and announced anew.
    flaky.set_up(true);
    world.until_announced(0, "leaf-7", serves(1)).await;
    assert!(registration(&world, "leaf-7").await.is_some());
    until(async || (!is_uncertain().await).then_some(())).await;
    leaf.stop().await;
}

#[tokio::test]
async fn a_leaf_starts_without_a_registry_and_waits_for_it() {
    let world = World::new().await;
    let flaky = Flaky::new(world.registry.clone());
    flaky.set_up(false);
    let setup = Setup { registry: flaky.clone(), change: short_lease, ..world.setup("leaf-7") };
    world.assign_all("leaf-7").await;
    let leaf = world.start_as(setup).await;
    assert!(leaf.held(0).await.is_none());
    flaky.set_up(true);
    leaf.serving().await.stop().await;
}
