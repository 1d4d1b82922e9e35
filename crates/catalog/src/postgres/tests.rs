//! What is particular to PostgreSQL.

mod concurrency;
mod connections;
mod faults;
mod schema;
mod tls;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use nautilus_test_services::{Postgres, or_skip};
use nautilus_types::Class;

use super::{PostgresCatalog, PostgresConfig, PostgresTls};
use crate::conformance::{Harness, catalog_conformance, group, name, path, user};
use crate::{Catalog, MOUNT_PATH_BYTES_MAX, Right};

/// One server for all tests that do it no harm.
static SERVER: LazyLock<Option<Postgres>> =
    LazyLock::new(|| or_skip("catalog::postgres", Postgres::start()));

catalog_conformance!(Database::new());

/// A database of its own on the shared server.
struct Database {
    config: PostgresConfig,
}

impl Database {
    fn new() -> Option<Self> {
        Some(Self { config: config(SERVER.as_ref()?) })
    }

    async fn catalog(&self) -> PostgresCatalog {
        PostgresCatalog::open(self.config.clone()).await.expect("opens")
    }

    fn sql(&self, statements: &str) -> String {
        let server = SERVER.as_ref().expect("it made the database");
        server.sql(
            &self.config.database,
            &format!("SET search_path = nautilus_catalog; {statements}"),
        )
    }
}

#[async_trait]
impl Harness for Database {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(self.catalog().await)
    }
}

/// How to log in to a new database of `server`.
fn config(server: &Postgres) -> PostgresConfig {
    let mut config = PostgresConfig::new("127.0.0.1", server.role(), server.create_database());
    config.port = server.port();
    config.password_file = Some(server.password_file());
    config.tls = PostgresTls::Off;
    // Debug builds on a busy machine; deadlines have tests of their own.
    config.call_timeout = std::time::Duration::from_secs(30);
    config.statement_timeout = config.call_timeout;
    config
}

/// Text that no compression makes shorter, since a digest of digests has no pattern.
fn incompressible(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut text = String::new();
    while text.len() < bytes {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push(char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[(state >> 59) as usize]));
    }
    text
}

#[tokio::test]
async fn the_longest_paths_and_names_fit_their_indexes() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    let ada = user(&incompressible(128));
    catalog.create_user(&ada, "Ada", 1).await.expect("created");
    let notes = name(incompressible(256));
    catalog.create_namespace(&notes, &ada, 1).await.expect("created");
    let long = path(&incompressible(MOUNT_PATH_BYTES_MAX));
    for _ in 0..2 {
        catalog.set_mount(&ada, &long, &notes).await.expect("fits");
    }
    let mounts = catalog.list_mounts(&ada).await.expect("list");
    assert_eq!(mounts.len(), 1, "set again is replaced");
    assert_eq!(mounts[0].path, long);
    assert!(catalog.remove_mount(&ada, &long).await.expect("removed"));
}

#[tokio::test]
async fn texts_are_kept_and_ordered_by_their_bytes() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    // Locales put case and accents aside; bytes do not.
    let ids = ["'; DROP TABLE users; --", "A", "Z", "\\", "a", "a\"b", "z", "Æ", "é", "用户"];
    for id in ids {
        catalog.create_user(&user(id), id, 1).await.expect("created");
        catalog.create_user_group(&group(id), id, 1).await.expect("created");
    }
    let users = catalog.list_users(None, 99).await.expect("list");
    assert!(users.iter().map(|user| user.id.as_str()).eq(ids));
    assert!(users.iter().map(|user| &*user.display_name).eq(ids));
    let groups = catalog.list_user_groups(Some(&group("a")), 99).await.expect("list");
    assert!(groups.iter().map(|group| group.id.as_str()).eq(ids[5..].iter().copied()));
    catalog.create_namespace(&name("n"), &user("a"), 1).await.expect("created");
    for id in ids {
        catalog.set_mount(&user("a"), &path(id), &name("n")).await.expect("set");
    }
    let mounts = catalog.list_mounts(&user("a")).await.expect("list");
    assert!(mounts.iter().map(|mount| mount.path.as_str()).eq(ids));
}

#[tokio::test]
async fn rows_nobody_wrote_are_corrupt() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let life = catalog.create_namespace(&name("a"), &user("ada"), 1).await.expect("created");
    database.sql("UPDATE users SET created_at_unix_ms = -1");
    let error = catalog.get_user(&user("ada")).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt);
    database.sql(
        "ALTER TABLE memberships DROP CONSTRAINT memberships_access; UPDATE memberships SET access = 9",
    );
    let error = catalog.right_of(&user("ada"), &name("a")).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt);
    let asked = [(name("a"), life.incarnation)];
    let verdicts = catalog.may_read(&user("ada"), &asked).await.expect("check");
    assert_eq!(verdicts, [false], "an unknown right is no right");
    database.sql("ALTER TABLE mounts RENAME TO other");
    let error = catalog.list_mounts(&user("ada")).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Corrupt, "{error:?}");
}

#[tokio::test]
async fn a_role_that_only_reads_is_enough_to_search() {
    let Some(database) = Database::new() else { return };
    let catalog = database.catalog().await;
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let made = catalog.create_namespace(&name("a"), &user("ada"), 1).await.expect("created");
    catalog.grant_membership(&user("ada"), &name("a"), Right::Owner).await.expect("granted");
    database.sql(
        "CREATE ROLE reads LOGIN PASSWORD 'only for tests';
         GRANT USAGE ON SCHEMA nautilus_catalog TO reads;
         GRANT SELECT ON ALL TABLES IN SCHEMA nautilus_catalog TO reads",
    );
    let mut config = database.config.clone();
    config.role = "reads".to_owned();
    let reader = PostgresCatalog::open(config).await.expect("opens");
    assert_eq!(reader.readable_namespaces(&user("ada"), None, 9).await.expect("scope"), [made]);
    let refused = reader.create_user(&user("bob"), "Bob", 1).await.expect_err("must fail");
    assert!(format!("{refused:?}").contains("permission denied"), "{refused:?}");
    assert!(!refused.may_have_happened());
}
