//! A record that no replica can apply is passed over by all of them, by one decision in the log.

use std::time::Duration;

use bytes::Bytes;
use nautilus_leaf::RawConfig;
use nautilus_mutation_log::MutationLog as _;
use nautilus_proto::log::v1::{MutationRecord, Skip, mutation_record::Operation};
use nautilus_service::config::HumanDuration;
use nautilus_types::{Offset, PartitionId};
use prost::Message as _;

use crate::world::{GROUP_B, LEAF, LIFE, Running, Setup, World, ids, until};

async fn found(world: &World, leaf: &Running) -> Vec<String> {
    let answer = leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    let mut ids = ids(&answer);
    ids.sort();
    ids
}

/// The offsets that the log says are to be passed over.
async fn decisions(world: &World) -> Vec<u64> {
    let records = world.log.read(PartitionId(0), Offset(0), 1 << 20).await.expect("read");
    let decoded = records.iter().filter_map(|r| MutationRecord::decode(r.payload.clone()).ok());
    decoded
        .filter_map(|record| match record.operation {
            Some(Operation::Skip(skip)) => Some(skip.skipped_offset),
            _ => None,
        })
        .collect()
}

async fn skipped(leaf: &Running) -> Vec<u64> {
    leaf.status(0).await.skipped.iter().map(|skipped| skipped.offset).collect()
}

fn setup_b(world: &World) -> Setup {
    let change = |raw: &mut RawConfig| raw.replica_group = GROUP_B.to_owned();
    Setup { change, ..world.setup("leaf-b") }
}

#[tokio::test]
async fn a_record_at_fault_is_passed_over_by_every_replica() {
    let world = World::new().await;
    let one = world.start().await.serving().await;
    let two = world.start_in_group_b(setup_b(&world)).await.serving().await;
    world.append(world.upsert(world.first(), "a", "tide")).await;
    let one_bad = world.append_bytes(PartitionId(0), Bytes::from_static(b"\xff\xff")).await.0;
    world.append(world.upsert(world.first(), "c", "tide")).await;
    let mut nameless = world.upsert(world.first(), "d", "tide");
    nameless.operation = None;
    // Decisions may stand between the two already.
    let bytes = Bytes::from(nameless.encode_to_vec());
    let two_bad = world.append_bytes(PartitionId(0), bytes).await.0;
    world.append(world.upsert(world.first(), "e", "tide")).await;

    for leaf in [&one, &two] {
        assert_eq!(found(&world, leaf).await, ["a", "c", "e"]);
        assert_eq!(skipped(leaf).await, [one_bad, two_bad]);
        let status = leaf.status(0).await;
        assert_eq!(status.state, "SERVING");
        assert!(status.skipped[0].reason.contains("no mutation record"), "{status:?}");
    }
    let decided = decisions(&world).await;
    assert!(decided.contains(&one_bad) && decided.contains(&two_bad), "{decided:?}");
    assert!((2..=4).contains(&decided.len()), "each replica decides at most once: {decided:?}");
    one.stop().await;
    two.stop().await;

    // Whoever comes later finds the decisions and makes none.
    let late = world.start_on(world.log.clone(), &world.dir.path().join("late")).await;
    let late = late.serving().await;
    assert_eq!(found(&world, &late).await, ["a", "c", "e"]);
    assert_eq!(skipped(&late).await, [one_bad, two_bad]);
    assert_eq!(decisions(&world).await, decided);
    late.stop().await;
}

#[tokio::test]
async fn a_replica_that_applied_what_others_pass_over_is_made_anew() {
    let world = World::new().await;
    world.assign_all(LEAF).await;
    let change = |raw: &mut RawConfig| {
        raw.snapshot_interval = HumanDuration(Duration::from_secs(3_600));
        raw.snapshot_records = 3;
    };
    let leaf = world.start_as(Setup { change, ..world.setup(LEAF) }).await.serving().await;
    for id in ["a", "b", "c"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    // There is a snapshot that holds the record; it must not be used.
    until(async || (leaf.status(0).await.snapshot_offset == 3).then_some(())).await;
    let skip = Skip { skipped_offset: 1, reason: "lethal to others".to_owned() };
    let skip = world.record(world.first(), LIFE, Operation::Skip(skip));
    world.append(skip).await;

    until(async || (skipped(&leaf).await == [1]).then_some(())).await;
    leaf.until(0, "SERVING").await;
    assert_eq!(found(&world, &leaf).await, ["a", "c"]);
    leaf.stop().await;
    let leaf = world.start().await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "c"]);
    leaf.stop().await;
}

#[tokio::test]
async fn a_replica_that_can_apply_nothing_stops_instead_of_passing_all_over() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    for _ in 0..17 {
        world.append_bytes(PartitionId(0), Bytes::from_static(b"\xff\xff")).await;
    }
    let status = leaf.until(0, "FAILED").await;
    assert!(status.detail.contains("the program may be at fault"), "{}", status.detail);
    assert_eq!(decisions(&world).await.len(), 16);
    leaf.stop().await;
}
