//! Offline builds on the embedded parts: what is published is what a leaf would find, nothing twice and nothing lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use nautilus_analysis::Analyzer;
use nautilus_catalog::{Catalog, SqliteCatalog, UserId};
use nautilus_engine::{Attributes, Depth, FORMAT_VERSION, Partition, PartitionIdentity, Resources};
use nautilus_index_repository::{FolderRepository, Manifest, Snapshots};
use nautilus_indexbuilder::offline::{
    Added, Built, OfflineBuild, OfflineError, OfflineParts, OfflineSettings,
};
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, MutationLog};
use nautilus_proto::ingest::v1::{DocumentContent, Write, write::Operation};
use nautilus_service::Clock;
use nautilus_types::{NamespaceName, Offset, PartitionId, PartitionMap};
use tempfile::TempDir;

const PARTITIONS: u32 = 4;
const CLUSTER: [u8; 16] = [9; 16];

struct World {
    dir: TempDir,
    parts: OfflineParts,
    log: Arc<EmbeddedLog>,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let catalog = SqliteCatalog::open(&dir.path().join("catalog.db")).await.expect("catalog");
        let ada = UserId::new("ada").expect("valid");
        catalog.create_user(&ada, "Ada", 0).await.expect("user");
        for number in 0..8 {
            catalog.create_namespace(&name(number), &ada, 0).await.expect("namespace");
        }
        let config = EmbeddedConfig {
            segment_bytes_max: 1 << 20,
            ..EmbeddedConfig::new(dir.path().join("log"), PARTITIONS, Arc::new(|| 0))
        };
        let log = Arc::new(EmbeddedLog::open(config).await.expect("log"));
        let repository = FolderRepository::open(&dir.path().join("repository")).await;
        let parts = OfflineParts {
            catalog: Arc::new(catalog),
            log: log.clone(),
            snapshots: Snapshots::new(Arc::new(repository.expect("repository")), CLUSTER),
            annotators: Vec::new(),
            clock: Clock::system(),
        };
        Self { dir, parts, log }
    }

    fn settings(&self, build: &str) -> OfflineSettings {
        OfflineSettings {
            build: build.to_owned(),
            onto: "log".to_owned(),
            analyzer: Analyzer::new(),
            map: PartitionMap::divided(PARTITIONS),
            partitions: (0..PARTITIONS).map(PartitionId).collect(),
            folder: self.dir.path().join("work"),
            memory_bytes: 64 << 20,
            threads: 2,
            new_namespaces: BTreeSet::new(),
            annotators: nautilus_indexbuilder::RawConfig::default()
                .validate()
                .expect("valid")
                .annotators,
        }
    }

    async fn build(
        &self,
        settings: OfflineSettings,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<(Vec<Added>, Vec<Built>), OfflineError> {
        std::fs::create_dir_all(&settings.folder).expect("a folder");
        let mut build = OfflineBuild::begin(settings, self.parts.clone(), &mut |_| {}).await?;
        let mut added = Vec::new();
        for write in writes {
            added.push(build.add(write).await?);
        }
        let mut built = Vec::new();
        build.finish(&mut |one| built.push(one)).await?;
        Ok((added, built))
    }

    async fn manifests(&self) -> Vec<Manifest> {
        let mut manifests = Vec::new();
        for partition in (0..PARTITIONS).map(PartitionId) {
            manifests.extend(self.parts.snapshots.manifests(partition).await.expect("lists"));
        }
        manifests
    }

    /// Downloads a snapshot and reads all of it, its postings derived again.
    async fn documents_of(&self, manifest: &Manifest, into: &Path) -> u64 {
        self.parts.snapshots.download(manifest, into, &|_| {}).await.expect("downloads");
        let identity = PartitionIdentity {
            cluster_id: self.log.identity().cluster_id,
            log_generation: self.log.identity().generation,
            partition: manifest.draft.partition,
        };
        let resources = Resources::new(1 << 20, 1 << 20);
        let opened = Partition::open(into, &identity, &resources, |_| Attributes::default());
        let (partition, writer) = opened.expect("opens");
        assert_eq!(partition.build().expect("reads"), manifest.draft.build);
        assert_eq!(writer.next_offset(), manifest.draft.next_offset);
        let digests = partition.searcher().digests(Depth::Derive, &mut |_| true);
        let digests = digests.expect("sound").expect("goes on");
        assert_eq!(digests.documents.to_bytes().to_vec(), manifest.draft.document_digest);
        assert_eq!(digests.postings.to_bytes().to_vec(), manifest.draft.posting_digest);
        assert_eq!(digests.document_count, manifest.draft.documents);
        digests.document_count
    }
}

fn name(number: u32) -> NamespaceName {
    NamespaceName::new(format!("namespace-{number}")).expect("valid")
}

