//! Publishing: what may be in it, once only, side by side.

use futures::future::join_all;

use super::*;

#[tokio::test]
async fn what_is_published_is_found_and_comes_back() {
    let scene = Scene::new().await;
    assert_eq!(scene.newest(&wanted()).await, Found::default(), "nothing at first");
    let dir = scene.checkpoint("large");
    // Over several chunks and several reads, and an empty one.
    let large: Vec<u8> = (0_u8..=250).cycle().take(9 * 1024 * 1024 + 3).collect();
    fs::write(dir.join("000013.sst"), &large).expect("written");
    fs::write(dir.join("000014.blob"), "").expect("written");
    let seen = Mutex::new(Vec::new());
    let progress = |bytes| seen.lock().expect("unpoisoned").push(bytes);
    let manifest = scene.snapshots.publish(draft(10), &dir, &progress).await.expect("published");
    let total: u64 = files_of(&dir).values().map(|bytes| bytes.len() as u64).sum();
    assert_eq!((manifest.size_bytes(), manifest.files.len()), (total, 6));
    let uploading = std::mem::take(&mut *seen.lock().expect("unpoisoned"));
    assert!(uploading.is_sorted() && uploading.len() > 10, "{uploading:?}");
    assert_eq!(uploading.last(), Some(&total));

    let found = scene.newest(&wanted()).await;
    assert_eq!(found, Found { manifest: Some(manifest.clone()), passed_over: Vec::new() });
    let into = scene.target();
    scene.snapshots.download(&manifest, &into, &progress).await.expect("downloaded");
    assert_eq!(files_of(&into), files_of(&dir));
    assert_eq!(seen.lock().expect("unpoisoned").last(), Some(&total));
}

