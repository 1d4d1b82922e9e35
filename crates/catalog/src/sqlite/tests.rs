//! What is particular to SQLite.

use std::fs;

use nautilus_types::Class;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::SqliteCatalog;
use crate::conformance::{SqliteHarness, catalog_conformance, name, user};
use crate::{Catalog, CatalogError, Right};

catalog_conformance!(Some(SqliteHarness::new()));

async fn raw(path: &std::path::Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("connects");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("runs");
    connection.close().await.expect("closes");
}

#[tokio::test]
async fn commits_are_synced_and_keys_enforced() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let catalog = SqliteCatalog::open(&dir.path().join("c")).await.expect("opens");
    for pool in [&catalog.write, &catalog.read] {
        let journal: String =
            sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.expect("reads");
        let synchronous: i64 =
            sqlx::query_scalar("PRAGMA synchronous").fetch_one(pool).await.expect("reads");
        let foreign_keys: i64 =
            sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(pool).await.expect("reads");
        assert_eq!((&*journal, synchronous, foreign_keys), ("wal", 2, 1));
    }
    let refused = sqlx::query("DELETE FROM users").execute(&catalog.read).await;
    assert!(refused.is_err(), "readers cannot write");
}

#[tokio::test]
async fn what_is_not_a_database_is_corrupt() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("c");
    fs::write(&path, [b'x'; 8192]).expect("writes");
    let error = SqliteCatalog::open(&path).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
}

#[tokio::test]
async fn other_programs_and_newer_versions_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let foreign = dir.path().join("foreign");
    raw(&foreign, "CREATE TABLE songs (title TEXT)").await;
    let error = SqliteCatalog::open(&foreign).await.expect_err("must fail");
    assert!(matches!(error, CatalogError::OtherVersion { application_id: 0, .. }), "{error:?}");

    let newer = dir.path().join("newer");
    SqliteCatalog::open(&newer).await.expect("opens").close().await;
    raw(&newer, "PRAGMA user_version = 99").await;
    let error = SqliteCatalog::open(&newer).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Precondition);
    assert!(matches!(error, CatalogError::OtherVersion { found: 99, .. }), "{error:?}");
}

#[tokio::test]
async fn a_catalog_of_the_first_version_is_brought_forward() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("c");
    let first = include_str!("schema_1.sql");
    raw(&path, first).await;
    raw(
        &path,
        "PRAGMA application_id = 1315009908; PRAGMA user_version = 1;
         INSERT INTO users VALUES ('ada', 'Ada', 1);
         INSERT INTO namespaces VALUES (x'61', 7, 1);
         INSERT INTO memberships VALUES ('ada', x'61', 7, 2)",
    )
    .await;
    for _ in 0..2 {
        let catalog = SqliteCatalog::open(&path).await.expect("opens");
        let right = catalog.right_of(&user("ada"), &name("a")).await.expect("read");
        assert_eq!(right, Some(Right::Writer));
        assert_eq!(catalog.list_user_groups(None, 9).await.expect("list"), []);
        catalog.close().await;
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_unavailable() {
    let dir = tempfile::tempdir().expect("temporary folder");
    fs::write(dir.path().join("file"), "").expect("writes");
    let outcome = SqliteCatalog::open(&dir.path().join("file/c")).await;
    assert_eq!(outcome.expect_err("must fail").class(), Class::Unavailable);
}

#[tokio::test]
async fn rows_nobody_wrote_are_corrupt() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("c");
    let catalog = SqliteCatalog::open(&path).await.expect("opens");
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    catalog.create_namespace(&name("a"), &user("ada"), 1).await.expect("created");
    raw(&path, "UPDATE users SET created_at_unix_ms = -1").await;
    let error = catalog.get_user(&user("ada")).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt);
    raw(&path, "PRAGMA ignore_check_constraints = 1; UPDATE memberships SET access = 9").await;
    let error = catalog.right_of(&user("ada"), &name("a")).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt);
    let life = catalog.get_namespace(&name("a")).await.expect("read").expect("there").incarnation;
    let verdicts = catalog.may_read(&user("ada"), &[(name("a"), life)]).await.expect("check");
    assert_eq!(verdicts, [false], "an unknown right is no right");
}
