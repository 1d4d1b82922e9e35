//! Downloading: into its place whole, or not at all.

use super::*;

#[tokio::test]
async fn the_target_is_empty_or_not_there() {
    let scene = Scene::new().await;
    let manifest = scene.publish(draft(10)).await;
    let into = scene.target();
    // Rests of a download that was interrupted.
    let rests = scene.dir.path().join("restored.downloading/rests");
    fs::create_dir_all(&rests).expect("made");
    fs::write(rests.join("000099.sst"), "old").expect("written");
    fs::create_dir(&into).expect("made");
    scene.snapshots.download(&manifest, &into, &|_| ()).await.expect("downloaded");
    assert_eq!(files_of(&into), files_of(&scene.checkpoint("10")));
    assert_eq!(scene.leftovers(), [""; 0]);

    let outcome = scene.snapshots.download(&manifest, &into, &|_| ()).await;
    assert!(matches!(outcome, Err(RepositoryError::Invalid { .. })), "{outcome:?}");
    assert_eq!(files_of(&into), files_of(&scene.checkpoint("10")), "what was there stays");
    for refused in [scene.dir.path().join("no/folder"), PathBuf::from("/")] {
        assert!(scene.snapshots.download(&manifest, &refused, &|_| ()).await.is_err());
        assert!(!scene.dir.path().join("no").exists());
    }
}

#[tokio::test]
async fn a_failed_download_leaves_nothing_and_names_the_file() {
    let scene = Scene::new().await;
    let manifest = scene.publish(draft(10)).await;
    for file in ["000012.sst", "OPTIONS-000007"] {
        let path = scene.file_path(&manifest, file);
        let whole = fs::read(&path).expect("read");
        let damages: [Option<&[u8]>; 3] = [Some(b"short"), None, Some(&vec![0; whole.len()])];
        for damage in damages {
            match damage {
                Some(bytes) => fs::write(&path, bytes).expect("written"),
                None => fs::remove_file(&path).expect("removed"),
            }
            match scene.snapshots.download(&manifest, &scene.target(), &|_| ()).await {
                Err(RepositoryError::Corrupt { name, .. }) => {
                    assert!(name.ends_with(&format!("/{file}")), "{name}");
                }
                other => panic!("expected corruption, got {other:?}"),
            }
            assert!(!scene.target().exists());
            assert_eq!(scene.leftovers(), [""; 0]);
        }
        fs::write(&path, whole).expect("written");
    }
    scene.snapshots.download(&manifest, &scene.target(), &|_| ()).await.expect("downloaded");
}

#[tokio::test]
async fn a_dropped_download_leaves_no_snapshot() {
    let scene = Scene::new().await;
    let dir = scene.checkpoint("10");
    for i in 0..10 {
        fs::write(dir.join(format!("{i:06}.sst")), vec![1; 5 * 1024 * 1024]).expect("written");
    }
    let manifest = scene.snapshots.publish(draft(10), &dir, &|_| ()).await.expect("published");
    let into = scene.target();
    for _ in 0..20 {
        let (reached, wait) = tokio::sync::oneshot::channel::<()>();
        let reached = Mutex::new(Some(reached));
        let progress = |_| {
            if let Some(reached) = reached.lock().expect("unpoisoned").take() {
                let _ = reached.send(());
            }
        };
        tokio::select! {
            biased;
            _ = wait => {}
            outcome = scene.snapshots.download(&manifest, &into, &progress) => panic!("{outcome:?}"),
        }
        assert!(!into.exists());
        // What is still being written goes on for a moment, in a folder of its own.
    }
    scene.snapshots.download(&manifest, &into, &|_| ()).await.expect("downloaded");
    assert_eq!(files_of(&into), files_of(&dir));
}
