//! Damage at rest: any object of the newest snapshot, any byte of it; the older one is used.

use super::*;

const FILES: [&str; 4] = ["000012.sst", "CURRENT", "MANIFEST-000004", "OPTIONS-000007"];

/// A scene with an older snapshot at 10 and a newer one at 20.
async fn two() -> (Scene, Manifest) {
    let scene = Scene::new().await;
    scene.publish(draft(10)).await;
    let newer = scene.publish(draft(20)).await;
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20));
    (scene, newer)
}

#[tokio::test]
async fn a_flipped_bit_anywhere_means_the_older_snapshot() {
    let (scene, newer) = two().await;
    let manifest = scene.manifest_path(&newer);
    let paths = FILES.map(|file| scene.file_path(&newer, file));
    for path in paths.iter().chain([&manifest]) {
        let whole = fs::read(path).expect("read");
        for position in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[position] ^= 1 << (position % 8);
            fs::write(path, damaged).expect("written");
            let found = scene.restore(&wanted()).await;
            assert_eq!(offset_of(&found), Some(10), "byte {position} of {}", path.display());
            let [PassedOver { name, reason }] = &found.passed_over[..] else {
                panic!("{:?}", found.passed_over);
            };
            assert_eq!(*name, newer.name());
            let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
            if path == &manifest {
                let is_said =
                    matches!(reason, Unusable::Unreadable { .. } | Unusable::NewerLayout { .. });
                assert!(is_said, "{reason}");
            } else {
                assert_eq!(reason.file(), Some(file), "{reason}");
            }
        }
        fs::write(path, whole).expect("written");
    }
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20), "all is mended");
}

#[tokio::test]
async fn a_cut_longer_or_missing_object_means_the_older_snapshot() {
    let (scene, newer) = two().await;
    let paths = FILES.map(|file| scene.file_path(&newer, file));
    for path in paths.iter().chain([&scene.manifest_path(&newer)]) {
        let whole = fs::read(path).expect("read");
        for length in 0..whole.len() {
            fs::write(path, &whole[..length]).expect("written");
            let found = scene.restore(&wanted()).await;
            assert_eq!((offset_of(&found), found.passed_over.len()), (Some(10), 1), "{length}");
        }
        fs::write(path, [&whole[..], b"x"].concat()).expect("written");
        let found = scene.restore(&wanted()).await;
        assert_eq!((offset_of(&found), found.passed_over.len()), (Some(10), 1));
        fs::remove_file(path).expect("removed");
        let found = scene.restore(&wanted()).await;
        assert_eq!(offset_of(&found), Some(10));
        fs::write(path, whole).expect("written");
    }
    // Sizes and presence are seen before anything is downloaded.
    fs::remove_file(&paths[0]).expect("removed");
    let file = FileName::new(FILES[0]).expect("allowed");
    assert_eq!(reasons(&scene.newest(&wanted()).await), [&Unusable::MissingFile { file }]);
}

#[tokio::test]
async fn where_all_are_damaged_nothing_is_restored() {
    let (scene, newer) = two().await;
    fs::write(scene.file_path(&newer, FILES[0]), "000012.sst of 21").expect("written");
    let found = scene.newest(&Wanted { log_low: Offset(20), ..wanted() }).await;
    assert_eq!(offset_of(&found), Some(20), "its length is right");
    let found = scene.restore(&Wanted { log_low: Offset(20), ..wanted() }).await;
    assert_eq!(offset_of(&found), None);
    let below = Unusable::BelowLog { next_offset: Offset(10), log_low: Offset(20) };
    assert_eq!(reasons(&found)[0].file(), Some(FILES[0]));
    assert_eq!(reasons(&found)[1], &below);
}

#[tokio::test]
async fn a_huge_manifest_is_not_read_into_memory() {
    let (scene, newer) = two().await;
    let path = scene.manifest_path(&newer);
    let file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.set_len(1 << 40).expect("sparse");
    let found = scene.restore(&wanted()).await;
    assert_eq!(offset_of(&found), Some(10));
    assert!(matches!(reasons(&found)[..], [Unusable::Unreadable { .. }]));
}
