//! What a new opening of the file finds, and what it refuses to open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use nautilus_types::Class;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::{bounded, open, perform, put};
use crate::{Change, Registry, RegistryError};

const HOUR: Duration = Duration::from_secs(60 * 60);

async fn raw(file: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("runs");
    connection.close().await.expect("closes");
}

#[tokio::test]
async fn opening_again_ends_the_leases_of_the_former_process() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("r");
    for clean in [true, false] {
        let registry = open(&file).await.expect("opened");
        let lease = registry.grant_lease(HOUR).await.expect("granted");
        let other = registry.grant_lease(HOUR).await.expect("granted");
        perform(&registry, put("k/stays", "x", None)).await;
        perform(&registry, put("k/1", "x", Some(lease))).await;
        let last = perform(&registry, put("k/2", "x", Some(other))).await;
        if clean {
            registry.close().await;
        }
        drop(registry);

        let registry = open(&file).await.expect("opened");
        let listing = registry.list("").await.expect("listed");
        assert_eq!(listing.revision, last.next(), "at one revision");
        assert_eq!(listing.entries.len(), 1, "{listing:?}");
        let mut watch = registry.watch("k/", last.next()).await.expect("watches");
        let (at, gone) = bounded(watch.next()).await.expect("the deletions");
        assert_eq!(at, last.next());
        let deletion = |key: &str| Change::Delete { key: key.to_owned(), at };
        assert_eq!(gone, [deletion("k/1"), deletion("k/2")]);
        let early = registry.watch("k/", last).await;
        assert!(matches!(early, Err(RegistryError::Compacted { asked, .. }) if asked == last));

        for former in [lease, other] {
            let outcome = registry.keep_alive(former).await;
            assert!(matches!(outcome, Err(RegistryError::LeaseGone { .. })), "{outcome:?}");
        }
        let new = registry.grant_lease(HOUR).await.expect("granted");
        assert!(new != lease && new != other, "numbers do not come again");
        registry.close().await;
    }
    // Nothing to end is no change.
    let before = open(&file).await.expect("opened");
    let revision = before.list("").await.expect("listed").revision;
    before.close().await;
    let after = open(&file).await.expect("opened");
    assert_eq!(after.list("").await.expect("listed").revision, revision);
}

#[tokio::test]
async fn one_at_a_time_has_the_file_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("r");
    let registry = open(&file).await.expect("opened");
    let refused = bounded(open(&file)).await.err().expect("refused");
    assert_eq!(refused.class(), Class::Unavailable, "{refused:?}");
    perform(&registry, put("k", "x", None)).await;
    registry.close().await;
    let registry = open(&file).await.expect("opened");
    assert!(registry.get("k").await.expect("read").is_some());
}

#[tokio::test]
async fn other_files_and_newer_versions_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let foreign = dir.path().join("foreign");
    raw(&foreign, "CREATE TABLE songs (title TEXT)").await;
    let newer = dir.path().join("newer");
    open(&newer).await.expect("opened").close().await;
    raw(&newer, "PRAGMA user_version = 99").await;
    let garbage = dir.path().join("garbage");
    fs::write(&garbage, [b'x'; 8192]).expect("written");
    for file in [foreign, newer, garbage] {
        let error = open(&file).await.err().expect("refused");
        assert_eq!(error.class(), Class::Corrupt, "{error:?}");
    }
    let blocked = garbage_child(dir.path());
    assert_eq!(open(&blocked).await.err().expect("refused").class(), Class::Unavailable);
}

/// A file in a folder that cannot be made.
fn garbage_child(dir: &Path) -> std::path::PathBuf {
    dir.join("garbage/r")
}

#[tokio::test]
async fn rows_nobody_wrote_are_corrupt() {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, sql) in [
        ("negative", "UPDATE entries SET modified = -1"),
        ("future", "UPDATE entries SET modified = 9"),
        ("key", "UPDATE entries SET key = 'a b'"),
        ("lease", "UPDATE entries SET lease = -1"),
        ("number", "DELETE FROM numbers"),
    ] {
        let file = dir.path().join(name);
        let registry = open(&file).await.expect("opened");
        perform(&registry, put("k", "x", None)).await;
        registry.close().await;
        raw(&file, sql).await;
        let error = open(&file).await.err().expect("refused");
        assert_eq!(error.class(), Class::Corrupt, "{name}: {error:?}");
    }
}
