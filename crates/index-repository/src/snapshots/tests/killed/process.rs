//! The same with real processes: a child publishes into the folder and kills itself at one of its steps.

use super::*;
use crate::CHUNK_BYTES;
use crate::child::{self, Ended};

/// The checkpoint the child publishes: a file that is there already, and one of several chunks.
fn checkpoint(dir: &Path) -> PathBuf {
    let dir = dir.join("checkpoint-30");
    let _ = fs::create_dir(&dir);
    for name in ["CURRENT", "MANIFEST-000004", "OPTIONS-000007"] {
        fs::write(dir.join(name), format!("{name} of 30")).expect("written");
    }
    fs::write(dir.join("000012.sst"), vec![30; 2 * CHUNK_BYTES + 1]).expect("written");
    fs::write(dir.join("000100.sst"), "shared").expect("written");
    dir
}

/// What the parent has run: before and after each call is a moment, and so is each chunk that was read.
#[tokio::test]
async fn child() {
    let Some([dir, moments]) = child::task() else { return };
    let dir = Path::new(&dir);
    let inner = FolderRepository::open(&dir.join("repository")).await.expect("opened");
    let doom = Arc::new(Doom::after(moments.parse().expect("a number")));
    let ending = Ending { inner: Arc::new(inner), end: End::Killed(Arc::clone(&doom)) };
    let snapshots = Snapshots::new(Arc::new(ending), CLUSTER);
    let (dir, progress) = (dir.join("checkpoint-30"), |_| doom.moment());
    snapshots.publish(draft(30), &dir, &progress).await.expect("published");
}

/// All objects, by their names.
async fn names(scene: &Scene) -> BTreeSet<ObjectName> {
    let page = scene.folder.list(None, None, 1_000).await.expect("listed");
    page.objects.into_iter().map(|object| object.name).collect()
}

fn partial(scene: &Scene) -> usize {
    fs::read_dir(scene.dir.path().join("repository/partial")).expect("listed").count()
}

#[tokio::test]
async fn a_process_killed_at_any_step_leaves_nothing_visible() {
    let (mut kills, mut unfinished, mut orphaned, mut visible) = (0, 0, 0, 0);
    for moments in 0_u64.. {
        let scene = Scene::new().await;
        publish(&scene.snapshots, 10, &sharing(&scene, "10")).await;
        let base = scene.publish(draft(20)).await;
        let (before, dir) = (names(&scene).await, checkpoint(scene.dir.path()));
        let home = scene.dir.path().to_str().expect("a plain path");
        let ended = child::run(module_path!(), &[home, &moments.to_string()]);
        let left: BTreeSet<_> = names(&scene).await.difference(&before).cloned().collect();
        let is_visible = left.iter().any(|name| name.as_str().contains("/manifests/"));
        // A killed upload is invisible, and what was there before comes back as it was.
        let found = scene.newest(&wanted()).await;
        assert_eq!(found.passed_over, [], "{moments}: nothing unsound is ever visible");
        assert_eq!(offset_of(&found), Some(if is_visible { 30 } else { 20 }), "{moments}");
        if ended == Ended::Done {
            assert_eq!((visible, is_visible), (1, true), "only the last moment is too late");
            break;
        }
        kills += 1;
        visible += u32::from(is_visible);
        if !is_visible {
            assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20), "{moments}");
        }
        unfinished += u32::from(partial(&scene) > 0);
        orphaned += u32::from(!is_visible && !left.is_empty());
        // Too young to be collected, and known to whoever looks for older ones.
        let base_unix_ms = fs::metadata(scene.manifest_path(&base)).and_then(|it| it.modified());
        let base_unix_ms = base_unix_ms.expect("a time").duration_since(std::time::UNIX_EPOCH);
        let base_unix_ms = base_unix_ms.expect("a time").as_millis().try_into().expect("small");
        let young = scene.snapshots.collect(P, base_unix_ms).await.expect("collected");
        assert_eq!(young.files, 0, "{moments}: it may still be going on");
        let old = scene.snapshots.collectable(P, u64::MAX).await.expect("asked");
        let orphans = if is_visible { 0 } else { left.len() };
        assert_eq!(old.files, orphans as u64, "{moments}: {left:?}");
        // The same again is in nobody's way.
        let again = scene.snapshots.publish(draft(30), &dir, &|_| ()).await;
        match again {
            Ok(_) => assert!(!is_visible),
            Err(RepositoryError::Exists { .. }) => assert!(is_visible),
            Err(error) => panic!("{moments}: {error}"),
        }
        let collected = scene.snapshots.collect(P, u64::MAX).await.expect("collected");
        assert_eq!(collected.files, orphans as u64, "{moments}");
        let into = scene.target();
        let found = scene.snapshots.restore(P, &wanted(), &into, &|_, _| ()).await.expect("asked");
        assert_eq!(offset_of(&found), Some(30), "{moments}");
        assert_eq!(files_of(&into), files_of(&dir), "{moments}");
        // Files that were being written go when somebody opens the folder.
        FolderRepository::open(&scene.dir.path().join("repository")).await.expect("opened");
        assert_eq!(partial(&scene), 0, "{moments}");
    }
    println!(
        "killed at {kills} moments: {unfinished} amid a file, {orphaned} left files, {visible} came after the manifest"
    );
    // Before and after each call, as above; and at each chunk that was read, and the file that was not.
    assert!(kills > 30, "{kills}");
    assert!(unfinished > 3 && orphaned > 5, "{unfinished} and {orphaned}");
}
