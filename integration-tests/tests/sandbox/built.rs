//! A document is the same whether it was fed or built at once, with what annotators found of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nautilus_analysis::Analyzer;
use nautilus_index_repository::{Manifest, Snapshots};
use nautilus_indexbuilder::RawAnnotators;
use nautilus_indexbuilder::offline::{Added, OfflineBuild, OfflineParts, OfflineSettings};
use nautilus_indexbuilder::rebuild::{Rebuild, RebuildParts, RebuildSettings};
use nautilus_proto::ingest::v1::Write;
use nautilus_service::Clock;
use nautilus_service::config::HumanDuration;
use nautilus_types::{Offset, PartitionId, PartitionMap};

use crate::world::{World, bounded, upsert};

const PARTITIONS: u32 = 4;

fn documents() -> Vec<Write> {
    let texts = [
        "# Tides\nThe tide of 2024-03-12 was low at noon, and the boats lay on the sand until the evening.",
        "Am Abend kam die Flut zurück, und die Boote lagen nicht mehr auf dem Sand. (3. Mai 2023)",
        "1 2 3",
    ];
    let one = |number: usize| {
        let namespace = format!("notes-{}", number % 6);
        let document = upsert(&namespace, &format!("d-{number}"), texts[number % texts.len()]);
        Write { version: Some(number as u64 + 1), ..document }
    };
    (0..120).map(one).collect()
}

/// The newest snapshot of this build of each partition.
async fn newest(snapshots: &Snapshots, build: &str) -> BTreeMap<PartitionId, Manifest> {
    let mut newest = BTreeMap::new();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let manifests = snapshots.manifests(partition).await.expect("listed");
        let found = manifests.into_iter().find(|manifest| manifest.draft.build == build);
        newest.extend(found.map(|manifest| (partition, manifest)));
    }
    newest
}

/// The same with digests, which leaves leave out: rebuilding makes sure that they are the source's.
async fn digested(
    parts: &OfflineParts,
    folder: &Path,
    fed: &BTreeMap<PartitionId, Manifest>,
) -> BTreeMap<PartitionId, Manifest> {
    let settings = RebuildSettings {
        build: "again".to_owned(),
        source: "log".to_owned(),
        analyzer_version: 1,
        map: PartitionMap::divided(PARTITIONS),
        folder: folder.to_owned(),
    };
    let of = RebuildParts {
        snapshots: parts.snapshots.clone(),
        log: Arc::clone(&parts.log),
        clock: Clock::system(),
    };
    std::fs::create_dir_all(folder).expect("a folder");
    let rebuild = Rebuild::new(settings, of, nautilus_leaf::attributes_of).expect("a builder");
    for partition in fed.keys() {
        rebuild.partition(*partition, &|_, _| {}).await.expect("made");
    }
    newest(&parts.snapshots, "again").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_and_annotations_are_the_same_fed_or_built() {
    let annotators = RawAnnotators {
        run: nautilus_annotate::BUILT_IN.map(str::to_owned).to_vec(),
        // For those that shall be in time on a machine that is busy.
        time_max: HumanDuration(Duration::from_secs(5)),
        ..RawAnnotators::default()
    };
    let (mut kept, told) = (None, annotators.clone());
    let world = World::start_as(
        |settings| settings.roles.indexbuilder.annotators = told,
        |ports| {
            let snapshots =
                Snapshots::new(Arc::clone(&ports.repository), ports.log.identity().cluster_id);
            kept = Some(OfflineParts {
                catalog: Arc::clone(&ports.catalog),
                log: Arc::clone(&ports.log),
                snapshots,
                annotators: Vec::new(),
                clock: Clock::system(),
            });
        },
    )
    .await;
    let parts = kept.expect("wrapped");
    for namespace in 0..6 {
        world.client.create("ada", &format!("notes-{namespace}")).await;
    }
    world.client.write("ada", documents()).await;
    // A partition without records is not published.
    let all_published = async {
        loop {
            let of_log = newest(&parts.snapshots, "log").await;
            let mut are_whole = true;
            for partition in (0..PARTITIONS).map(PartitionId) {
                let high = parts.log.watermarks(partition).await.expect("asked").high;
                let published = of_log.get(&partition).map(|it| it.draft.next_offset);
                are_whole &= published.unwrap_or(Offset(0)) == high;
            }
            if are_whole {
                return of_log;
            }
            tokio::task::yield_now().await;
        }
    };
    let fed = bounded("leaves publish what was fed", all_published).await;
    let fed = digested(&parts, &world.folder.path().join("again"), &fed).await;

    let raw = nautilus_indexbuilder::RawConfig { annotators, ..Default::default() };
    let settings = OfflineSettings {
        build: "built".to_owned(),
        // There is no such build: nothing but the documents that are given.
        onto: "nothing".to_owned(),
        analyzer: Analyzer::new(),
        map: PartitionMap::divided(PARTITIONS),
        partitions: (0..PARTITIONS).map(PartitionId).collect(),
        folder: world.folder.path().join("build"),
        memory_bytes: 64 << 20,
        threads: 2,
        new_namespaces: BTreeSet::new(),
        annotators: raw.validate().expect("valid").annotators,
    };
    std::fs::create_dir_all(&settings.folder).expect("a folder");
    let begun = OfflineBuild::begin(settings, parts.clone(), &mut |_| {}).await;
    let mut build = begun.expect("begins");
    for document in documents() {
        assert_eq!(build.add(document).await.expect("goes on"), Added::Taken);
    }
    let failed_on = build.finish(&mut |_| {}).await.expect("published");
    let built = newest(&parts.snapshots, "built").await;
    for (partition, fed) in &fed {
        let (fed, built) = (&fed.draft, &built[partition].draft);
        assert_eq!(fed.documents, built.documents);
        assert_eq!(fed.document_digest, built.document_digest, "documents of {partition}");
        assert_eq!(fed.posting_digest, built.posting_digest, "postings of {partition}");
    }
    assert_eq!(fed.values().map(|it| it.draft.documents).sum::<u64>(), 120);
    assert_eq!(failed_on, 0);
    drop(parts);
    world.stop().await;
}