fn document(number: u32, version: Option<u64>) -> Write {
    Write {
        namespace: name(number % 8).to_lossy(),
        document_id: format!("d{number}"),
        version,
        condition: None,
        operation: Some(Operation::Upsert(DocumentContent {
            title: format!("Title {number}"),
            body: format!("the tide of {number}"),
            ..DocumentContent::default()
        })),
    }
}

#[tokio::test]
async fn what_is_built_is_published_whole_and_once() {
    let world = World::new().await;
    let writes = || (0..400).map(|number| document(number, Some(1)));
    let (added, built) = world.build(world.settings("one"), writes()).await.expect("builds");
    assert!(added.iter().all(|added| *added == Added::Taken));
    assert_eq!(built.len(), 4);
    assert_eq!(built.iter().map(|one| one.summary.documents).sum::<u64>(), 400);
    let manifests = world.manifests().await;
    assert_eq!(manifests.len(), 4);
    let mut documents = 0;
    for manifest in &manifests {
        assert_eq!((&*manifest.draft.build, manifest.draft.next_offset), ("one", Offset(0)));
        assert_eq!(manifest.draft.format_version, FORMAT_VERSION);
        let into = world.dir.path().join(format!("leaf-{}", manifest.draft.partition.0));
        documents += world.documents_of(manifest, &into).await;
    }
    assert_eq!(documents, 400);
    // Run again, it has nothing to do; and nothing of it is left on the disk.
    let (added, built) = world.build(world.settings("one"), writes()).await.expect("builds");
    assert!(built.is_empty());
    assert!(added.iter().all(|added| *added == Added::Elsewhere));
    let left = std::fs::read_dir(world.dir.path().join("work")).expect("lists").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_build_stands_on_the_newest_snapshot() {
    let world = World::new().await;
    let first = (0..100).map(|number| document(number, Some(1)));
    world.build(world.settings("one"), first).await.expect("builds");
    // Newer versions of some, older ones of others, and new ones.
    let second = (0..50).map(|number| document(number, Some(2)));
    let stale = (50..60).map(|number| document(number, Some(1)));
    let new = (100..150).map(|number| document(number, Some(1)));
    let all = second.chain(stale).chain(new);
    let onto = "one".to_owned();
    let settings = OfflineSettings { onto, ..world.settings("two") };
    let (_, built) = world.build(settings, all).await.expect("builds");
    assert_eq!(built.iter().map(|one| one.summary.documents).sum::<u64>(), 150);
    assert_eq!(built.iter().map(|one| one.summary.replaced).sum::<u64>(), 60);
}

#[tokio::test]
async fn partitions_are_shared_between_machines() {
    let world = World::new().await;
    let writes = || (0..200).map(|number| document(number, Some(1)));
    let mut taken = 0;
    for share in [[0, 1], [2, 3]] {
        let partitions = share.into_iter().map(PartitionId).collect();
        let settings = OfflineSettings { partitions, ..world.settings("one") };
        let (added, built) = world.build(settings, writes()).await.expect("builds");
        assert_eq!(built.len(), 2);
        taken += added.iter().filter(|added| **added == Added::Taken).count();
    }
    assert_eq!(taken, 200);
    assert_eq!(world.manifests().await.len(), 4);
}

#[tokio::test]
async fn what_could_be_undone_by_the_log_is_refused() {
    let world = World::new().await;
    let deletion =
        Write { operation: Some(Operation::Delete(Default::default())), ..document(1, Some(1)) };
    let unknown = Write { namespace: "nobody's".to_owned(), ..document(1, Some(1)) };
    let nameless = Write { document_id: String::new(), ..document(1, Some(1)) };
    let writes = [document(1, None), deletion, unknown, nameless, document(2, None)];
    let new_namespaces = BTreeSet::from([name(2)]);
    let settings = OfflineSettings { new_namespaces, ..world.settings("one") };
    let (added, _) = world.build(settings, writes).await.expect("builds");
    let refused = |added: &Added| matches!(added, Added::Refused(_));
    assert!(added[..4].iter().all(refused), "{added:?}");
    assert_eq!(added[4], Added::Taken);
}

/// Records before the build are applied to it, so it begins before the first: one that is gone would be missing.
#[tokio::test]
async fn a_trimmed_log_without_a_snapshot_is_nothing_to_build_on() {
    let world = World::new().await;
    let large = bytes::Bytes::from(vec![0; 200 << 10]);
    for _ in 0..8 {
        world.log.append(PartitionId(1), large.clone()).await.expect("appends");
    }
    let low = world.log.trim(PartitionId(1), Offset(7)).await.expect("trims");
    assert!(low > Offset(0), "{low}");
    let refused = world.build(world.settings("one"), []).await;
    let expected = PartitionId(1);
    assert!(matches!(
        refused,
        Err(OfflineError::NothingToBuildOn { partition, log_low })
            if partition == expected && log_low == low
    ));
    assert_eq!(world.manifests().await.len(), 0);
}
