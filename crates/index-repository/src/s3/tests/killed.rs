//! Uploads of processes that are killed: a child publishes into the bucket and ends itself at one of its requests.

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::AtomicBool;

use super::proxy::{Passing, Proxy};
use super::snapshots::{P, Scene, draft, files_of, wanted};
use super::*;
use crate::child::{self, Doom, Ended};
use crate::{Manifest, Snapshots};

/// The file of two parts has this one's length.
const LONG_BYTES: usize = PART_BYTES + 1000;

fn checkpoint(dir: &FilePath, tag: &str, long_bytes: usize) -> PathBuf {
    let dir = dir.join(format!("killed-{tag}"));
    std::fs::create_dir_all(&dir).expect("made");
    for file in ["CURRENT", "MANIFEST-000004", "OPTIONS-000007"] {
        std::fs::write(dir.join(file), format!("{file} of {tag}")).expect("written");
    }
    std::fs::write(dir.join("000012.sst"), content(3, long_bytes)).expect("written");
    std::fs::write(dir.join("000100.sst"), "shared").expect("written");
    dir
}

/// What the parent has run: before each request, after the server did it, and amid a long one is a moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some([endpoint, bucket, dir, moments]) = child::task() else { return };
    let doom = Doom::after(moments.parse().expect("a number"));
    let is_open = Arc::new(AtomicBool::new(false));
    let counts = Arc::clone(&is_open);
    let watch = move |_: Passing| {
        if counts.load(Ordering::Acquire) {
            doom.moment();
        }
    };
    let proxy = Proxy::watched(&endpoint, Arc::new(watch));
    let config = config(proxy.endpoint(), bucket);
    let snapshots = Snapshots::new(Arc::new(open(&config).await), [7; 16]);
    is_open.store(true, Ordering::Release);
    snapshots.publish(draft(30), FilePath::new(&dir), &|_| ()).await.expect("published");
}

/// A bucket in which two snapshots are, and what is in it.
struct Bucket {
    scene: Scene,
    base: BTreeSet<String>,
    base_unix_ms: u64,
    dir: PathBuf,
}

impl Bucket {
    async fn new(config: &S3Config) -> Self {
        let scene = Scene::of(config).await;
        let home = scene.dir.path().to_owned();
        for tag in [10, 20] {
            let dir = checkpoint(&home, &tag.to_string(), 100);
            scene.snapshots.publish(draft(tag), &dir, &|_| ()).await.expect("published");
        }
        let page = scene.repository.list(None, None, 1000).await.expect("listed");
        let base_unix_ms = page.objects.iter().map(|object| object.stored_unix_ms).max();
        let base = page.objects.into_iter().map(|object| object.name.to_string()).collect();
        let base_unix_ms = base_unix_ms.expect("there are objects");
        Self { scene, base, base_unix_ms, dir: checkpoint(&home, "30", LONG_BYTES) }
    }

    async fn names(&self) -> BTreeSet<String> {
        names(&self.scene.repository).await.into_iter().collect()
    }

    /// The offset of the newest snapshot, whose files are what was published.
    async fn restore(&self) -> u64 {
        let into = self.scene.dir.path().join("restored");
        let snapshots = &self.scene.snapshots;
        let found = snapshots.restore(P, &wanted(), &into, &|_, _| ()).await.expect("asked");
        assert_eq!(found.passed_over, [], "nothing unsound is ever visible");
        let offset = found.manifest.expect("found").draft.next_offset.0;
        let published = self.scene.dir.path().join(format!("killed-{offset}"));
        assert!(files_of(&into) == files_of(&published), "what was published at {offset}");
        std::fs::remove_dir_all(into).expect("removed");
        offset
    }

