//! What is not on the disk comes from a snapshot and the log, or is missed loudly.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nautilus_index_repository::{FaultPlan, Faulty};
use nautilus_leaf::RawConfig;
use nautilus_mutation_log::MutationLog;
use nautilus_service::config::HumanDuration;
use tonic::Code;

use crate::ranged::Ranged;
use crate::world::{Running, Setup, World, ids, until};

/// A snapshot after every third record.
fn by_count(raw: &mut RawConfig) {
    raw.snapshot_interval = HumanDuration(Duration::from_secs(3_600));
    raw.snapshot_records = 3;
}

async fn start(world: &World, folder: &str) -> Running {
    start_on(world, folder, world.log.clone()).await
}

async fn start_on(world: &World, folder: &str, log: Arc<dyn MutationLog>) -> Running {
    world.assign_all("leaf-7").await;
    let dir = world.dir.path().join(folder);
    world.start_as(Setup { dir, log, change: by_count, ..world.setup("leaf-7") }).await
}

async fn found(world: &World, leaf: &Running) -> Vec<String> {
    let answer = leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    let mut ids = ids(&answer);
    ids.sort();
    ids
}

async fn snapshot_at(leaf: &Running, offset: u64) {
    let is_there = async || (leaf.status(0).await.snapshot_offset == offset).then_some(());
    until(is_there).await;
    assert!(leaf.status(0).await.snapshot_unix_ms > 0);
}

/// Files of a kind anywhere below a folder.
fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in dir.read_dir().expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

/// Spoils a file, which a compaction may just have removed; again does not mend it.
fn spoil(path: &Path) {
    let Ok(file) = std::fs::metadata(path) else { return };
    let length = usize::try_from(file.len()).expect("small");
    // In place, so that a database that has the file open sees it; never shorter, which is another fault.
    let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("there");
    file.write_all(&vec![0x55; length]).expect("written");
}

