//! Annotators of an offline build: what they find, and how they fail, is stored as the gateway would have written it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use nautilus_analysis::Analyzer;
use nautilus_annotate::{Annotator, BUILT_IN, Budget, Failure, Input, Values};
use nautilus_catalog::Catalog as _;
use nautilus_engine::{Attributes, Partition, PartitionIdentity, Resources, ScopeEntry};
use nautilus_index_repository::{FolderRepository, Snapshots};
use nautilus_indexbuilder::offline::{
    Added, OfflineBuild, OfflineError, OfflineParts, OfflineSettings,
};
use nautilus_indexbuilder::{RawAnnotators, RawConfig};
use nautilus_mutation_log::MutationLog as _;
use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_proto::ingest::v1::{DocumentContent, Write, WriteRequest, write::Operation};
use nautilus_proto::log::v1::mutation_record;
use nautilus_service::Clock;
use nautilus_service::config::HumanDuration;
use nautilus_types::{DocumentId, PartitionMap};
use prost::Message as _;
use tempfile::TempDir;

use crate::gateway::{PARTITIONS, WAIT, World, name, partition_of};

/// Fails on some documents, and panics on others.
struct Moody;

impl Annotator for Moody {
    fn name(&self) -> &'static str {
        "moody"
    }

    fn version(&self) -> u32 {
        4
    }

    fn annotate(&self, input: &Input<'_>, _: &Budget<'_>) -> Result<Values, Failure> {
        match input.body.len() % 3 {
            0 => Err(Failure::failed("cannot")),
            1 => panic!("never could"),
            _ => Ok(Values::new()),
        }
    }
}

fn write(number: usize) -> Write {
    let body = format!("Low tide on 2024-03-{:02}, {}", 1 + number % 28, "x".repeat(number));
    Write {
        namespace: "notes".to_owned(),
        document_id: format!("d{number}"),
        version: Some(1),
        operation: Some(Operation::Upsert(DocumentContent { body, ..DocumentContent::default() })),
        ..Write::default()
    }
}

const DOCUMENTS: usize = 60;

fn parts(world: &World, snapshots: &Snapshots) -> OfflineParts {
    OfflineParts {
        catalog: world.catalog.clone(),
        log: world.log.clone(),
        snapshots: snapshots.clone(),
        annotators: vec![Arc::new(Moody)],
        clock: Clock::system(),
    }
}

fn settings(dir: &TempDir, run: &[&str]) -> OfflineSettings {
    let annotators = RawAnnotators {
        run: run.iter().map(|name| (*name).to_owned()).collect(),
        time_max: HumanDuration(WAIT / 4),
        ..RawAnnotators::default()
    };
    let raw = RawConfig { annotators, ..RawConfig::default() };
    OfflineSettings {
        build: "built".to_owned(),
        // There is no such build.
        onto: "nothing".to_owned(),
        analyzer: Analyzer::new(),
        map: PartitionMap::divided(PARTITIONS),
        partitions: [partition_of("notes")].into(),
        folder: dir.path().join("work"),
        memory_bytes: 16 << 20,
        threads: 2,
        new_namespaces: BTreeSet::new(),
        annotators: raw.validate().expect("valid").annotators,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_stored_as_if_fed() {
    let world = World::with_people().await;
    let mut gateway = world.start_annotating(vec![Arc::new(Moody)]).await;
    let request = WriteRequest { writes: (0..DOCUMENTS).map(write).collect() };
    let answer = gateway.ingest.write(world.from("ada", request)).await;
    let answer = answer.expect("answered").into_inner();
    assert!(answer.results.iter().all(|result| result.error.is_none()), "{answer:?}");
    gateway.stop().await;
    let mut fed: BTreeMap<Vec<u8>, DocumentMetadata> = BTreeMap::new();
    for record in world.records(partition_of("notes")).await {
        if let Some(mutation_record::Operation::Upsert(upsert)) = record.operation {
            fed.insert(upsert.document_id, upsert.metadata.expect("metadata"));
        }
    }
    assert_eq!(fed.len(), DOCUMENTS);

    let dir = tempfile::tempdir().expect("folder");
    let folder = FolderRepository::open(&dir.path().join("repository")).await.expect("opened");
    let cluster_id = world.log.identity().cluster_id;
    let snapshots = Snapshots::new(Arc::new(folder), cluster_id);
    std::fs::create_dir_all(dir.path().join("work")).expect("made");
    let (settings, parts) = (settings(&dir, &BUILT_IN), parts(&world, &snapshots));
    let mut build = OfflineBuild::begin(settings, parts, &mut |_| {}).await.expect("begins");
    // Another text of the same version right after the first document: it comes too late, as in the log.
    let late = Write { document_id: "d0".to_owned(), ..write(40) };
    let (first, others) = (write(0), (1..DOCUMENTS).map(write));
    for write in [first, late].into_iter().chain(others) {
        assert_eq!(build.add(write).await.expect("goes on"), Added::Taken);
    }
    let failed_on = build.finish(&mut |_| {}).await.expect("published");

    let partition = partition_of("notes");
    let manifests = snapshots.manifests(partition).await.expect("listed");
    let into = dir.path().join("downloaded");
    snapshots.download(&manifests[0], &into, &|_| {}).await.expect("downloaded");
    let log_generation = world.log.identity().generation;
    let identity = PartitionIdentity { cluster_id, log_generation, partition };
    let resources = Resources::new(1 << 20, 1 << 20);
    let opened = Partition::open(&into, &identity, &resources, |_| Attributes::default());
    let (opened, _) = opened.expect("opens");
    let namespace = world.catalog.get_namespace(&name("notes")).await.expect("asked");
    let incarnation = namespace.expect("there").incarnation;
    let entry = ScopeEntry { namespace: name("notes"), incarnation };
    let mut failures = 0;
    for (id, fed) in &fed {
        let id = DocumentId::new(id.clone()).expect("valid");
        let built = opened.searcher().fetch(&entry, &id, false).expect("read").expect("there");
        let built = DocumentMetadata::decode(&*built.metadata).expect("metadata");
        assert_eq!(built, *fed, "{id:?}");
        failures += u64::from(fed.annotations.values().any(|it| it.failure.is_some()));
    }
    assert!(failures > 30, "{failures}");
    // And one text more, which is not kept.
    assert_eq!(failed_on, failures + 1);
}

#[tokio::test]
async fn a_build_does_not_begin_with_annotators_of_one_name() {
    let world = World::with_people().await;
    let dir = tempfile::tempdir().expect("folder");
    let folder = FolderRepository::open(&dir.path().join("repository")).await.expect("opened");
    let snapshots = Snapshots::new(Arc::new(folder), world.log.identity().cluster_id);
    let annotators: Vec<Arc<dyn Annotator>> = vec![Arc::new(Moody), Arc::new(Moody)];
    let parts = OfflineParts { annotators, ..parts(&world, &snapshots) };
    let begun = OfflineBuild::begin(settings(&dir, &[]), parts, &mut |_| {}).await;
    assert!(matches!(begun, Err(OfflineError::Annotators(_))));
}
