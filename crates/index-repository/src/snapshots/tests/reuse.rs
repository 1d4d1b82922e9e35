//! Files that are there already are named where they lie; whoever needs them keeps them.

use super::*;

/// A checkpoint of these files beside the small ones every checkpoint has.
fn folder(scene: &Scene, tag: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = scene.checkpoint(tag);
    for (name, content) in files {
        fs::write(dir.join(name), content).expect("written");
    }
    dir
}

async fn publish(scene: &Scene, next_offset: u64, files: &[(&str, &str)]) -> Manifest {
    let dir = folder(scene, &next_offset.to_string(), files);
    scene.snapshots.publish(draft(next_offset), &dir, &|_| ()).await.expect("published")
}

/// The names of the files that an earlier upload has.
fn reused(manifest: &Manifest) -> Vec<&str> {
    let earlier = manifest.files.iter().filter(|file| file.stored_in.is_some());
    earlier.map(|file| file.name.as_str()).collect()
}

async fn collect(scene: &Scene) -> u64 {
    scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected")
}

#[tokio::test]
async fn what_the_last_but_one_holds_is_not_uploaded_again() {
    let scene = Scene::new().await;
    let large = [("000100.sst", "large"), ("000101.sst", "large too")];
    let first = publish(&scene, 10, &large).await;
    let second = publish(&scene, 20, &large).await;
    assert_eq!(
        (reused(&first), reused(&second)),
        (vec![], vec![]),
        "none shares with its neighbour"
    );
    let objects = scene.count();
    let seen = Mutex::new(0);
    let progress = |bytes| *seen.lock().expect("unpoisoned") = bytes;
    let dir = folder(&scene, "30", &large);
    let third = scene.snapshots.publish(draft(30), &dir, &progress).await.expect("published");
    assert_eq!(reused(&third), ["000100.sst", "000101.sst"]);
    assert_eq!(*seen.lock().expect("unpoisoned"), third.size_bytes());
    assert_eq!(third.size_bytes() - third.uploaded_bytes(), 14);
    assert_eq!(scene.count(), objects + 5, "four small files and the manifest");
    let fourth = publish(&scene, 40, &large).await;
    let fifth = publish(&scene, 50, &large).await;
    // Where they lie is passed on, not where they were found.
    for (manifest, from) in [(&third, &first), (&fourth, &second), (&fifth, &first)] {
        let is_large = |file: &&SnapshotFile| file.name.as_str().starts_with("0001");
        for file in manifest.files.iter().filter(is_large) {
            assert_eq!(file.stored_in, Some(from.own()), "{manifest:?}");
        }
    }
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(50));

    // Damage to one object leaves the neighbour.
    let path = scene.file_path(&fifth, "000100.sst");
    fs::write(&path, "lArge").expect("damaged");
    let found = scene.restore(&wanted()).await;
    assert_eq!(offset_of(&found), Some(40));
    assert_eq!(reasons(&found)[0].file(), Some("000100.sst"));
}

#[tokio::test]
async fn the_hash_decides() {
    let scene = Scene::new().await;
    publish(&scene, 10, &[("000100.sst", "one"), ("000101.sst", "two")]).await;
    publish(&scene, 20, &[]).await;
    let other = [("000100.sst", "One"), ("000101.sst", "two and more"), ("000102.sst", "two")];
    let third = publish(&scene, 30, &other).await;
    assert_eq!(
        reused(&third),
        [""; 0],
        "same length, same name, and same content, never all three"
    );
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(30));
}

#[tokio::test]
async fn only_the_same_build_and_slots_are_looked_through() {
    let changes: [(Change<SnapshotDraft>, bool); 5] = [
        (|_| (), true),
        (|d| d.uploader = "leaf-2".to_owned(), true),
        (|d| d.build = "build-b".to_owned(), false),
        (|d| d.slots.truncate(1), false),
        (|d| d.partition = PartitionId(4), false),
    ];
    for (i, (change, is_reused)) in changes.into_iter().enumerate() {
        let scene = Scene::new().await;
        publish(&scene, 10, &[("000100.sst", "one")]).await;
        publish(&scene, 20, &[]).await;
        let mut third = draft(30);
        change(&mut third);
        let dir = folder(&scene, "30", &[("000100.sst", "one")]);
        let third = scene.snapshots.publish(third, &dir, &|_| ()).await.expect("published");
        assert_eq!(!reused(&third).is_empty(), is_reused, "case {i}");
    }
}

