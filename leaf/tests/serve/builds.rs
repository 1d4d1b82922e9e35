//! A group that is told to serve another build exchanges its partitions, and goes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nautilus_analysis::Analyzer;
use nautilus_engine::{Attributes, FORMAT_VERSION, Partition, PartitionIdentity, Resources};
use nautilus_index_repository::{SlotRange, SnapshotDraft, Snapshots, Wanted};
use nautilus_leaf::RawConfig;
use nautilus_mutation_log::MutationLog as _;
use nautilus_registry::layout::{BuildRef, GroupBuild, Note, Record, ReplicaState};
use nautilus_registry::{Operation, Transaction};
use nautilus_service::config::HumanDuration;
use nautilus_types::{Offset, PartitionId, Slot};

use crate::ranged::Ranged;
use crate::world::{LEAF, Running, Setup, World, group, ids, until};

const P0: PartitionId = PartitionId(0);

/// A snapshot after every second record.
fn by_count(raw: &mut RawConfig) {
    raw.snapshot_interval = HumanDuration(Duration::from_secs(3_600));
    raw.snapshot_records = 2;
}

fn build(name: &str) -> BuildRef {
    BuildRef { name: Some(name.to_owned()), analyzer_version: 2 }
}

/// The group is to serve it from now on.
async fn want(world: &World, build: BuildRef) {
    let note = Note { owner: "sre".to_owned(), reason: String::new() };
    let said = GroupBuild { build, previous: None, note, placed_unix_ms: 1 };
    let record = Record::Build(group(), said);
    let (key, value) = (record.key().to_string(), record.encode().expect("valid"));
    let operations = vec![Operation::Put { key, value, lease: None }];
    let transaction = Transaction { conditions: Vec::new(), operations };
    world.registry.transact(transaction).await.expect("written");
}

/// Makes the build of the newest snapshot of partition 0, as an index builder would, and may leave out to write into
/// the files which build they are of.
async fn make_build(world: &World, name: &str, is_stamped: bool) {
    let log = world.log.identity();
    let snapshots = Snapshots::new(Arc::clone(&world.repository), log.cluster_id);
    let wanted = Wanted {
        log_generation: log.generation,
        // The one partition has them all.
        slots: vec![SlotRange { first: Slot(0), last: Slot(16_383) }],
        format_version_max: FORMAT_VERSION,
        analyzer_version: 1,
        build: Some("log".to_owned()),
        log_low: Offset(0),
        log_high: Offset(1_000),
        except: BTreeSet::new(),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, made) = (folder.path().join("p"), folder.path().join("made"));
    let found = snapshots.restore(P0, &wanted, &dir, &|_, _| {}).await.expect("restored");
    let source = found.manifest.expect("there is one").draft;
    let identity = PartitionIdentity {
        cluster_id: log.cluster_id,
        log_generation: log.generation,
        partition: P0,
    };
    let (partition, _writer) = Partition::open_with(
        &dir,
        &identity,
        Analyzer::of(2).expect("there is one"),
        &Resources::new(1 << 20, 1 << 20),
        |_| Attributes::default(),
    )
    .expect("rebuilt");
    if is_stamped {
        partition.set_build(name).expect("written");
    }
    partition.checkpoint(&made).expect("taken");
    for file in std::fs::read_dir(&made).expect("listed").flatten() {
        if file.path().extension().is_some_and(|is| is == "log") {
            std::fs::remove_file(file.path()).expect("removed");
        }
    }
    let (build, uploader) = (name.to_owned(), "indexbuilder".to_owned());
    let draft = SnapshotDraft { build, uploader, analyzer_version: 2, ..source };
    snapshots.publish(draft, &made, &|_| {}).await.expect("published");
}

async fn found(world: &World, leaf: &Running, word: &str) -> (Vec<String>, String) {
    let answer = leaf.search(world.search(world.first(), word)).await.expect("answered");
    let mut ids = ids(&answer);
    ids.sort();
    (ids, answer.label.expect("labelled").build)
}

