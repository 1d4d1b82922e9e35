//! Uploads that end at any of their calls, before it or after its effect: as after kill -9, nothing is visible.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::child::Doom;
use crate::{IndexRepository, ObjectMeta, ObjectName, ObjectSource, Page};

mod process;

/// A repository in which nothing goes on from one moment on: two for each call, before it and after it.
struct Ending {
    inner: Arc<FolderRepository>,
    end: End,
}

/// How it comes to that.
enum End {
    /// Its callers wait for ever.
    Stuck { moments_left: AtomicU64, ended: Notify },
    /// The process is killed.
    Killed(Arc<Doom>),
}

impl Ending {
    fn after(scene: &Scene, moments: u64) -> (Arc<Self>, Snapshots) {
        let (moments_left, ended) = (AtomicU64::new(moments), Notify::new());
        let end = End::Stuck { moments_left, ended };
        let ending = Arc::new(Self { inner: scene.folder.clone(), end });
        (ending.clone(), Snapshots::new(ending, CLUSTER))
    }

    async fn ended(&self) {
        match &self.end {
            End::Stuck { ended, .. } => ended.notified().await,
            End::Killed(_) => std::future::pending().await,
        }
    }

    async fn moment(&self) {
        match &self.end {
            End::Killed(doom) => doom.moment(),
            End::Stuck { moments_left, ended } => {
                let less = |left: u64| left.checked_sub(1);
                if moments_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err() {
                    ended.notify_one();
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T> + Send) -> T {
        self.moment().await;
        let outcome = call.await;
        self.moment().await;
        outcome
    }
}

#[async_trait]
impl IndexRepository for Ending {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        self.around(self.inner.put_new(name, source)).await
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        self.around(self.inner.get_range(name, from, length_max)).await
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        self.around(self.inner.head(name)).await
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        self.around(self.inner.list(folder, after, limit)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        self.around(self.inner.delete(name)).await
    }
}

/// A checkpoint that shares a file with that of `draft(10)`.
fn sharing(scene: &Scene, tag: &str) -> PathBuf {
    let dir = scene.checkpoint(tag);
    fs::write(dir.join("000100.sst"), "shared").expect("written");
    dir
}

async fn publish(snapshots: &Snapshots, next_offset: u64, dir: &Path) -> Manifest {
    snapshots.publish(draft(next_offset), dir, &|_| ()).await.expect("published")
}

#[tokio::test]
async fn an_upload_that_ends_at_any_call_leaves_nothing_visible() {
    let mut endings = 0;
    for moments in 0.. {
        let scene = Scene::new().await;
        publish(&scene.snapshots, 10, &sharing(&scene, "10")).await;
        scene.publish(draft(20)).await;
        let dir = sharing(&scene, "30");
        let (ending, snapshots) = Ending::after(&scene, moments);
        let is_over = tokio::select! {
            biased;
            () = ending.ended() => false,
            outcome = snapshots.publish(draft(30), &dir, &|_| ()) => outcome.is_ok(),
        };
        // All but the last moment come before the manifest's effect.
        let found = scene.restore(&wanted()).await;
        let is_visible = offset_of(&found) == Some(30);
        assert!(is_visible || offset_of(&found) == Some(20), "{moments}: {found:?}");
        assert_eq!(found.passed_over, [], "{moments}: nothing unsound is ever visible");
        if is_over {
            assert!(is_visible);
            break;
        }
        endings += 1;
        // A killed upload is in nobody's way, and what it left goes.
        let later = publish(&scene.snapshots, 40, &sharing(&scene, "40")).await;
        assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(40));
        scene.snapshots.prune(P, 1).await.expect("pruned");
        scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
        assert_eq!(scene.count(), later.files.len() + 1, "{moments}: only what is needed is left");
        assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(40));
    }
    // Is it there, manifests and two of them, marks, the base's files, four uploads, two listings, the manifest.
    assert_eq!(endings, 26);
}