#[tokio::test]
async fn what_is_named_stays_when_its_snapshot_goes() {
    let scene = Scene::new().await;
    let first = publish(&scene, 10, &[("000100.sst", "one"), ("000101.sst", "two")]).await;
    publish(&scene, 20, &[]).await;
    let third = publish(&scene, 30, &[("000100.sst", "one")]).await;
    assert_eq!(reused(&third), ["000100.sst"]);
    assert_eq!(scene.snapshots.prune(P, 1).await.expect("pruned").manifests, 2);
    assert_eq!(collect(&scene).await, 5 + 4, "all of the first and second but what is named");
    assert!(scene.file_path(&third, "000100.sst").exists());
    assert!(!scene.file_path(&first, "000101.sst").exists());
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(30));
    assert_eq!(scene.count(), 6);

    // A manifest for newer readers may name anything that is older.
    let path = scene.manifest_path(&third);
    let sound = fs::read(&path).expect("read");
    let mut bytes = sound.clone();
    bytes[8] = 9;
    fs::write(&path, bytes).expect("written");
    assert_eq!(collect(&scene).await, 0);
    fs::write(&path, sound).expect("written");
    scene.snapshots.withdraw(P, |_| true).await.expect("withdrawn");
    assert_eq!(collect(&scene).await, 5, "and with the last that names it, it goes");
    assert_eq!(scene.count(), 0, "nor are there marks");
}

#[tokio::test]
async fn what_is_being_removed_is_no_base() {
    let scene = Scene::new().await;
    let first = publish(&scene, 10, &[("000100.sst", "one")]).await;
    publish(&scene, 20, &[]).await;
    // As a collector leaves it that ended between its mark and the manifest.
    let bytes = fs::read(scene.manifest_path(&first)).expect("read");
    scene.snapshots.retire(P, &first.name()).await.expect("retired");
    fs::write(scene.manifest_path(&first), bytes).expect("written");
    let third = publish(&scene, 30, &[("000100.sst", "one")]).await;
    assert_eq!(reused(&third), [""; 0]);
    // The mark goes by and by, and it is a base again.
    assert_eq!(collect(&scene).await, 0);
    let fourth = publish(&scene, 40, &[("000100.sst", "one")]).await;
    assert_eq!(reused(&fourth), ["000100.sst"]);
}

#[tokio::test]
async fn a_base_that_lost_its_files_is_none() {
    let scene = Scene::new().await;
    let first = publish(&scene, 10, &[("000100.sst", "one")]).await;
    publish(&scene, 20, &[]).await;
    fs::remove_file(scene.file_path(&first, "000100.sst")).expect("removed");
    let dir = folder(&scene, "30", &[("000100.sst", "one")]);
    let third = scene.snapshots.publish(draft(30), &dir, &|_| ()).await.expect("published");
    assert_eq!(reused(&third), [""; 0]);
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(30));
}

/// One manifest names so many uploads and no more: those that save least are uploaded again.
#[tokio::test]
async fn uploads_are_bounded() {
    let scene = Scene::new().await;
    let names: Vec<_> = (100..100 + UPLOADS_MAX + 2).map(|i| format!("{i:06}.sst")).collect();
    let mut base = publish(&scene, 10, &[]).await;
    // As if each came from another upload; the first two are the smallest.
    for (i, name) in names.iter().enumerate() {
        let content = if i < 2 { "s" } else { "large" };
        let upload = UploadId([u8::try_from(i).expect("few"); 16]);
        let stored_in = StoredIn { snapshot: SnapshotName::of(CLUSTER, &draft(1)), upload };
        let folder = scene.snapshots.folder(P).expect("a folder");
        let name = FileName::new(name.as_str()).expect("allowed");
        let path = scene.objects().join(folder.file(&stored_in, &name).expect("named").as_str());
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
        let sha256 = crate::source::sha256(content.as_bytes());
        let size_bytes = content.len() as u64;
        base.files.push(SnapshotFile { name, size_bytes, sha256, stored_in: Some(stored_in) });
    }
    base.files.sort_by(|left, right| left.name.cmp(&right.name));
    assert!(envelope::encode(&base).is_err(), "too many in one");
    // Two bases then, each with its half.
    for (next_offset, is_even) in [(11, true), (12, false)] {
        let mut half = Manifest { draft: draft(next_offset), ..base.clone() };
        let mut is_kept = is_even;
        half.files.retain(|file| {
            is_kept = !is_kept;
            is_kept && file.stored_in.is_some()
        });
        fs::write(scene.manifest_path(&half), envelope::encode(&half).expect("in bounds"))
            .expect("written");
    }
    publish(&scene, 20, &[]).await;
    let files: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(i, name)| (name.as_str(), if i < 2 { "s" } else { "large" }))
        .collect();
    let manifest = publish(&scene, 30, &files).await;
    let expected: Vec<_> = names.iter().skip(2).map(String::as_str).collect();
    assert_eq!(reused(&manifest), expected);
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(30));
}