/// Four records, three of them in a snapshot; the leaf is stopped.
async fn published() -> World {
    let world = World::new().await;
    let leaf = start(&world, "leaf").await.serving().await;
    for id in ["a", "b", "c"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    snapshot_at(&leaf, 3).await;
    world.append(world.upsert(world.first(), "d", "tide")).await;
    assert_eq!(found(&world, &leaf).await.len(), 4);
    let left = |name: &str| world.dir.path().join("leaf").join(name).exists();
    assert!(!left("p0000-e1.snapshot"), "the checkpoint is removed once it is published");
    leaf.stop().await;
    world
}

#[tokio::test]
async fn an_empty_disk_is_filled_from_snapshot_and_log() {
    let world = published().await;
    // Only a snapshot can bring what the log gave up.
    let trimmed = Ranged::from(world.log.clone(), 3);
    let leaf = start_on(&world, "empty", trimmed).await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    let status = leaf.status(0).await;
    assert_eq!((status.snapshot_offset, status.documents), (3, 4));
    assert_eq!(
        status.label.expect("labelled").build,
        "",
        "fed from the log alone, at first hand or second"
    );
    // It goes on, and publishes in turn.
    for id in ["e", "f"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    snapshot_at(&leaf, 6).await;
    leaf.stop().await;
}

#[tokio::test]
async fn damaged_files_are_set_aside_and_replaced() {
    let world = published().await;
    let folder = world.dir.path().join("leaf");
    for entry in folder.join("p0000-e1").read_dir().expect("folder") {
        let path = entry.expect("entry").path();
        let name = path.file_name().expect("named").to_string_lossy().into_owned();
        if name.starts_with("MANIFEST") || name.ends_with(".sst") {
            spoil(&path);
        }
    }
    let leaf = start(&world, "leaf").await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    assert!(folder.join("p0000.damaged").exists(), "kept for a person to look at");
    leaf.stop().await;
}

#[tokio::test]
async fn damage_met_while_serving_is_recovered_from() {
    let world = published().await;
    let leaf = start(&world, "leaf").await.serving().await;
    // Longer than a block, so that opening the folder does not read them already.
    let long = "moon and stars ".repeat(4_000);
    let others: Vec<String> = (0..20).map(|n| format!("x{n}")).collect();
    for id in &others {
        world.append(world.upsert(world.first(), id, &long)).await;
    }
    for id in ["e", "f"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    assert_eq!(found(&world, &leaf).await.len(), 6);
    leaf.stop().await;

    let leaf = start(&world, "leaf").await.serving().await;
    let label = leaf.status(0).await.label.expect("labelled");
    let folder = world.dir.path().join("leaf");
    // Until it is met: a compaction may read the old files and write sound new ones first. Each time another
    // document, for what was read once is in memory.
    let mut unread = others.iter();
    let refused = until(async || {
        for path in files(&folder.join("p0000-e1"), "sst") {
            spoil(&path);
        }
        let id = unread.next().expect("damage is met before all documents are read");
        leaf.fetch(world.fetch(world.first(), &[id])).await.err()
    })
    .await;
    assert!(matches!(refused.code(), Code::DataLoss | Code::Unavailable), "{refused:?}");
    until(async || folder.join("p0000.damaged").exists().then_some(())).await;
    leaf.until(0, "SERVING").await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d", "e", "f"]);
    assert_eq!(leaf.status(0).await.label, Some(label));
    leaf.stop().await;
}

/// Blocks that nobody asks for rot too.
#[tokio::test]
async fn damage_that_nobody_meets_is_found_and_recovered_from() {
    let world = published().await;
    let long = "moon and stars ".repeat(4_000);
    let leaf = start(&world, "leaf").await.serving().await;
    for id in (0..20).map(|n| format!("x{n}")) {
        world.append(world.upsert(world.first(), &id, &long)).await;
    }
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    let label = leaf.status(0).await.label.expect("labelled");
    leaf.stop().await;

    world.assign_all("leaf-7").await;
    let change = |raw: &mut RawConfig| {
        by_count(raw);
        raw.scrub_interval = HumanDuration(Duration::from_millis(100));
    };
    let leaf = world.start_as(Setup { change, ..world.setup("leaf-7") }).await.serving().await;
    let folder = world.dir.path().join("leaf");
    let tables = files(&folder.join("p0000-e1"), "sst");
    assert!(!tables.is_empty());
    for path in tables {
        spoil(&path);
    }
    until(async || folder.join("p0000.damaged").exists().then_some(())).await;
    leaf.until(0, "SERVING").await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    assert_eq!(leaf.status(0).await.label, Some(label));
    leaf.stop().await;
    let left = files(&folder, "scrub");
    assert!(left.is_empty() && !folder.join("p0000-e1.scrub").exists(), "nothing is left over");
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_used() {
    let world = published().await;
    for path in files(&world.dir.path().join("repository"), "sst") {
        spoil(&path);
    }
    // The log still has everything, so it does without.
    let leaf = start(&world, "empty").await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    leaf.stop().await;
}

#[tokio::test]
async fn a_repository_that_stays_away_or_denies_is_done_without() {
    for are_refusals_denials in [false, true] {
        let mut world = World::new().await;
        let plan = FaultPlan {
            read_refused_per_mille: 1_000,
            are_refusals_denials,
            ..FaultPlan::default()
        };
        world.repository = Arc::new(Faulty::new(Arc::clone(&world.repository), plan));
        for id in ["a", "b", "c"] {
            world.append(world.upsert(world.first(), id, "tide")).await;
        }
        // Neither can a snapshot be found, where the log has everything, nor can one be published.
        let leaf = start(&world, "leaf").await.serving().await;
        assert_eq!(found(&world, &leaf).await, ["a", "b", "c"]);
        assert_eq!(leaf.status(0).await.snapshot_offset, 0);
        leaf.stop().await;
    }
}

#[tokio::test]
async fn a_partition_waits_until_the_repository_gives_its_rights_back() {
    let mut world = published().await;
    let plan = FaultPlan {
        read_refused_per_mille: 1_000,
        are_refusals_denials: true,
        ..FaultPlan::default()
    };
    let faulty = Arc::new(Faulty::new(Arc::clone(&world.repository), plan));
    world.repository = faulty.clone();
    // The log alone does not do.
    let trimmed = Ranged::from(world.log.clone(), 3);
    let leaf = start_on(&world, "empty", trimmed).await;
    leaf.until(0, "DOWNLOADING").await;
    // Both partitions' tries, more than after which a whole log would do.
    until(async || (faulty.reads() >= 12).then_some(())).await;
    assert_eq!(leaf.status(0).await.state, "DOWNLOADING");
    faulty.set_active(false);
    let leaf = leaf.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    leaf.stop().await;
}

#[tokio::test]
async fn a_folder_older_than_the_log_gives_way_to_a_snapshot() {
    let world = published().await;
    let (full, repository) = (world.dir.path().join("repository"), world.dir.path().join("r"));
    // A folder that stopped at offset 1 while the others went on, made without the snapshot.
    std::fs::rename(&full, &repository).expect("hidden");
    std::fs::create_dir(&full).expect("folder");
    let short = Ranged::below(world.log.clone(), 1);
    start_on(&world, "old", short).await.serving().await.stop().await;
    std::fs::remove_dir_all(&full).expect("removed");
    std::fs::rename(&repository, &full).expect("back");
    let trimmed = Ranged::from(world.log.clone(), 2);
    let leaf = start_on(&world, "old", trimmed).await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    leaf.stop().await;
}

#[tokio::test]
async fn what_the_log_does_not_have_is_missed_with_a_remedy() {
    // Its beginning, and no snapshot.
    let world = World::new().await;
    for id in ["a", "b", "c"] {
        world.append(world.upsert(world.first(), id, "tide")).await;
    }
    let trimmed = Ranged::from(world.log.clone(), 2);
    let leaf = start_on(&world, "leaf", trimmed).await;
    let status = leaf.until(0, "FAILED").await;
    assert!(status.detail.contains("restore a snapshot"), "{}", status.detail);
    leaf.stop().await;

    // Its end, with a folder, and with a snapshot only.
    let world = published().await;
    for folder in ["leaf", "empty"] {
        let short = Ranged::below(world.log.clone(), 2);
        let leaf = start_on(&world, folder, short).await;
        let status = leaf.until(0, "FAILED").await;
        assert!(status.detail.contains("restore the log"), "{}", status.detail);
        leaf.stop().await;
    }
    // With the log back, nothing was lost.
    let leaf = start(&world, "leaf").await.serving().await;
    assert_eq!(found(&world, &leaf).await, ["a", "b", "c", "d"]);
    leaf.stop().await;
}
