//! Finding: the newest that fits, and each reason why not.

use super::*;

#[tokio::test]
async fn the_highest_offset_is_the_newest() {
    let scene = Scene::new().await;
    for next_offset in [9, 100, 20, 0] {
        scene.publish(draft(next_offset)).await;
    }
    scene.publish(SnapshotDraft { partition: PartitionId(4), ..draft(500) }).await;
    let found = scene.restore(&wanted()).await;
    assert_eq!((offset_of(&found), found.passed_over), (Some(100), Vec::new()));
    let name = found.manifest.expect("found").name();
    let except = Wanted { except: BTreeSet::from([name]), ..wanted() };
    assert_eq!(offset_of(&scene.newest(&except).await), Some(20));
}

#[tokio::test]
async fn each_objection_is_said() {
    let scene = Scene::new().await;
    scene.publish(draft(10)).await;
    let cases: [(Change<Wanted>, Unusable); 8] = [
        (
            |w| w.log_generation = LogGeneration(3),
            Unusable::OtherGeneration { found: LogGeneration(2) },
        ),
        (|w| w.slots.truncate(1), Unusable::OtherSlots { map_version: 1 }),
        (|w| w.format_version_max = 3, Unusable::NewerFormat { found: 4 }),
        (|w| w.analyzer_version = 7, Unusable::OtherAnalyzer { found: 6 }),
        (|w| w.analyzer_version = 5, Unusable::OtherAnalyzer { found: 6 }),
        (|w| w.build = Some("another".to_owned()), Unusable::OtherBuild { found: draft(10).build }),
        (
            |w| w.log_low = Offset(11),
            Unusable::BelowLog { next_offset: Offset(10), log_low: Offset(11) },
        ),
        (
            |w| w.log_high = Offset(9),
            Unusable::AboveLog { next_offset: Offset(10), log_high: Offset(9) },
        ),
    ];
    for (change, reason) in cases {
        let mut wanted = wanted();
        change(&mut wanted);
        let found = scene.restore(&wanted).await;
        assert_eq!((&found.manifest, reasons(&found)), (&None, vec![&reason]));
    }
    let fits: [Change<Wanted>; 3] =
        [|w| w.log_low = Offset(10), |w| w.log_high = Offset(10), |w| w.format_version_max = 5];
    for change in fits {
        let mut wanted = wanted();
        change(&mut wanted);
        assert_eq!(offset_of(&scene.restore(&wanted).await), Some(10));
    }
}

#[tokio::test]
async fn an_older_one_that_fits_is_used_and_the_newer_are_named() {
    let scene = Scene::new().await;
    scene.publish(draft(10)).await;
    let beyond = scene.publish(draft(2000)).await;
    let other = scene.publish(SnapshotDraft { analyzer_version: 7, ..draft(50) }).await;
    let found = scene.restore(&wanted()).await;
    assert_eq!(offset_of(&found), Some(10));
    let names: Vec<_> = found.passed_over.iter().map(|p| p.name.clone()).collect();
    assert_eq!(names, [beyond.name(), other.name()], "newest first");
}

#[tokio::test]
async fn clusters_and_partitions_do_not_see_each_other() {
    let scene = Scene::new().await;
    let manifest = scene.publish(draft(10)).await;
    let bytes = fs::read(scene.manifest_path(&manifest)).expect("read");
    let stranger = Snapshots::new(scene.folder.clone(), [8; 16]);
    assert_eq!(stranger.newest(P, &wanted()).await.expect("asked"), Found::default());
    let neighbour = PartitionId(4);
    let found = scene.snapshots.newest(neighbour, &wanted()).await.expect("asked");
    assert_eq!(found, Found::default());

    // Also not where a manifest was copied to another place, whole as it is.
    let copy = |snapshots: &Snapshots, partition, name: &SnapshotName| {
        let object = snapshots.folder(partition).expect("a folder").manifest(name).expect("a name");
        let path = scene.objects().join(object.as_str());
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, &bytes).expect("written");
    };
    copy(&stranger, P, &manifest.name());
    copy(&scene.snapshots, neighbour, &manifest.name());
    copy(&scene.snapshots, P, &SnapshotName::of(CLUSTER, &draft(999)));
    let misplaced = Unusable::Misplaced { found: manifest.name() };
    let found = stranger.newest(P, &wanted()).await.expect("asked");
    assert_eq!((&found.manifest, reasons(&found)), (&None, vec![&misplaced]));
    let found = scene.snapshots.newest(neighbour, &wanted()).await.expect("asked");
    assert_eq!((&found.manifest, reasons(&found)), (&None, vec![&misplaced]));
    let found = scene.restore(&wanted()).await;
    assert_eq!((offset_of(&found), reasons(&found)), (Some(10), vec![&misplaced]));
}
