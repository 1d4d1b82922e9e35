//! Uploads in parts that do not end: invisible, and ended by somebody else.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

async fn stale(repository: &S3Repository, folder: Option<&str>, older_than_unix_ms: u64) -> u64 {
    let folder = folder.map(name);
    repository.abort_stale_uploads(folder.as_ref(), older_than_unix_ms).await.expect("asked")
}

/// How many uploads are still to be ended.
fn abandoned(repository: &S3Repository) -> usize {
    repository.shared.abandoned.lock().expect("not poisoned").count()
}

/// A part that the server was still writing may bring an ended upload back; the next end of it is the last, once no
/// part is on its way.
async fn end_stragglers(repository: &S3Repository) {
    let ended = async {
        while repository.pending_uploads().await > 0 {
            // Refused where a part arrives meanwhile.
            let _ = repository.abort_stale_uploads(None, u64::MAX).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("it stays ended at last");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_objects_come_back_whole() {
    let Some(config) = bucket() else { return };
    let repository = open(&config).await;
    let dir = tempfile::tempdir().expect("folder");
    for (i, length) in
        [PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 7 * PART_BYTES - 5].into_iter().enumerate()
    {
        let (path, object) = (dir.path().join("file"), format!("large/{i}"));
        let bytes = content(7, length);
        std::fs::write(&path, &bytes).expect("written");
        let mut source = ObjectSource::from_file(&path).await.expect("opened");
        repository.put_new(&name(&object), &mut source).await.expect("stored");
        assert!(source.sha256().is_some());
        assert!(get(&repository, &object).await.expect("read") == bytes);
    }
    assert_eq!(stale(&repository, None, u64::MAX).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_upload_leaves_nothing() {
    let Some(config) = bucket() else { return };
    let repository = open(&config).await;
    let read = AtomicU64::new(0);
    let observer = |length| {
        read.fetch_add(length, Ordering::Relaxed);
    };
    let object = name("dropped");
    let mut source = ObjectSource::from_bytes(content(1, 8 * PART_BYTES)).observed_by(&observer);
    {
        let mut put = Box::pin(repository.put_new(&object, &mut source));
        while read.load(Ordering::Relaxed) < 4 * PART_BYTES as u64 {
            let step = tokio::time::timeout(Duration::from_millis(1), &mut put).await;
            assert!(step.is_err(), "not done yet");
        }
    }
    assert_eq!(names(&repository).await, [""; 0]);
    assert_eq!(abandoned(&repository), 1);
    // The next put ends it; a later one where the server is still busy with a part of it.
    let mut puts: usize = 0;
    while abandoned(&repository) > 0 {
        assert!(puts < 1000, "no put ends it");
        put(&repository, &format!("next/{puts:04}"), content(2, 10)).await.expect("stored");
        puts += 1;
    }
    end_stragglers(&repository).await;
    assert_eq!(names(&repository).await.len(), puts);
    put(&repository, "dropped", content(1, 10)).await.expect("the name is free");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_midway_ends_its_upload() {
    let Some(config) = bucket() else { return };
    let repository = open(&config).await;
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("file");
    std::fs::write(&path, content(1, 4 * PART_BYTES)).expect("written");
    let read = AtomicU64::new(0);
    let cut = |length| {
        if read.fetch_add(length, Ordering::Relaxed) > 2 * PART_BYTES as u64 {
            std::fs::write(&path, "cut").expect("written");
        }
    };
    let mut source = ObjectSource::from_file(&path).await.expect("opened").observed_by(&cut);
    let outcome = repository.put_new(&name("cut"), &mut source).await;
    assert!(matches!(outcome, Err(RepositoryError::Local { .. })), "{outcome:?}");
    assert_eq!(names(&repository).await, [""; 0]);
    repository.abort_abandoned().await;
    end_stragglers(&repository).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_killed_uploaders_left_is_found_by_folder_and_age() {
    let Some(config) = bucket() else { return };
    let config = S3Config { prefix: Some(name("ours")), ..config };
    let repository = open(&config).await;
    let elsewhere = open(&S3Config { prefix: Some(name("others")), ..config.clone() }).await;
    let mut begun = Vec::new();
    for (repository, object) in
        [(&repository, "a/1"), (&repository, "a/2"), (&repository, "ab/3"), (&elsewhere, "a/4")]
    {
        let (key, id) = (repository.key(&name(object)), create::PutId::draw().expect("drawn"));
        let upload = repository.begin_upload(&key, &id).await.expect("begun");
        let mut source = ObjectSource::from_bytes(content(1, 1000));
        let parts = repository.send_parts(&name(object), &upload, &mut source).await.expect("sent");
        begun.push((name(object), upload, id, parts));
    }
    assert_eq!(names(&repository).await, [""; 0], "unfinished uploads are not listed");
    assert_eq!(stale(&repository, None, 1).await, 0, "all are younger");
    assert_eq!(stale(&repository, Some("a"), u64::MAX).await, 2);
    assert_eq!(stale(&repository, None, u64::MAX).await, 1, "ab/3");
    assert_eq!(stale(&elsewhere, None, u64::MAX).await, 1, "others are left to others");
    // Whoever is still at it fails, and stores nothing.
    for (object, upload, id, parts) in begun {
        assert_unavailable(repository.complete(&object, &upload, &id, parts).await);
    }
    assert_eq!(names(&repository).await, [""; 0]);
}
