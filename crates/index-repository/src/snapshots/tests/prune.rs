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
    assert_eq!(removed, Removed { manifests: 3, files: 0 });
    assert_eq!(offsets(&scene).await, [50, 40]);
    assert_eq!(
        scene.count(),
        30,
        "five, one of the other partition, and three marks for manifests"
    );
    let all = Collected { files: 12, bytes: 210 };
    assert_eq!(scene.snapshots.collectable(P, u64::MAX).await.expect("listed"), all);
    assert_eq!(scene.count(), 30, "only listed");
    assert_eq!(scene.snapshots.collect(P, u64::MAX).await.expect("collected"), all);
    assert_eq!(scene.count(), 15, "two and the other partition's");
    let partitions = scene.snapshots.partitions().await.expect("listed");
    assert_eq!(partitions, [P, PartitionId(4)]);
    let now = scene.snapshots.repository_unix_ms().await.expect("asked");
    assert!(now > 1_700_000_000_000, "{now}");
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
    scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
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
    assert_eq!(removed, Removed { manifests: 1, files: 0 }, "the damaged one at 10");
    let removed = scene.snapshots.prune(P, 1).await.expect("pruned");
    assert_eq!(removed, Removed { manifests: 1, files: 0 }, "the sound one at 20");
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

/// When an object was stored.
fn age(path: &Path, unix_ms: u64) {
    let file = fs::File::options().write(true).open(path).expect("opened");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms);
    file.set_modified(time).expect("aged");
}

#[tokio::test]
async fn orphans_go_when_they_are_old_enough() {
    let scene = Scene::new().await;
    let kept = scene.publish(draft(10)).await;
    let orphaned = scene.publish(draft(30)).await;
    fs::remove_file(scene.manifest_path(&orphaned)).expect("removed");
    // Another upload of the snapshot that is kept.
    let other = Manifest { upload: UploadId([1; 16]), ..kept.clone() };
    let stray = scene.file_path(&other, "CURRENT");
    fs::create_dir_all(stray.parent().expect("a parent")).expect("made");
    fs::write(&stray, "x").expect("written");

    // One file of the orphan is old, the others are not: the upload may still be going on.
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
    assert_eq!(collect(u64::MAX).await, 0, "what manifests name stays");
    assert_eq!(offsets(&scene).await, [10]);
    assert_eq!(scene.count(), 5);
}

/// What it names is not known: what is older than it may be.
#[tokio::test]
async fn an_unreadable_manifest_keeps_what_it_may_name() {
    const DAY: u64 = 24 * 3_600_000;
    for (byte, content) in [(None, &b"damaged"[..]), (Some(2), &[])] {
        let scene = Scene::new().await;
        let mut published = Vec::new();
        for next_offset in [10, 20, 30] {
            published.push(scene.publish(draft(next_offset)).await);
        }
        let [older, unreadable, newer] = &published[..] else { panic!("three") };
        let path = scene.manifest_path(unreadable);
        let mut bytes = fs::read(&path).expect("read");
        match byte {
            Some(version) => bytes[8] = version,
            None => bytes = content.to_vec(),
        }
        fs::write(&path, bytes).expect("written");
        for (manifest, unix_ms) in [(older, DAY), (unreadable, 2 * DAY), (newer, 4 * DAY)] {
            for file in &manifest.files {
                age(&scene.file_path(manifest, file.name.as_str()), unix_ms);
            }
        }
        age(&path, 2 * DAY);
        for manifest in [older, newer] {
            fs::remove_file(scene.manifest_path(manifest)).expect("removed");
        }
        let collected = scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
        assert_eq!(collected, 4, "of what came later");
        assert!(scene.file_path(older, "CURRENT").exists());
        assert!(scene.file_path(unreadable, "CURRENT").exists());
        // Once it is gone, nothing keeps them.
        fs::remove_file(&path).expect("removed");
        let collected = scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
        assert_eq!(collected, 8);
    }
}

/// The files of what is removed stay for a day; pruning itself comes back to them.
#[tokio::test]
async fn files_of_the_removed_wait_a_day() {
    const HOUR: u64 = 3_600_000;
    let scene = Scene::new().await;
    let first = scene.publish(draft(10)).await;
    scene.publish(draft(20)).await;
    scene.snapshots.prune(P, 1).await.expect("pruned");
    let marks = scene.snapshots.marks(P).await.expect("listed");
    let [(name, mark)] = &marks[..] else { panic!("{marks:?}") };
    assert_eq!(*name, first.name());
    let now = mark.stored_unix_ms;
    for file in &first.files {
        age(&scene.file_path(&first, file.name.as_str()), 1);
    }
    let collect = async |at| scene.snapshots.collect_orphans(P, at).await.expect("collected");
    assert_eq!(collect(now).await, 0, "removed just now, however old its files are");
    age(&scene.objects().join(mark.name.as_str()), now - 29 * HOUR);
    scene.publish(draft(30)).await;
    assert_eq!(scene.snapshots.prune(P, 1).await.expect("pruned").files, 0, "not yet");
    age(&scene.objects().join(mark.name.as_str()), now - 31 * HOUR);
    scene.publish(draft(40)).await;
    let removed = scene.snapshots.prune(P, 1).await.expect("pruned");
    assert_eq!(removed, Removed { manifests: 1, files: 4 });
    let marks = scene.snapshots.marks(P).await.expect("listed");
    assert_eq!(marks.len(), 2, "its mark went with them");
    assert_eq!(offsets(&scene).await, [40]);
}

#[tokio::test]
async fn recent_ones_stay_however_many() {
    let scene = Scene::new().await;
    let mut times = Vec::new();
    for (next_offset, unix_ms) in [(10, 1000), (20, 2000), (30, 3000)] {
        let manifest = scene.publish(draft(next_offset)).await;
        age(&scene.manifest_path(&manifest), unix_ms);
        times.push(manifest.name());
    }
    let replaced = async |since| {
        let retention = Retention { keep: 1, since_unix_ms: Some(since) };
        scene.snapshots.replaced(P, &retention).await.expect("listed")
    };
    assert_eq!(replaced(500).await, []);
    assert_eq!(replaced(1500).await, times[..1]);
    assert_eq!(replaced(9999).await, [times[1].clone(), times[0].clone()], "never the newest");
    assert_eq!(offsets(&scene).await, [30, 20, 10], "only listed");
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