#[tokio::test]
async fn the_same_draft_is_published_once() {
    let scene = Scene::new().await;
    let first = scene.publish(draft(10)).await;
    let objects = scene.count();
    // The time is not part of what a snapshot is.
    for created_unix_ms in [first.draft.created_unix_ms, 1] {
        let again = SnapshotDraft { created_unix_ms, ..draft(10) };
        let outcome = scene.snapshots.publish(again, &scene.checkpoint("other"), &|_| ()).await;
        assert!(matches!(outcome, Err(RepositoryError::Exists { .. })), "{outcome:?}");
    }
    assert_eq!(scene.count(), objects, "nothing was uploaded");
    assert_eq!(scene.restore(&wanted()).await.manifest, Some(first));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_publishing_the_same_one_does() {
    let scene = Scene::new().await;
    let dirs: Vec<_> = (0..8).map(|i| scene.checkpoint(&format!("racer-{i}"))).collect();
    let racers = dirs.iter().map(|dir| scene.snapshots.publish(draft(10), dir, &|_| ()));
    let outcomes = join_all(racers).await;
    let winners: Vec<_> = (0..8).filter(|&i| outcomes[i].is_ok()).collect();
    let [winner] = winners[..] else { panic!("winners: {winners:?}") };
    for (i, outcome) in outcomes.iter().enumerate().filter(|(i, _)| *i != winner) {
        assert!(matches!(outcome, Err(RepositoryError::Exists { .. })), "{i}: {outcome:?}");
    }
    let manifest = outcomes[winner].as_ref().expect("won");
    assert_eq!(scene.newest(&wanted()).await.manifest.as_ref(), Some(manifest));
    scene.snapshots.download(manifest, &scene.target(), &|_| ()).await.expect("downloaded");
    assert_eq!(files_of(&scene.target()), files_of(&dirs[winner]));
}

#[tokio::test]
async fn every_part_of_what_a_snapshot_is_makes_another_name() {
    let changes: [Change<SnapshotDraft>; 10] = [
        |_| (),
        |d| d.log_generation = LogGeneration(3),
        |d| d.partition = PartitionId(4),
        |d| d.slots[1].first = Slot(12_289),
        |d| d.map_version = 2,
        |d| d.build = "build-b".to_owned(),
        |d| d.epoch = Epoch(6),
        |d| d.uploader = "leaf-2".to_owned(),
        |d| d.next_offset = Offset(11),
        |d| (d.build, d.uploader) = ("build-alea".to_owned(), "f-1".to_owned()),
    ];
    let mut names = BTreeSet::new();
    for change in changes {
        let mut changed = draft(10);
        change(&mut changed);
        assert!(names.insert(SnapshotName::of(CLUSTER, &changed)));
    }
    assert!(names.insert(SnapshotName::of([8; 16], &draft(10))));
}

#[tokio::test]
async fn uploaders_of_one_offset_do_not_disturb_each_other() {
    let scene = Scene::new().await;
    let other = SnapshotDraft { uploader: "leaf-2".to_owned(), ..draft(10) };
    let (one, two) = (scene.checkpoint("10"), scene.checkpoint("two"));
    let (one, two) = tokio::join!(
        scene.snapshots.publish(draft(10), &one, &|_| ()),
        scene.snapshots.publish(other, &two, &|_| ()),
    );
    let (one, two) = (one.expect("published"), two.expect("published"));
    for (manifest, tag) in [(&one, "10"), (&two, "two")] {
        let into = scene.target();
        scene.snapshots.download(manifest, &into, &|_| ()).await.expect("downloaded");
        assert_eq!(files_of(&into), files_of(&scene.checkpoint(tag)));
        fs::remove_dir_all(into).expect("removed");
    }
    // When one is damaged the other serves.
    for (damaged, left) in [(&one, &two), (&two, &one)] {
        let path = scene.manifest_path(damaged);
        let kept = fs::read(&path).expect("read");
        fs::write(&path, "damaged").expect("written");
        assert_eq!(scene.newest(&wanted()).await.manifest.as_ref(), Some(left));
        fs::write(&path, kept).expect("written");
    }
}

#[tokio::test]
async fn only_files_of_a_checkpoint_are_uploaded() {
    let scene = Scene::new().await;
    let make: [fn(&Path); 6] = [
        |dir| fs::write(dir.join("000013.log"), "x").expect("written"),
        |dir| fs::write(dir.join("IDENTITY"), "x").expect("written"),
        |dir| fs::create_dir(dir.join("000013.sst")).expect("made"),
        |dir| std::os::unix::fs::symlink("/etc/hostname", dir.join("000013.sst")).expect("linked"),
        |dir| fs::create_dir(dir.join("archive")).expect("made"),
        |dir| {
            fs::remove_dir_all(dir).expect("removed");
            fs::create_dir(dir).expect("made");
        },
    ];
    for (i, make) in make.into_iter().enumerate() {
        let dir = scene.checkpoint(&format!("refused-{i}"));
        make(&dir);
        let outcome = scene.snapshots.publish(draft(10), &dir, &|_| ()).await;
        assert!(matches!(outcome, Err(RepositoryError::Invalid { .. })), "{i}: {outcome:?}");
        assert_eq!(scene.newest(&wanted()).await, Found::default());
    }
    let missing = scene.dir.path().join("missing");
    let outcome = scene.snapshots.publish(draft(10), &missing, &|_| ()).await;
    assert!(matches!(outcome, Err(RepositoryError::Local { .. })));
}

#[tokio::test]
async fn bounds_are_checked_before_anything_is_stored() {
    let scene = Scene::new().await;
    let changes: [Change<SnapshotDraft>; 9] = [
        |d| d.slots.clear(),
        |d| d.slots.reverse(),
        |d| d.slots[1].last = Slot(16_384),
        |d| d.slots[1].first = Slot(99),
        |d| d.build.clear(),
        |d| d.build = "x".repeat(BUILD_BYTES_MAX + 1),
        |d| d.uploader = "x".repeat(UPLOADER_BYTES_MAX + 1),
        |d| d.document_digest = vec![0; DIGEST_BYTES_MAX + 1],
        |d| d.created_unix_ms = u64::MAX,
    ];
    let dir = scene.checkpoint("x");
    for (i, change) in changes.into_iter().enumerate() {
        let mut changed = draft(10);
        change(&mut changed);
        let outcome = scene.snapshots.publish(changed, &dir, &|_| ()).await;
        assert!(matches!(outcome, Err(RepositoryError::Invalid { .. })), "{i}: {outcome:?}");
    }
    // 10,001 files are too many; they are not looked at one by one.
    for i in 0..FILES_MAX {
        fs::write(dir.join(format!("{i:09}.sst")), "").expect("written");
    }
    let outcome = scene.snapshots.publish(draft(10), &dir, &|_| ()).await;
    assert!(matches!(outcome, Err(RepositoryError::Invalid { .. })), "{outcome:?}");
    assert_eq!(scene.count(), 0);
}