async fn until_of_build(world: &World, build: &str) {
    world
        .until_announced(0, LEAF, |it| {
            it.is_some_and(|it| {
                it.state == ReplicaState::Serving
                    && it.build.as_deref().unwrap_or_default() == build
            })
        })
        .await;
}

fn setup(world: &World, folder: &str) -> Setup {
    let dir = world.dir.path().join(folder);
    Setup { dir, change: by_count, ..world.setup(LEAF) }
}

/// Two records in a snapshot, and one after it.
async fn serving(world: &World) -> Running {
    world.assign_all(LEAF).await;
    let leaf = world.start_as(setup(world, "leaf")).await.serving_all(1).await;
    for (id, body) in [("a", "one tide"), ("b", "two tides")] {
        world.append(world.upsert(world.first(), id, body)).await;
    }
    until(async || (leaf.status(0).await.snapshot_offset == 2).then_some(())).await;
    world.append(world.upsert(world.first(), "c", "tides")).await;
    leaf
}

#[tokio::test]
async fn partitions_are_exchanged_and_back() {
    let world = World::with_partitions(1).await;
    let leaf = serving(&world).await;
    assert_eq!(found(&world, &leaf, "tides").await, (vec!["b".into(), "c".into()], String::new()));
    make_build(&world, "b2", false).await;
    want(&world, build("b2")).await;
    until_of_build(&world, "b2").await;
    let all = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    // What came after the snapshot is of the log.
    assert_eq!(found(&world, &leaf, "tides").await, (all(), "b2".to_owned()));
    let fetched = leaf.fetch(world.fetch(world.first(), &["c"])).await.expect("fetched");
    assert_eq!(fetched.label.expect("labelled").build, "b2");
    // Its own snapshots are of the build too.
    world.append(world.delete(world.first(), "a")).await;
    until(async || (leaf.status(0).await.snapshot_offset == 4).then_some(())).await;
    leaf.stop().await;

    // A restart knows which build its files are of.
    let leaf = world.start_as(setup(&world, "leaf")).await.serving_all(1).await;
    let left = vec!["b".to_owned(), "c".to_owned()];
    assert_eq!(found(&world, &leaf, "tide").await, (left.clone(), "b2".to_owned()));
    want(&world, BuildRef::of_log()).await;
    until_of_build(&world, "").await;
    assert_eq!(found(&world, &leaf, "tide").await, (Vec::new(), String::new()));
    assert_eq!(found(&world, &leaf, "tides").await, (left.clone(), String::new()));
    leaf.stop().await;

    // An empty disk is filled with the build that is wanted, by its own newest snapshot.
    want(&world, build("b2")).await;
    let log = Ranged::from(world.log.clone(), 4);
    let empty = Setup { log, ..setup(&world, "empty") };
    let leaf = world.start_as(empty).await.serving_all(1).await;
    assert_eq!(found(&world, &leaf, "tide").await, (left, "b2".to_owned()));
    leaf.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_is_said_and_mended_by_another_build() {
    let world = World::with_partitions(1).await;
    let leaf = serving(&world).await;
    make_build(&world, "b2", true).await;
    // A build may hold what the log does not: it is never made of the log alone.
    want(&world, build("nowhere")).await;
    let failed = leaf.until(0, "FAILED").await;
    assert!(failed.detail.contains("no usable snapshot of build nowhere"), "{}", failed.detail);
    want(&world, BuildRef { analyzer_version: 99, ..build("b2") }).await;
    until(async || leaf.status(0).await.detail.contains("analyzer version 99").then_some(())).await;
    want(&world, build("b2")).await;
    until_of_build(&world, "b2").await;
    assert_eq!(found(&world, &leaf, "tide").await.0, ["a", "b", "c"]);
    leaf.stop().await;
}
