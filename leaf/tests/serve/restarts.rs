//! A leaf goes on from what is on its disk; what it reads twice changes nothing.

use std::path::Path;

use nautilus_proto::leaf::v1::SearchResponse;

use crate::world::{Running, World, ids};

/// What an answer says about documents; not how long it took.
fn content(answer: SearchResponse) -> SearchResponse {
    SearchResponse { queue_us: 0, search_us: 0, rows_scanned: 0, ..answer }
}

async fn found(world: &World, leaf: &Running) -> SearchResponse {
    content(leaf.search(world.search(world.first(), "tide")).await.expect("answered"))
}

#[tokio::test]
async fn a_clean_stop_leaves_everything_on_disk() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    for id in ["a", "b", "c"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    let before = found(&world, &leaf).await;
    leaf.stop().await;

    let leaf = world.start().await.serving().await;
    let status = leaf.status(0).await;
    assert_eq!((status.durable_offset, status.documents), (3, 3));
    assert_eq!(found(&world, &leaf).await, before);
    leaf.stop().await;
}

#[tokio::test]
async fn a_crash_loses_nothing_and_doubles_nothing() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    for id in ["a", "b"] {
        world.append(world.upsert(world.first(), id, "tide one")).await;
    }
    found(&world, &leaf).await;
    leaf.stop().await;

    // Changes that are applied and not flushed: each kind that would show if it were applied twice
    // to the wrong ground.
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(world.first(), "a", "tide two tide")).await;
    world.append(world.delete(world.first(), "b")).await;
    world.append(world.upsert(world.first(), "c", "tide three")).await;
    let before = found(&world, &leaf).await;
    assert_eq!(before.label.as_ref().map(|label| label.next_offset), Some(5));
    assert_eq!(leaf.status(0).await.durable_offset, 2);
    // The folder as a crash would leave it now.
    let crashed = world.dir.path().join("crashed");
    copy(&world.dir.path().join("leaf"), &crashed);
    leaf.stop().await;

    let leaf = world.start_on(world.log.clone(), &crashed).await.serving().await;
    assert_eq!(found(&world, &leaf).await, before);
    assert_eq!(leaf.status(0).await.documents, 2);
    // It goes on where the log goes on.
    world.append(world.upsert(world.first(), "d", "tide")).await;
    let after = found(&world, &leaf).await;
    assert_eq!(ids(&after).len(), 3);
    leaf.stop().await;

    // What the crashed folder missed while it was away comes to the other one as well.
    let leaf = world.start().await.serving().await;
    assert_eq!(leaf.status(0).await.label.map(|label| label.next_offset), Some(6));
    assert_eq!(found(&world, &leaf).await, after);
    leaf.stop().await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("folder");
    for entry in std::fs::read_dir(from).expect("folder") {
        let entry = entry.expect("entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
