//! The registry's file: SQLite with a write-ahead journal that is synced at every commit.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Connection, Executor};

use super::batch::Batch;
use super::store::Store;
use crate::checks::check_key;
use crate::{Change, Entry, LeaseId, RegistryError, Revision};

/// "Nreg": marks the file as a registry (SQLite's `application_id`).
const APPLICATION_ID: i64 = 0x4e72_6567;
/// Of `schema_1.sql`.
const SCHEMA_VERSION: i64 = 1;
/// How long to wait for a process that is just ending to let go of the file.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Primary result codes that say the file is not what was written (sqlite.org/rescode.html).
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// `key, value, modified, lease`
type EntryRow = (String, Vec<u8>, i64, Option<i64>);

/// The open file. No other process can open it meanwhile.
#[derive(Debug)]
pub(super) struct SqliteStore {
    options: SqliteConnectOptions,
    /// None after an error, since what it left behind is not known.
    connection: Option<SqliteConnection>,
    opening: u64,
}

/// What a file held when it was opened.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) store: SqliteStore,
    pub(super) revision: Revision,
    pub(super) entries: BTreeMap<String, Entry>,
    /// Which opening of the file this is, from 1.
    pub(super) opening: u64,
}

impl SqliteStore {
    /// Opens the file, making it and its folder where they do not exist, and counts the opening.
    pub(super) async fn open(file: &Path) -> Result<Loaded, RegistryError> {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|error| RegistryError::Unavailable(Box::new(error)))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            // Leases are of one process: a second one must not get in.
            .locking_mode(SqliteLockingMode::Exclusive)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose acknowledged commits in a power cut.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(WAIT_MAX);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
        let (revision, entries, opening) = load(&mut connection).await?;
        let store = Self { options, connection: Some(connection), opening };
        Ok(Loaded { store, revision, entries, opening })
    }

    async fn commit_on(
        connection: &mut SqliteConnection,
        batch: &Batch,
    ) -> Result<(), RegistryError> {
        let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        for change in &batch.changes {
            let query = match change {
                Change::Put(Entry { key, value, modified, lease }) => sqlx::query(
                    "INSERT INTO entries (key, value, modified, lease) VALUES (?, ?, ?, ?)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value,
                     modified = excluded.modified, lease = excluded.lease",
                )
                .bind(key)
                .bind(value.to_vec())
                .bind(stored(modified.0)?)
                .bind(lease.map(|lease| stored(lease.0)).transpose()?),
                Change::Delete { key, .. } => {
                    sqlx::query("DELETE FROM entries WHERE key = ?").bind(key)
                }
            };
            query.execute(&mut *tx).await.map_err(failed)?;
        }
        sqlx::query("UPDATE numbers SET value = ? WHERE name = 'revision'")
            .bind(stored(batch.revision.0)?)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        tx.commit().await.map_err(failed)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&mut self, batch: &Batch) -> Result<(), RegistryError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await.map_err(failed)?,
        };
        let outcome = Self::commit_on(&mut connection, batch).await;
        if outcome.is_ok() {
            self.connection = Some(connection);
        } else {
            // Gives up the lock in time for `recover`; what closing says adds nothing to the error.
            let _ = connection.close().await;
        }
        outcome
    }

    async fn recover(&mut self) -> Result<Revision, RegistryError> {
        let mut connection = SqliteConnection::connect_with(&self.options).await.map_err(failed)?;
        if number(&mut connection, "openings").await? != self.opening {
            let problem = "another process opened the registry's file meanwhile".to_owned();
            return Err(RegistryError::Corrupt { problem });
        }
        let revision = number(&mut connection, "revision").await?;
        self.connection = Some(connection);
        Ok(Revision(revision))
    }

    async fn close(mut self: Box<Self>) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the registry's file did not close as it should");
        }
    }
}

/// Prepares the tables, counts the opening and reads everything, in one transaction.
async fn load(
    connection: &mut SqliteConnection,
) -> Result<(Revision, BTreeMap<String, Entry>, u64), RegistryError> {
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    prepare(&mut tx).await?;
    sqlx::query("UPDATE numbers SET value = value + 1 WHERE name = 'openings'")
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    let opening = number(&mut tx, "openings").await?;
    let revision = Revision(number(&mut tx, "revision").await?);
    let rows: Vec<EntryRow> = sqlx::query_as("SELECT key, value, modified, lease FROM entries")
        .fetch_all(&mut *tx)
        .await
        .map_err(failed)?;
    let mut entries = BTreeMap::new();
    for row in rows {
        let entry = entry(row, revision)?;
        entries.insert(entry.key.clone(), entry);
    }
    tx.commit().await.map_err(failed)?;
    Ok((revision, entries, opening))
}

/// Makes the tables in a new file; refuses files of other programs and newer versions.
async fn prepare(connection: &mut SqliteConnection) -> Result<(), RegistryError> {
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if (application_id, version) == (APPLICATION_ID, SCHEMA_VERSION) {
        return Ok(());
    }
    if (application_id, version, tables) != (0, 0, 0) {
        let problem = format!(
            "the file has application id {application_id:#x} and schema version {version}, \
             a registry's are {APPLICATION_ID:#x} and at most {SCHEMA_VERSION}"
        );
        return Err(RegistryError::Corrupt { problem });
    }
    connection.execute(sqlx::raw_sql(include_str!("schema_1.sql"))).await.map_err(failed)?;
    // Pragmas take no bound values; both are numbers of ours.
    let mark =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}");
    connection.execute(sqlx::raw_sql(AssertSqlSafe(mark))).await.map_err(failed)?;
    Ok(())
}

async fn number(
    connection: &mut SqliteConnection,
    name: &'static str,
) -> Result<u64, RegistryError> {
    let value: i64 = sqlx::query_scalar("SELECT value FROM numbers WHERE name = ?")
        .bind(name)
        .fetch_one(connection)
        .await
        .map_err(failed)?;
    read(value)
}

fn entry(row: EntryRow, revision: Revision) -> Result<Entry, RegistryError> {
    let (key, value, modified, lease) = row;
    let modified = Revision(read(modified)?);
    if check_key(&key).is_err() || modified > revision {
        let problem = format!("no writer left a key {key:?} of revision {modified}");
        return Err(RegistryError::Corrupt { problem });
    }
    let lease = lease.map(read).transpose()?.map(LeaseId);
    Ok(Entry { key, value: value.into(), modified, lease })
}

/// SQLite's numbers are signed.
fn stored(number: u64) -> Result<i64, RegistryError> {
    i64::try_from(number).map_err(|error| RegistryError::Unavailable(Box::new(error)))
}

fn read(number: i64) -> Result<u64, RegistryError> {
    u64::try_from(number)
        .map_err(|_| RegistryError::Corrupt { problem: format!("negative number {number}") })
}

fn failed(error: sqlx::Error) -> RegistryError {
    if is_corruption(&error) {
        return RegistryError::Corrupt { problem: error.to_string() };
    }
    RegistryError::Unavailable(Box::new(error))
}

fn is_corruption(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(database) = error {
        let primary = database.code().and_then(|code| code.parse::<i32>().ok()).map(|c| c & 0xff);
        return matches!(primary, Some(SQLITE_CORRUPT | SQLITE_NOTADB));
    }
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
    )
}
