//! What stops a partition stops only that one, and says why.

use bytes::Bytes;
use nautilus_proto::log::v1::MutationRecord;
use nautilus_types::PartitionId;
use prost::Message as _;
use tonic::Code;

use crate::world::{World, ids, open_log, refusal};

/// Makes the payload of a bad record.
type Poison = fn(&World) -> Bytes;

/// A sound record of partition 0, changed to be one that a newer program or another cluster may well apply.
fn poison(world: &World, change: fn(&mut MutationRecord)) -> Bytes {
    let mut record = world.upsert(world.first(), "b", "tide");
    change(&mut record);
    Bytes::from(record.encode_to_vec())
}

#[tokio::test]
async fn a_record_for_another_reader_stops_its_partition_only() {
    let poisons: [(Poison, &str); 4] = [
        (|world| poison(world, |record| record.schema_version = 2), "schema version 2"),
        (|world| poison(world, |record| record.cluster_id = vec![0; 16]), "another cluster"),
        (|world| poison(world, |record| record.log_generation += 1), "log generation"),
        (
            |world| Bytes::from(world.upsert(&world.namespaces[1], "b", "").encode_to_vec()),
            "partition 1",
        ),
    ];
    for (poison, problem) in poisons {
        let world = World::new().await;
        let leaf = world.start().await.serving().await;
        world.append(world.upsert(world.first(), "a", "tide")).await;
        world.append_bytes(PartitionId(0), poison(&world)).await;
        world.append(world.upsert(world.first(), "c", "tide")).await;

        let status = leaf.until(0, "FAILED").await;
        assert!(status.detail.contains("offset 1"), "{}", status.detail);
        assert!(status.detail.contains(problem), "{}", status.detail);
        // Applied up to the poison, and no further.
        assert_eq!(status.label.expect("labelled").next_offset, 1);
        let refused = refusal(leaf.search(world.search(world.first(), "tide")).await);
        assert_eq!(refused, (Code::Unavailable, "PARTITION_FAILED".to_owned()));

        let other = &world.namespaces[1];
        world.append(world.upsert(other, "x", "tide")).await;
        let answer = leaf.search(world.search(other, "tide")).await.expect("the other goes on");
        assert_eq!(ids(&answer), ["x"]);
        leaf.stop().await;
    }
}

#[tokio::test]
async fn a_folder_of_another_cluster_is_left_alone() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(world.first(), "a", "tide")).await;
    leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    leaf.stop().await;

    let stranger = open_log(&world.dir.path().join("another-log")).await;
    let folder = world.dir.path().join("leaf");
    let leaf = world.start_on(stranger, &folder).await;
    for partition in 0..2 {
        let status = leaf.until(partition, "FAILED").await;
        assert!(status.detail.contains("the folder holds partition"), "{}", status.detail);
    }
    leaf.stop().await;

    let leaf = world.start().await.serving().await;
    let answer = leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    assert_eq!(ids(&answer), ["a"]);
    leaf.stop().await;
}
