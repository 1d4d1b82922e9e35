//! Interrupted downloads go on where they were, and trust nothing they find.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::*;
use crate::{ObjectMeta, ObjectName, ObjectSource, Page};

const FILE_BYTES: usize = 17 * 1024 * 1024 + 3;
const FILES: usize = 6;

/// Counts the bytes it reads of files, and is away after so many reads of them.
struct Interrupted {
    inner: Arc<FolderRepository>,
    reads_left: AtomicU64,
    read_bytes: AtomicU64,
}

impl Interrupted {
    fn after(scene: &Scene, reads: u64) -> (Arc<Self>, Snapshots) {
        let inner = scene.folder.clone();
        let (reads_left, read_bytes) = (AtomicU64::new(reads), AtomicU64::new(0));
        let repository = Arc::new(Self { inner, reads_left, read_bytes });
        (repository.clone(), Snapshots::new(repository, CLUSTER))
    }

    fn read_bytes(&self) -> u64 {
        self.read_bytes.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl crate::IndexRepository for Interrupted {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        self.inner.put_new(name, source).await
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        if name.as_str().contains("/files/") {
            let less = |left: u64| left.checked_sub(1);
            let is_there =
                self.reads_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
            if !is_there {
                return Err(RepositoryError::unavailable("injected: away"));
            }
            self.read_bytes.fetch_add(length_max as u64, Ordering::Relaxed);
        }
        self.inner.get_range(name, from, length_max).await
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        self.inner.head(name).await
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        self.inner.list(folder, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        self.inner.delete(name).await
    }
}

/// A published snapshot of several files of three ranges each, and a small and an empty one.
async fn published(scene: &Scene) -> (Manifest, PathBuf) {
    let dir = scene.checkpoint("10");
    for i in 0..FILES {
        let bytes: Vec<u8> = (0_u8..=250).cycle().skip(i * 7).take(FILE_BYTES).collect();
        fs::write(dir.join(format!("{i:06}.sst")), bytes).expect("written");
    }
    fs::write(dir.join("000099.blob"), "").expect("written");
    let manifest = scene.snapshots.publish(draft(10), &dir, &|_| ()).await.expect("published");
    (manifest, dir)
}

fn partial(scene: &Scene, manifest: &Manifest) -> PathBuf {
    scene.dir.path().join("restored.downloading").join(manifest.upload.to_string())
}

fn bytes_in(dir: &Path) -> u64 {
    files_of(dir).values().map(|bytes| bytes.len() as u64).sum()
}

/// A download that was interrupted after so many reads.
async fn interrupt(scene: &Scene, manifest: &Manifest, reads: u64) -> u64 {
    let (repository, snapshots) = Interrupted::after(scene, reads);
    let outcome = snapshots.download(manifest, &scene.target(), &|_| ()).await;
    assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
    assert!(!scene.target().exists());
    repository.read_bytes()
}

/// Downloads to the end; the bytes that were read for it.
async fn finish(scene: &Scene, manifest: &Manifest, dir: &Path) -> u64 {
    let (repository, snapshots) = Interrupted::after(scene, u64::MAX);
    let seen = Mutex::new(Vec::new());
    let progress = |bytes| seen.lock().expect("unpoisoned").push(bytes);
    snapshots.download(manifest, &scene.target(), &progress).await.expect("downloaded");
    assert!(files_of(&scene.target()) == files_of(dir), "what was published");
    assert_eq!(scene.leftovers(), [""; 0]);
    fs::remove_dir_all(scene.target()).expect("removed");
    let seen = seen.into_inner().expect("unpoisoned");
    assert!(seen.is_sorted() && seen.last() == Some(&manifest.size_bytes()), "{seen:?}");
    repository.read_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_missing_is_fetched_again() {
    let scene = Scene::new().await;
    let (manifest, dir) = published(&scene).await;
    for reads in [0, 1, 5, 11, 17] {
        let read = interrupt(&scene, &manifest, reads).await;
        let kept = bytes_in(&partial(&scene, &manifest));
        assert!(kept <= read, "{kept} of {read}");
        // Only what was read and not yet handed over is lost.
        assert!(kept > 0 || reads <= 8, "{reads} reads left nothing");
        assert_eq!(finish(&scene, &manifest, &dir).await, manifest.size_bytes() - kept);
    }
    // However often it is interrupted, it ends.
    let mut interruptions = 0;
    loop {
        let (_, snapshots) = Interrupted::after(&scene, 9);
        match snapshots.download(&manifest, &scene.target(), &|_| ()).await {
            Ok(()) => break,
            Err(RepositoryError::Unavailable(_)) => interruptions += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!((1..20).contains(&interruptions), "{interruptions}");
    assert!(files_of(&scene.target()) == files_of(&dir));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_is_trusted_by_its_hash_only() {
    let scene = Scene::new().await;
    let (manifest, dir) = published(&scene).await;
    let published = files_of(&dir);
    let partial = partial(&scene, &manifest);
    let total = manifest.size_bytes();
    // As a killed process leaves it; the second has a flipped bit in its beginning, the third is whole and
    // has one, the fourth is too long, the fifth is no file.
    let leave = || {
        fs::create_dir_all(&partial).expect("made");
        let write = |file: &str, change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = published[file].clone();
            change(&mut bytes);
            fs::write(partial.join(file), bytes).expect("written");
        };
        write("000000.sst", &|bytes| bytes.truncate(5_000_000));
        write("000001.sst", &|bytes| {
            bytes.truncate(5_000_000);
            bytes[77] ^= 1;
        });
        write("000002.sst", &|bytes| bytes[77] ^= 1);
        write("000003.sst", &|bytes| bytes.push(0));
        fs::create_dir_all(partial.join("000004.sst/nested")).expect("made");
        fs::write(partial.join("000088.sst"), "of nothing").expect("written");
        write("000005.sst", &|_| ());
    };
    leave();
    let whole = FILE_BYTES as u64;
    // Of the damaged beginning, the rest is fetched once more for nothing.
    let expected = total - whole - 5_000_000 + (whole - 5_000_000);
    assert_eq!(finish(&scene, &manifest, &dir).await, expected);
    // A bit that flips in the repository is still its fault, whatever was there.
    leave();
    let path = scene.file_path(&manifest, "000000.sst");
    let mut damaged = published["000000.sst"].clone();
    damaged[4] ^= 1;
    fs::write(path, damaged).expect("written");
    let outcome = scene.snapshots.download(&manifest, &scene.target(), &|_| ()).await;
    match outcome {
        // Its sound beginning was there: the damage is not met, and the result is what the manifest says.
        Ok(()) => assert!(files_of(&scene.target()) == published),
        Err(error) => panic!("{error}"),
    }
    fs::remove_dir_all(scene.target()).expect("removed");
    let outcome = scene.snapshots.download(&manifest, &scene.target(), &|_| ()).await;
    assert!(matches!(outcome, Err(RepositoryError::Corrupt { .. })), "{outcome:?}");
    assert_eq!(scene.leftovers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_download_left_goes() {
    let scene = Scene::new().await;
    let (manifest, dir) = published(&scene).await;
    interrupt(&scene, &manifest, 12).await;
    assert!(bytes_in(&partial(&scene, &manifest)) > 0);
    let other = scene.publish(draft(20)).await;
    scene.snapshots.download(&other, &scene.target(), &|_| ()).await.expect("downloaded");
    assert_eq!(scene.leftovers(), [""; 0]);
    fs::remove_dir_all(scene.target()).expect("removed");

    interrupt(&scene, &manifest, 12).await;
    assert_ne!(scene.leftovers(), [""; 0]);
    for _ in 0..2 {
        scene.snapshots.discard_download(&scene.target()).await.expect("discarded");
        assert_eq!(scene.leftovers(), [""; 0]);
    }
    assert_eq!(finish(&scene, &manifest, &dir).await, manifest.size_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_download_to_the_same_place_waits() {
    let scene = Scene::new().await;
    let (manifest, dir) = published(&scene).await;
    let into = scene.target();
    let (one, two) = tokio::join!(
        scene.snapshots.download(&manifest, &into, &|_| ()),
        scene.snapshots.download(&manifest, &into, &|_| ()),
    );
    let refused = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert!(matches!(refused[..], [RepositoryError::Invalid { .. }]), "{refused:?}");
    assert!(files_of(&into) == files_of(&dir));
}

/// Every future can be boxed and sent to another thread.
#[tokio::test]
async fn futures_are_send() {
    let scene = Scene::new().await;
    let (dir, into, wanted) = (scene.checkpoint("10"), scene.target(), wanted());
    let snapshots = &scene.snapshots;
    let publish: BoxFuture<'_, _> = snapshots.publish(draft(10), &dir, &|_| ()).boxed();
    let manifest = publish.await.expect("published");
    let download: BoxFuture<'_, _> = snapshots.download(&manifest, &into, &|_| ()).boxed();
    download.await.expect("downloaded");
    fs::remove_dir_all(&into).expect("removed");
    let restore: BoxFuture<'_, _> = snapshots.restore(P, &wanted, &into, &|_, _| ()).boxed();
    restore.await.expect("restored");
    let prune: BoxFuture<'_, _> = snapshots.prune(P, 1).boxed();
    prune.await.expect("pruned");
    let collect: BoxFuture<'_, _> = snapshots.collect_orphans(P, 0).boxed();
    collect.await.expect("collected");
}
