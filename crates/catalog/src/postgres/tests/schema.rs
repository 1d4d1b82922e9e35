//! Versions of the tables.

use tokio::task::JoinSet;

use super::*;
use crate::CatalogError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_made_once_by_many_at_once() {
    let Some(database) = Database::new() else { return };
    let mut opening = JoinSet::new();
    for _ in 0..8 {
        opening.spawn(PostgresCatalog::open(database.config.clone()));
    }
    let opened = opening.join_all().await;
    for (n, catalog) in opened.into_iter().enumerate() {
        let catalog = catalog.expect("opens");
        catalog.create_user(&user(&format!("u{n}")), "U", 1).await.expect("created");
    }
    assert_eq!(database.sql("SELECT count(*), max(version) FROM about"), "1|1");
    assert_eq!(database.sql("SELECT count(*) FROM users"), "8");
}

#[tokio::test]
async fn other_programs_and_newer_versions_are_refused() {
    let Some(foreign) = Database::new() else { return };
    foreign.sql("CREATE SCHEMA nautilus_catalog; CREATE TABLE songs (title TEXT)");
    let error = PostgresCatalog::open(foreign.config.clone()).await.expect_err("must fail");
    assert!(matches!(error, CatalogError::OtherVersion { application_id: 0, .. }), "{error:?}");

    let Some(newer) = Database::new() else { return };
    newer.catalog().await.close().await;
    newer.sql("UPDATE about SET version = 99");
    let error = PostgresCatalog::open(newer.config.clone()).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Precondition);
    assert!(matches!(error, CatalogError::OtherVersion { found: 99, .. }), "{error:?}");
    newer.sql("UPDATE about SET version = 1, application_id = 7");
    let error = PostgresCatalog::open(newer.config.clone()).await.expect_err("must fail");
    assert!(matches!(error, CatalogError::OtherVersion { application_id: 7, .. }), "{error:?}");
}

#[tokio::test]
async fn an_empty_schema_made_by_somebody_else_is_taken() {
    let Some(database) = Database::new() else { return };
    database.sql(
        "CREATE SCHEMA nautilus_catalog; CREATE ROLE owns LOGIN PASSWORD 'only for tests';
         ALTER SCHEMA nautilus_catalog OWNER TO owns",
    );
    let mut config = database.config.clone();
    config.role = "owns".to_owned();
    let catalog = PostgresCatalog::open(config).await.expect("needs no right to make schemas");
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
}

#[tokio::test]
async fn sessions_are_durable_and_bounded_whatever_the_role_says() {
    let Some(database) = Database::new() else { return };
    database.sql(
        "CREATE ROLE hasty SUPERUSER LOGIN PASSWORD 'only for tests';
         ALTER ROLE hasty SET synchronous_commit = off;
         ALTER ROLE hasty SET statement_timeout = 0;
         ALTER ROLE hasty SET default_transaction_read_only = on;
         ALTER ROLE hasty SET search_path = public",
    );
    let mut config = database.config.clone();
    config.role = "hasty".to_owned();
    config.statement_timeout = std::time::Duration::from_secs(7);
    let catalog = PostgresCatalog::open(config).await.expect("opens");
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let mut lease = catalog.connections.take().await.expect("taken");
    let settings: (String, String) = sqlx::query_as(
        "SELECT current_setting('synchronous_commit'), current_setting('statement_timeout')",
    )
    .fetch_one(&mut *lease)
    .await
    .expect("reads");
    assert_eq!(settings, ("on".to_owned(), "7s".to_owned()));
}

#[tokio::test]
async fn what_cannot_be_logged_in_to_says_why() {
    let Some(database) = Database::new() else { return };
    let good = &database.config;
    let cases = [
        (PostgresConfig { database: "none".to_owned(), ..good.clone() }, "does not exist"),
        (PostgresConfig { password_file: None, ..good.clone() }, "password authentication failed"),
        (PostgresConfig { port: 1, ..good.clone() }, "refused"),
    ];
    for (config, says) in cases {
        let error = PostgresCatalog::open(config).await.expect_err("must fail");
        assert_eq!(error.class(), Class::Unavailable);
        assert!(format!("{error:?}").to_lowercase().contains(says), "{error:?}");
    }
    let unusable = PostgresConfig { connections_max: 0, ..good.clone() };
    let error = PostgresCatalog::open(unusable).await.expect_err("must fail");
    assert_eq!(error.class(), Class::Invalid);
}
