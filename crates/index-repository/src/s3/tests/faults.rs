//! A server that dies or does not answer.

use std::sync::Mutex;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_during_an_upload_has_no_object() {
    let Some(server) = or_skip("nautilus-index-repository::s3::killed", S3::start()) else {
        return;
    };
    let config = bucket_of(&server);
    let repository = open(&config).await;
    put(&repository, "before", content(1, 100)).await.expect("stored");
    let server = Mutex::new(server);
    let sent = Mutex::new(0);
    let kill = |length| {
        let mut sent = sent.lock().expect("unpoisoned");
        let was = *sent;
        *sent += length;
        // In the second of four parts.
        if (was..*sent).contains(&(3 * PART_BYTES as u64 / 2)) {
            server.lock().expect("unpoisoned").kill();
        }
    };
    let object = name("large");
    let mut source = ObjectSource::from_bytes(content(2, 4 * PART_BYTES)).observed_by(&kill);
    assert_unavailable(repository.put_new(&object, &mut source).await);
    assert_unavailable(put(&repository, "small", content(3, 10)).await);
    server.lock().expect("unpoisoned").restart();
    assert_eq!(names(&repository).await, ["before"]);
    let outcome = repository.head(&object).await;
    assert!(matches!(outcome, Err(RepositoryError::NotFound { .. })), "{outcome:?}");
    put(&repository, "large", content(2, 4 * PART_BYTES)).await.expect("stored");
    assert!(get(&repository, "large").await.expect("read") == content(2, 4 * PART_BYTES));
    // The next put ended what could not be ended while the server was away.
    assert_eq!(repository.abort_stale_uploads(None, u64::MAX).await.expect("asked"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_given_up_in_time() {
    let Some(server) = or_skip("nautilus-index-repository::s3::frozen", S3::start()) else {
        return;
    };
    let config = S3Config {
        request_timeout: Duration::from_millis(300),
        attempts_max: 2,
        ..bucket_of(&server)
    };
    let repository = open(&config).await;
    put(&repository, "a", content(1, 100)).await.expect("stored");
    server.freeze();
    gives_up(get(&repository, "a")).await;
    gives_up(put(&repository, "b", content(1, 100))).await;
    gives_up(put(&repository, "c", content(1, 2 * PART_BYTES))).await;
    gives_up(repository.list(None, None, 1)).await;
    gives_up(repository.delete(&name("a"))).await;
    server.thaw();
    let patient = open(&S3Config { request_timeout: Duration::from_secs(30), ..config }).await;
    // What was unknown is one or the other now; nothing is between.
    for (object, length) in [("b", 100), ("c", 2 * PART_BYTES)] {
        match put(&patient, object, content(1, length)).await {
            Ok(()) | Err(RepositoryError::Exists { .. }) => {}
            Err(error) => panic!("{object}: {error}"),
        }
        assert!(get(&patient, object).await.expect("read") == content(1, length));
    }
}

async fn gives_up<T: fmt::Debug>(step: impl Future<Output = Result<T, RepositoryError>>) {
    // Two attempts, an abort, the pauses, and a machine with other work.
    let outcome = tokio::time::timeout(Duration::from_secs(10), step).await;
    assert_unavailable(outcome.expect("it is given up in time"));
}
