//! Pruning and collecting: what goes, what stays, and what is never touched.

use super::*;

async fn offsets(scene: &Scene) -> Vec<u64> {
    let mut wanted = wanted();
    let mut offsets = Vec::new();
    while let Some(manifest) = scene.restore(&wanted).await.manifest {
        offsets.push(manifest.draft.next_offset.0);
        wanted.except.insert(manifest.name());
    }
    offsets
}

#[tokio::test]
async fn the_newest_sound_ones_stay() {
    let scene = Scene::new().await;
    for next_offset in [10, 20, 30, 40, 50] {
        scene.publish(draft(next_offset)).await;
    }
    let other = scene.publish(SnapshotDraft { partition: PartitionId(4), ..draft(1) }).await;
    assert_eq!(scene.snapshots.prune(P, 9).await.expect("pruned"), Removed::default());
    let removed = scene.snapshots.prune(P, 2).await.expect("pruned");
    assert_eq!(removed, Removed { manifests: 3, files: 12 });
    assert_eq!(offsets(&scene).await, [50, 40]);
    assert_eq!(scene.count(), 15, "two and the other partition's");
    scene.snapshots.prune(P, 0).await.expect("pruned");
    assert_eq!(offsets(&scene).await, [50], "never the newest");
    assert_eq!(scene.snapshots.prune(P, 1).await.expect("pruned"), Removed::default());
    let into = scene.target();
    scene.snapshots.download(&other, &into, &|_| ()).await.expect("the other is whole");
}

#[tokio::test]
async fn what_is_wrong_is_withdrawn_even_the_newest() {
    let scene = Scene::new().await;
    for next_offset in [10, 20, 30] {
        scene.publish(draft(next_offset)).await;
    }
    let above = |draft: &SnapshotDraft| draft.next_offset > Offset(15);
    let withdrawn = scene.snapshots.withdraw(P, above).await.expect("withdrawn");
    assert_eq!(withdrawn.len(), 2);
    assert_eq!(offsets(&scene).await, [10]);
    assert_eq!(scene.count(), 5, "one manifest and its files");
    assert!(scene.snapshots.withdraw(P, above).await.expect("done").is_empty());
}

#[tokio::test]
async fn unsound_ones_do_not_count_and_go_only_when_replaced() {
    let scene = Scene::new().await;
    let mut manifests = Vec::new();
    for next_offset in [10, 20, 30, 40, 50] {
        manifests.push(scene.publish(draft(next_offset)).await);
    }
    fs::write(scene.manifest_path(&manifests[4]), "damaged").expect("written");
    fs::remove_file(scene.file_path(&manifests[3], "CURRENT")).expect("removed");
    fs::write(scene.manifest_path(&manifests[0]), "damaged").expect("written");
    let removed = scene.snapshots.prune(P, 3).await.expect("pruned");
    assert_eq!(removed, Removed::default(), "only two are sound");
    let removed = scene.snapshots.prune(P, 2).await.expect("pruned");
    assert_eq!(removed, Removed { manifests: 1, files: 4 }, "the damaged one at 10");
    let removed = scene.snapshots.prune(P, 1).await.expect("pruned");
    assert_eq!(removed, Removed { manifests: 1, files: 4 }, "the sound one at 20");
    assert_eq!(offsets(&scene).await, [30]);
    assert!(scene.manifest_path(&manifests[4]).exists(), "newer than the newest sound: kept");
}

#[tokio::test]
async fn each_build_and_what_newer_readers_know_stays() {
    let scene = Scene::new().await;
    let newer_reader = scene.publish(draft(5)).await;
    let path = scene.manifest_path(&newer_reader);
    let mut bytes = fs::read(&path).expect("read");
    bytes[8] = 2;
    fs::write(&path, bytes).expect("written");
    for next_offset in [10, 20, 30] {
        scene.publish(SnapshotDraft { build: "build-b".to_owned(), ..draft(next_offset) }).await;
        scene.publish(draft(next_offset - 2)).await;
    }
    scene.snapshots.prune(P, 1).await.expect("pruned");
    assert_eq!(offsets(&scene).await, [30, 28]);
    assert!(path.exists());
    assert!(scene.file_path(&newer_reader, "CURRENT").exists());
}

#[tokio::test]
async fn orphans_go_when_they_are_old_enough() {
    let scene = Scene::new().await;
    let kept = scene.publish(draft(10)).await;
    let unreadable = scene.publish(draft(20)).await;
    fs::write(scene.manifest_path(&unreadable), "damaged").expect("written");
    let orphaned = scene.publish(draft(30)).await;
    fs::remove_file(scene.manifest_path(&orphaned)).expect("removed");
    // Another upload of the snapshot that is kept.
    let other = Manifest { upload: UploadId([1; 16]), ..kept.clone() };
    let stray = scene.file_path(&other, "CURRENT");
    fs::create_dir_all(stray.parent().expect("a parent")).expect("made");
    fs::write(&stray, "x").expect("written");

    // One file of the orphan is old, the others are not: the upload may still be going on.
    let age = |path: &Path, unix_ms: u64| {
        let file = fs::File::options().write(true).open(path).expect("opened");
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
        file.set_modified(time).expect("aged");
    };
    age(&scene.file_path(&orphaned, "CURRENT"), 1000);
    let collect =
        async |unix_ms| scene.snapshots.collect_orphans(P, unix_ms).await.expect("collected");
    assert_eq!(collect(2000).await, 0);
    age(&stray, 1999);
    assert_eq!(collect(1999).await, 0);
    assert_eq!(collect(2000).await, 1, "the stray upload");
    for file in &orphaned.files {
        age(&scene.file_path(&orphaned, file.name.as_str()), 1500);
        age(&scene.file_path(&kept, file.name.as_str()), 1);
    }
    assert_eq!(collect(2000).await, 4, "the orphan");
    assert_eq!(collect(u64::MAX).await, 0, "what manifests name stays, also unreadable ones");
    assert_eq!(offsets(&scene).await, [10]);
    assert_eq!(scene.count(), 10);
}

/// A collector that is too eager makes an upload fail, never unsound.
#[tokio::test]
async fn an_upload_that_lost_files_is_not_published() {
    fn remove_files(dir: &Path) {
        for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                remove_files(&path);
            } else {
                fs::remove_file(path).expect("removed");
            }
        }
    }
    let scene = Scene::new().await;
    let dir = scene.checkpoint("10");
    fs::write(dir.join("000099.sst"), "the fifth file").expect("written");
    let total: u64 = files_of(&dir).values().map(|bytes| bytes.len() as u64).sum();
    let (objects, found) = (scene.objects(), Mutex::new(0));
    // When the last bytes leave, at most four of the five files are on their way.
    let take_away = |sent| {
        if sent == total {
            *found.lock().expect("unpoisoned") = scene.count();
            remove_files(&objects);
        }
    };
    let outcome = scene.snapshots.publish(draft(10), &dir, &take_away).await;
    assert!(*found.lock().expect("unpoisoned") > 0);
    match outcome {
        Err(RepositoryError::Corrupt { problem, .. }) => assert!(problem.contains("missing")),
        other => panic!("expected corruption, got {other:?}"),
    }
    assert_eq!(scene.newest(&wanted()).await, Found::default());
}
