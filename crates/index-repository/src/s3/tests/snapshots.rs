//! Snapshots in a bucket: published, found, downloaded, pruned.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use futures::future::join_all;
use nautilus_types::{Epoch, LogGeneration, Offset, PartitionId, SLOT_COUNT, Slot};
use tempfile::TempDir;

use super::proxy::{Fate, Proxy};
use super::*;
use crate::{SlotRange, SnapshotDraft, Snapshots, Wanted};

pub(super) const P: PartitionId = PartitionId(3);
const CLUSTER: [u8; 16] = [7; 16];

pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) repository: Arc<S3Repository>,
    pub(super) snapshots: Snapshots,
}

impl Scene {
    async fn new() -> Option<Self> {
        Some(Self::of(&bucket()?).await)
    }

    pub(super) async fn of(config: &S3Config) -> Self {
        let repository = Arc::new(open(config).await);
        let snapshots = Snapshots::new(repository.clone(), CLUSTER);
        Self { dir: tempfile::tempdir().expect("folder"), repository, snapshots }
    }

    /// A checkpoint with a file in three parts.
    fn checkpoint(&self, tag: u8) -> PathBuf {
        let dir = self.dir.path().join(format!("checkpoint-{tag}"));
        std::fs::create_dir_all(&dir).expect("made");
        for file in ["CURRENT", "MANIFEST-000004", "OPTIONS-000007"] {
            std::fs::write(dir.join(file), format!("{file} of {tag}")).expect("written");
        }
        std::fs::write(dir.join("000013.blob"), "").expect("written");
        let bytes = content(tag, 2 * PART_BYTES + usize::from(tag));
        std::fs::write(dir.join("000012.sst"), bytes).expect("written");
        dir
    }

    async fn publish(&self, tag: u8) -> Result<crate::Manifest, RepositoryError> {
        let dir = self.checkpoint(tag);
        self.snapshots.publish(draft(u64::from(tag)), &dir, &|_| ()).await
    }

    /// The offset of what is restored, which is what was published there.
    async fn restore(&self) -> Option<u64> {
        let into = self.dir.path().join("restored");
        let found = self.snapshots.restore(P, &wanted(), &into, &|_, _| ()).await.expect("asked");
        let offset = found.manifest.as_ref().map(|manifest| manifest.draft.next_offset.0)?;
        let tag = u8::try_from(offset).expect("a tag");
        assert!(files_of(&into) == files_of(&self.checkpoint(tag)), "what was published");
        std::fs::remove_dir_all(into).expect("removed");
        Some(offset)
    }
}

pub(super) fn files_of(dir: &FilePath) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("listed").map(|entry| entry.expect("entry"));
    let file = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().expect("a plain name");
        (name, std::fs::read(entry.path()).expect("read"))
    };
    entries.map(file).collect()
}

fn slots() -> Vec<SlotRange> {
    vec![SlotRange { first: Slot(0), last: Slot(SLOT_COUNT - 1) }]
}

