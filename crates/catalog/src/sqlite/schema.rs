//! The tables, by version, and bringing a database to the newest one.

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::fault::{commit_failed, failed};
use crate::CatalogError;

/// "Naut": marks the file as a catalog (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x4e61_7574;

/// What takes the schema from version `index` to `index + 1`. Released entries never change.
const STEPS: [&str; 2] = [include_str!("schema_1.sql"), include_str!("schema_2.sql")];

/// Brings the schema to the newest version, in one transaction.
pub(super) async fn migrate(connection: &mut SqliteConnection) -> Result<(), CatalogError> {
    const ACTION: &str = "prepare the catalog's tables";
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed(ACTION))?;
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;

    let is_new = application_id == 0 && found == 0 && tables == 0;
    let supported = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    if !is_new && (application_id != APPLICATION_ID || found > supported || found < 1) {
        return Err(CatalogError::OtherVersion { application_id, found, supported });
    }
    let mut version = 0;
    for step in STEPS {
        version += 1;
        if version > found {
            tx.execute(sqlx::raw_sql(step)).await.map_err(failed(ACTION))?;
        }
    }
    // Pragmas take no bound values; both are numbers of ours.
    let mark = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}");
    tx.execute(sqlx::raw_sql(AssertSqlSafe(mark))).await.map_err(failed(ACTION))?;
    tx.commit().await.map_err(commit_failed(ACTION))
}
