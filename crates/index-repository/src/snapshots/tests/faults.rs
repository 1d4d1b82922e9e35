//! Faults on the way: uploads that end at any step, reads that fail, lack bytes or flip bits.

use super::*;
use crate::Moment;

#[tokio::test]
async fn an_upload_that_fails_at_any_step_is_not_found() {
    // Four files and the manifest.
    for step in 0..5 {
        for moment in [Moment::BeforeEffect, Moment::AfterEffect] {
            let scene = Scene::new().await;
            scene.publish(draft(10)).await;
            let dir = scene.checkpoint("20");
            let plan = FaultPlan { write_fails_at: Some((step, moment)), ..FaultPlan::default() };
            let (_, snapshots) = scene.faulty(plan);
            let outcome = snapshots.publish(draft(20), &dir, &|_| ()).await;
            assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
            let is_published = step == 4 && moment == Moment::AfterEffect;
            let expected = if is_published { 20 } else { 10 };
            let found = scene.restore(&wanted()).await;
            assert_eq!((offset_of(&found), found.passed_over), (Some(expected), Vec::new()));

            // Doing it again heals or tells.
            let again = scene.snapshots.publish(draft(20), &dir, &|_| ()).await;
            match again {
                Ok(_) => assert!(!is_published),
                Err(RepositoryError::Exists { .. }) => assert!(is_published),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20));
            // What the failed attempt left is collected, and nothing else.
            scene.snapshots.collect_orphans(P, u64::MAX).await.expect("collected");
            assert_eq!(scene.count(), 10);
            assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(20));
        }
    }
}

#[tokio::test]
async fn a_dropped_upload_is_not_found() {
    let scene = Scene::new().await;
    let dir = scene.checkpoint("10");
    fs::write(dir.join("000099.sst"), vec![1; 4 * 1024 * 1024]).expect("written");
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
        outcome = scene.snapshots.publish(draft(10), &dir, &progress) => panic!("{outcome:?}"),
    }
    assert_eq!(scene.newest(&wanted()).await, Found::default());
    scene.snapshots.publish(draft(10), &dir, &|_| ()).await.expect("published");
    assert_eq!(offset_of(&scene.restore(&wanted()).await), Some(10));
}

/// Whatever reads do, what is restored is what was published, and an outage is never "no snapshot".
#[tokio::test]
async fn reads_that_lie_never_restore_something_else() {
    let scene = Scene::new().await;
    for next_offset in [10, 20, 30] {
        scene.publish(draft(next_offset)).await;
    }
    let (mut restored, mut older, mut none, mut unavailable) = (0, 0, 0, 0);
    for seed in 0..300 {
        let plan = FaultPlan {
            seed,
            read_refused_per_mille: if seed % 3 == 0 { 50 } else { 0 },
            read_truncated_per_mille: 60,
            read_flipped_per_mille: 60,
            ..FaultPlan::default()
        };
        let (_, snapshots) = scene.faulty(plan);
        let into = scene.target();
        match snapshots.restore(P, &wanted(), &into, &|_, _| ()).await {
            Ok(found) => {
                assert_eq!(scene.leftovers(), [""; 0], "seed {seed}");
                let next_offset = offset_of(&found);
                // All that are newer were looked at first, and each is named once.
                let named: BTreeSet<_> = found.passed_over.iter().map(|p| p.name.clone()).collect();
                assert_eq!(named.len(), found.passed_over.len(), "seed {seed}");
                for newer in [10, 20, 30].into_iter().filter(|o| Some(*o) > next_offset) {
                    let name = SnapshotName::of(CLUSTER, &draft(newer));
                    assert!(named.contains(&name), "seed {seed}: {newer}");
                }
                match next_offset {
                    Some(next_offset) => {
                        let published = scene.checkpoint(&next_offset.to_string());
                        assert_eq!(files_of(&into), files_of(&published), "seed {seed}");
                        fs::remove_dir_all(&into).expect("removed");
                        restored += 1;
                        older += u32::from(next_offset < 30);
                    }
                    None => none += 1,
                }
            }
            Err(RepositoryError::Unavailable(_)) => {
                assert_eq!(seed % 3, 0, "seed {seed}");
                unavailable += 1;
            }
            Err(error) => panic!("seed {seed}: {error}"),
        }
        // After an outage there may be a part of it left, for the next seed to go on with.
        assert!(!into.exists(), "seed {seed}");
    }
    let counts = (restored, older, none, unavailable);
    assert!(restored > 100 && older > 20 && none > 0 && unavailable > 10, "{counts:?}");
}

/// A repository that is away now and then is asked again, not left for an older snapshot.
#[tokio::test]
async fn an_outage_never_means_an_older_snapshot() {
    let scene = Scene::new().await;
    for next_offset in [10, 20] {
        scene.publish(draft(next_offset)).await;
    }
    let (mut restored, mut refused) = (0, 0);
    for seed in 0..100 {
        let plan = FaultPlan { seed, read_refused_per_mille: 150, ..FaultPlan::default() };
        let (_, snapshots) = scene.faulty(plan);
        match snapshots.restore(P, &wanted(), &scene.target(), &|_, _| ()).await {
            Ok(found) => {
                assert_eq!((offset_of(&found), found.passed_over), (Some(20), Vec::new()));
                fs::remove_dir_all(scene.target()).expect("removed");
                assert_eq!(scene.leftovers(), [""; 0], "seed {seed}");
                restored += 1;
            }
            Err(RepositoryError::Unavailable(_)) => refused += 1,
            Err(error) => panic!("seed {seed}: {error}"),
        }
        assert!(!scene.target().exists(), "seed {seed}");
    }
    assert!(restored > 10 && refused > 10, "{restored} and {refused}");
}

/// Seeded outages while several publish, prune and collect: the newest published stays whole.
#[tokio::test]
async fn published_snapshots_survive_outages_of_everything() {
    for seed in 0..12 {
        let scene = Scene::new().await;
        let plan = FaultPlan {
            seed,
            write_refused_per_mille: 60,
            write_unknown_per_mille: 60,
            read_refused_per_mille: 60,
            ..FaultPlan::default()
        };
        let (_, snapshots) = scene.faulty(plan);
        let mut published = None;
        for next_offset in 1..=12 {
            let dir = scene.checkpoint(&next_offset.to_string());
            match snapshots.publish(draft(next_offset), &dir, &|_| ()).await {
                Ok(_) => published = Some(next_offset),
                Err(RepositoryError::Unavailable(_)) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
            let _ = snapshots.prune(P, 2).await;
            let _ = snapshots.collect_orphans(P, u64::MAX).await;
            let found = scene.restore(&wanted()).await;
            // A lost answer may have published more than we know of, never less.
            assert!(offset_of(&found) >= published, "seed {seed}: {found:?}");
            assert_eq!(found.passed_over, [], "seed {seed}: nothing unsound is ever visible");
        }
    }
}