pub(super) fn draft(next_offset: u64) -> SnapshotDraft {
    SnapshotDraft {
        log_generation: LogGeneration(2),
        partition: P,
        slots: slots(),
        map_version: 1,
        build: "build-a".to_owned(),
        epoch: Epoch(5),
        uploader: "leaf-1".to_owned(),
        created_unix_ms: 1_700_000_000_000,
        next_offset: Offset(next_offset),
        last_record_fingerprint: Some([9; 16]),
        format_version: 4,
        analyzer_version: 6,
        documents: 11,
        document_digest: vec![1; 16],
        posting_digest: vec![2; 32],
    }
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        log_generation: LogGeneration(2),
        slots: slots(),
        format_version_max: 4,
        analyzer_version: 6,
        build: None,
        log_low: Offset(0),
        log_high: Offset(1000),
        except: std::collections::BTreeSet::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_is_found_pruned_and_collected() {
    let Some(scene) = Scene::new().await else { return };
    assert_eq!(scene.restore().await, None, "nothing at first");
    for tag in [10, 30, 20] {
        scene.publish(tag).await.expect("published");
    }
    assert_exists(scene.publish(20).await);
    assert_eq!(scene.restore().await, Some(30));
    let removed = scene.snapshots.prune(P, 2).await.expect("pruned");
    assert_eq!((removed.manifests, removed.files), (1, 0));
    let collected = scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
    assert_eq!(collected, 4, "the empty file is that of another, too");
    let manifests: Vec<_> = names(&scene.repository)
        .await
        .into_iter()
        .filter(|name| name.contains("/manifests/"))
        .collect();
    let [twenty, thirty] = &manifests[..] else { panic!("{manifests:?}") };
    // Damage at rest, and a manifest that is lost.
    let files = thirty.replace("/manifests/", "/files/");
    let file = names(&scene.repository).await;
    let file = file.iter().find(|name| name.starts_with(&files) && name.ends_with("CURRENT"));
    let file = file.expect("a file");
    scene.repository.delete(&name(file)).await.expect("deleted");
    put(&scene.repository, file, Bytes::from_static(b"CURRENT of 31")).await.expect("stored");
    assert_eq!(scene.restore().await, Some(20), "the older one");
    scene.repository.delete(&name(twenty)).await.expect("deleted");
    let collected = scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
    assert_eq!(collected, 5);
    assert_eq!(names(&scene.repository).await.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_publishing_the_same_one_does() {
    let Some(scene) = Scene::new().await else { return };
    let dir = scene.checkpoint(10);
    let racers = (0..8).map(|_| scene.snapshots.publish(draft(10), &dir, &|_| ()));
    let outcomes = join_all(racers).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    for outcome in outcomes.into_iter().filter(Result::is_err) {
        assert_exists(outcome);
    }
    assert_eq!(scene.restore().await, Some(10));
    scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
    assert_eq!(names(&scene.repository).await.len(), 6, "the losers' files are collected");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_upload_is_not_found_and_its_rests_are_collected() {
    let Some(scene) = Scene::new().await else { return };
    let dir = scene.checkpoint(10);
    let sent = std::sync::atomic::AtomicU64::new(0);
    let progress = |bytes| sent.store(bytes, Ordering::Relaxed);
    {
        let mut publish = Box::pin(scene.snapshots.publish(draft(10), &dir, &progress));
        while sent.load(Ordering::Relaxed) < PART_BYTES as u64 + 1000 {
            let step = tokio::time::timeout(Duration::from_millis(1), &mut publish).await;
            assert!(step.is_err(), "not done yet");
        }
    }
    assert_eq!(scene.restore().await, None);
    scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
    assert_eq!(names(&scene.repository).await, [""; 0]);
    assert_eq!(scene.repository.abort_stale_uploads(None, u64::MAX).await.expect("asked"), 0);
    scene.publish(10).await.expect("published");
    assert_eq!(scene.restore().await, Some(10));
}

/// Connections that break are nothing a download would notice, as long as some do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn downloads_survive_lost_answers_and_go_on_after_an_outage() {
    let Some(config) = bucket() else { return };
    let proxy = Proxy::start(config.endpoint.as_deref().expect("an endpoint"));
    let behind = S3Config { endpoint: Some(proxy.endpoint()), attempts_max: 2, ..config };
    let scene = Scene::of(&behind).await;
    let manifest = scene.publish(10).await.expect("published");
    proxy.next(Fate::AnswerLost, "GET", "", 1);
    assert_eq!(scene.restore().await, Some(10));
    proxy.next(Fate::AnswerLost, "GET", "000012.sst", u32::MAX);
    let into = scene.dir.path().join("restored");
    assert_unavailable(scene.snapshots.download(&manifest, &into, &|_| ()).await);
    assert!(!into.exists());
    proxy.next(Fate::AnswerLost, "GET", "000012.sst", 0);
    assert_eq!(scene.restore().await, Some(10));
}