    /// Collects until nothing but `expected` is there; the server may still be busy with what the killed one sent.
    async fn collect_all_but(&self, expected: &BTreeSet<String>) {
        for _ in 0..1000 {
            match self.scene.snapshots.collect(P, u64::MAX).await {
                Ok(_) | Err(RepositoryError::Unavailable(_)) => {}
                Err(error) => panic!("collect: {error}"),
            }
            let pending = self.scene.repository.pending_uploads().await;
            if pending == 0 && self.names().await == *expected {
                return;
            }
        }
        panic!("{:?} stays, not {expected:?}", self.names().await);
    }

    /// What was there at first, and what is that snapshot's alone.
    async fn base_and(&self, manifest: &Manifest) -> BTreeSet<String> {
        let upload = format!("/{:032x}/", u128::from_be_bytes(manifest.upload.0));
        let own = format!("/manifests/{}", manifest.name());
        let is_own = |name: &String| name.contains(&upload) || name.ends_with(&own);
        let own: BTreeSet<_> = self.names().await.into_iter().filter(is_own).collect();
        let uploaded = manifest.files.iter().filter(|file| file.stored_in.is_none()).count();
        assert_eq!((own.len(), uploaded), (5, 4), "one file lies with an earlier upload");
        self.base.union(&own).cloned().collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_at_any_request_leaves_nothing_visible() {
    let Some(config) = bucket() else { return };
    let bucket = Bucket::new(&config).await;
    let endpoint = config.endpoint.as_deref().expect("an endpoint");
    let dir = bucket.dir.to_str().expect("a plain path");
    let snapshots = &bucket.scene.snapshots;
    let (mut kills, mut unfinished, mut orphaned, mut visible) = (0, 0, 0, 0);
    for moments in 0_u64.. {
        let task = [endpoint, &config.bucket, dir, &moments.to_string()];
        let ended = child::run(module_path!(), &task);
        let left: BTreeSet<_> = bucket.names().await.difference(&bucket.base).cloned().collect();
        let is_visible = left.iter().any(|name| name.contains("/manifests/"));
        if ended == Ended::Done {
            assert_eq!((visible, is_visible), (1, true), "only the last moment is too late");
            assert_eq!(bucket.restore().await, 30);
            break;
        }
        kills += 1;
        visible += u32::from(is_visible);
        orphaned += u32::from(!is_visible && !left.is_empty());
        let pending = bucket.scene.repository.pending_uploads().await;
        unfinished += u32::from(pending > 0);
        assert_eq!(bucket.restore().await, if is_visible { 30 } else { 20 }, "{moments}");
        // Too young to be collected.
        let young = snapshots.collect(P, bucket.base_unix_ms).await.expect("collected");
        assert_eq!(young.files, 0, "{moments}: it may still be going on");
        assert!(bucket.names().await.is_superset(&left), "{moments}");
        assert!(bucket.scene.repository.pending_uploads().await >= pending, "{moments}");
        // The same again is in nobody's way.
        let again = snapshots.publish(draft(30), &bucket.dir, &|_| ()).await;
        let manifest = match again {
            Ok(manifest) => manifest,
            Err(RepositoryError::Exists { .. }) => {
                assert!(is_visible, "{moments}");
                snapshots.newest(P, &wanted()).await.expect("asked").manifest.expect("found")
            }
            Err(error) => panic!("{moments}: {error}"),
        };
        bucket.collect_all_but(&bucket.base_and(&manifest).await).await;
        assert_eq!(bucket.restore().await, 30, "{moments}");
        // As at first.
        let withdrawn = snapshots.withdraw(P, |draft| draft.next_offset.0 == 30).await;
        assert_eq!(withdrawn.expect("withdrawn").len(), 1);
        bucket.collect_all_but(&bucket.base).await;
    }
    println!(
        "killed at {kills} moments: {unfinished} left an unfinished upload, {orphaned} left files, \
         {visible} came after the manifest"
    );
    assert!(kills > 25, "{kills}");
    assert!(unfinished >= 4 && orphaned > 5, "{unfinished} and {orphaned}");
}
