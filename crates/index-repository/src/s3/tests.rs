//! The bucket against a real server: the suite, and what is particular to S3.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nautilus_test_services::{S3, or_skip};

use super::*;

mod conformance;
mod creating;
mod faults;
mod killed;
mod opening;
mod proxy;
mod snapshots;
mod uploads;

/// Least that S3 takes.
const PART_BYTES: usize = 5 * 1024 * 1024;

/// One server for all tests but those that kill or freeze theirs.
static SERVER: LazyLock<Option<S3>> =
    LazyLock::new(|| or_skip("nautilus-index-repository::s3", S3::start()));

/// A new bucket of the server all share.
fn bucket() -> Option<S3Config> {
    SERVER.as_ref().map(bucket_of)
}

/// A new bucket, and patience for tests.
fn bucket_of(server: &S3) -> S3Config {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let bucket = format!("bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    server.make_bucket(&bucket);
    config(server.endpoint(), bucket)
}

fn config(endpoint: String, bucket: String) -> S3Config {
    let credentials = S3Credentials::Fixed {
        key_id: S3::KEY_ID.to_owned(),
        secret_key: S3::SECRET_KEY.to_owned(),
        token: None,
    };
    S3Config {
        endpoint: Some(endpoint),
        credentials,
        pause_first: Duration::from_millis(20),
        part_bytes: PART_BYTES,
        ..S3Config::new(S3::REGION, bucket)
    }
}

async fn open(config: &S3Config) -> S3Repository {
    S3Repository::open(config.clone()).await.expect("opened")
}

fn name(name: &str) -> ObjectName {
    ObjectName::new(name).expect("allowed")
}

/// Bytes that differ from seed to seed.
fn content(seed: u8, length: usize) -> Bytes {
    (0_u8..=250).cycle().skip(usize::from(seed)).take(length).collect()
}

async fn put(repository: &S3Repository, object: &str, bytes: Bytes) -> Result<(), RepositoryError> {
    repository.put_new(&name(object), &mut ObjectSource::from_bytes(bytes)).await
}

async fn get(repository: &S3Repository, object: &str) -> Result<Bytes, RepositoryError> {
    repository.get(&name(object), 64 * 1024 * 1024).await
}

async fn names(repository: &S3Repository) -> Vec<String> {
    let page = repository.list(None, None, 1000).await.expect("listed");
    page.objects.into_iter().map(|object| object.name.to_string()).collect()
}

#[track_caller]
fn assert_unavailable<T: fmt::Debug>(outcome: Result<T, RepositoryError>) {
    assert!(matches!(outcome, Err(RepositoryError::Unavailable(_))), "{outcome:?}");
}

#[track_caller]
fn assert_exists<T: fmt::Debug>(outcome: Result<T, RepositoryError>) {
    assert!(matches!(outcome, Err(RepositoryError::Exists { .. })), "{outcome:?}");
}
