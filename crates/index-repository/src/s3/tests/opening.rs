//! What is said at once: a missing bucket, refused credentials, no server, a server without conditions.

use super::proxy::{Fate, Proxy};
use super::*;

#[track_caller]
fn assert_invalid(outcome: Result<S3Repository, RepositoryError>, expected: &str) {
    match outcome {
        Err(RepositoryError::Invalid { what, problem }) => {
            assert_eq!(what, expected, "{problem}");
        }
        other => panic!("expected invalid {expected}, got {other:?}"),
    }
}

#[tokio::test]
async fn a_missing_bucket_and_wrong_credentials_are_named() {
    let Some(config) = bucket() else { return };
    let missing = S3Config { bucket: "not-made".to_owned(), ..config.clone() };
    assert_invalid(S3Repository::open(missing).await, "bucket");
    for (key_id, secret_key) in [(S3::KEY_ID, "wrong"), ("nobody", S3::SECRET_KEY)] {
        let credentials = S3Credentials::Fixed {
            key_id: key_id.to_owned(),
            secret_key: secret_key.to_owned(),
            token: None,
        };
        let outcome = S3Repository::open(S3Config { credentials, ..config.clone() }).await;
        let Err(error @ RepositoryError::Denied(_)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.class(), nautilus_types::Class::Denied);
        let shown = format!("{error:?}");
        assert!(!shown.contains(secret_key), "{shown}");
    }
    let plain = S3Config { endpoint: Some("http://192.0.2.1".to_owned()), ..config };
    assert_invalid(S3Repository::open(plain).await, "endpoint");
}

#[tokio::test]
async fn nobody_listening_is_an_outage() {
    let port = nautilus_test_services::free_port().expect("a port");
    let config = S3Config {
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        credentials: S3Credentials::Fixed {
            key_id: "k".to_owned(),
            secret_key: "s".to_owned(),
            token: None,
        },
        pause_first: Duration::from_millis(1),
        ..S3Config::new("r", "bucket")
    };
    assert_unavailable(S3Repository::open(config).await);
}

#[tokio::test]
async fn credentials_of_a_file_are_used_and_exchanged() {
    let Some(config) = bucket() else { return };
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("credentials");
    let write = |secret: &str| {
        let text = format!(
            "[default]\naws_access_key_id = {}\naws_secret_access_key = {secret}\n",
            S3::KEY_ID
        );
        std::fs::write(&path, text).expect("written");
    };
    write(S3::SECRET_KEY);
    let repository =
        open(&S3Config { credentials: S3Credentials::File(path.clone()), ..config }).await;
    put(&repository, "a", content(1, 10)).await.expect("stored");
    write("another");
    let outcome = get(&repository, "a").await;
    assert!(matches!(outcome, Err(RepositoryError::Denied(_))), "{outcome:?}");
    write(S3::SECRET_KEY);
    assert_eq!(get(&repository, "a").await.expect("read"), content(1, 10));
}

/// What makes two writers of one name both believe in their success is refused before anything is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_conditions_is_refused() {
    let Some(config) = bucket() else { return };
    let proxy = Proxy::start(config.endpoint.as_deref().expect("an endpoint"));
    let behind = S3Config { endpoint: Some(proxy.endpoint()), ..config.clone() };
    proxy.next(Fate::Unconditional, "POST", "uploadId=", 1);
    assert_invalid(S3Repository::open(behind.clone()).await, "object store");
    let repository = open(&behind).await;
    assert_eq!(names(&repository).await, [""; 0], "what was asked with is not listed");
}

#[tokio::test]
async fn the_server_is_known_by_its_certificate() {
    let Some(server) = or_skip("nautilus-index-repository::s3::tls", S3::start_tls()) else {
        return;
    };
    let config = bucket_of(&server);
    assert_unavailable(S3Repository::open(config.clone()).await);
    let known = S3Config { ca_file: Some(server.ca_file()), ..config.clone() };
    let repository = open(&known).await;
    put(&repository, "a", content(1, PART_BYTES + 1)).await.expect("stored");
    assert!(get(&repository, "a").await.expect("read") == content(1, PART_BYTES + 1));
    let dir = tempfile::tempdir().expect("folder");
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    let none = S3Config { ca_file: Some(empty), ..config.clone() };
    assert_invalid(S3Repository::open(none).await, "object store's configuration");
    let gone = S3Config { ca_file: Some(dir.path().join("gone.pem")), ..config };
    let outcome = S3Repository::open(gone).await;
    assert!(matches!(outcome, Err(RepositoryError::Local { .. })), "{outcome:?}");
}
