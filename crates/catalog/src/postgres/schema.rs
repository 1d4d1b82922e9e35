//! The tables, by version, and bringing a database to the newest one.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Executor, PgConnection};

use super::config::SCHEMA;
use super::fault::Failure;
use crate::CatalogError;

/// "Naut": marks the schema as a catalog, and is the key of the lock that changing it takes.
const APPLICATION_ID: i64 = 0x4e61_7574;
/// How long bringing the tables to the newest version may take, waiting for another process to do it included.
pub(super) const MIGRATION_MAX: Duration = Duration::from_secs(120);

/// What takes the schema from version `index` to `index + 1`. Released entries never change.
const STEPS: [&str; 1] = [include_str!("schema_1.sql")];

/// Brings the schema to the newest version, in one transaction; where it is there already, only looks.
pub(super) async fn migrate(db: &mut PgConnection) -> Result<(), Failure> {
    if found(db).await? == newest() {
        return Ok(());
    }
    let ms = MIGRATION_MAX.as_millis();
    db.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
    run(db, format!("SET LOCAL statement_timeout = {ms}")).await?;
    // One process at a time; the others then find it done.
    run(db, format!("SELECT pg_advisory_xact_lock({APPLICATION_ID})")).await?;
    let found = found(db).await?;
    if found == 0 && !schema_exists(db).await? {
        run(db, format!("CREATE SCHEMA {SCHEMA}")).await?;
    }
    if found == 0 {
        db.execute("CREATE TABLE about (application_id BIGINT NOT NULL, version BIGINT NOT NULL)")
            .await?;
        run(db, format!("INSERT INTO about VALUES ({APPLICATION_ID}, 0)")).await?;
    }
    let mut version = 0;
    for step in STEPS {
        version += 1;
        if version > found {
            db.execute(sqlx::raw_sql(step)).await?;
        }
    }
    sqlx::query("UPDATE about SET version = $1").bind(version).execute(&mut *db).await?;
    db.execute("COMMIT").await?;
    Ok(())
}

fn newest() -> i64 {
    i64::try_from(STEPS.len()).unwrap_or(i64::MAX)
}

/// The version there is; 0 where there is nothing yet. `OtherVersion`.
async fn found(db: &mut PgConnection) -> Result<i64, Failure> {
    let supported = newest();
    let refuse = |application_id, found| {
        Failure::Answer(CatalogError::OtherVersion { application_id, found, supported })
    };
    let (is_marked, relations): (bool, i64) = sqlx::query_as(
        "SELECT to_regclass($1 || '.about') IS NOT NULL,
                (SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace($1))",
    )
    .bind(SCHEMA)
    .fetch_one(&mut *db)
    .await?;
    if !is_marked {
        return if relations == 0 { Ok(0) } else { Err(refuse(0, 0)) };
    }
    let about: Option<(i64, i64)> =
        sqlx::query_as("SELECT application_id, version FROM about").fetch_optional(db).await?;
    let (application_id, version) = about.unwrap_or((0, 0));
    if application_id != APPLICATION_ID || !(1..=supported).contains(&version) {
        return Err(refuse(application_id, version));
    }
    Ok(version)
}

async fn schema_exists(db: &mut PgConnection) -> Result<bool, Failure> {
    let exists = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL").bind(SCHEMA);
    Ok(exists.fetch_one(db).await?)
}

/// Runs a statement that takes no bound values; what is in it are constants of ours.
async fn run(db: &mut PgConnection, statement: String) -> Result<(), Failure> {
    db.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await?;
    Ok(())
}
