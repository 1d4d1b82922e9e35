//! Namespaces: create, read, delete, and the deletions the log must still hear of.

use nautilus_types::{Incarnation, NamespaceName};
use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::{CatalogError, DeletedNamespace, NamespaceRecord, Right, UserId};

/// First half of the advisory locks on names ("Name"); the second is a hash, and a collision only means waiting.
const NAME_LOCKS: i32 = 0x4e61_6d65;

pub(super) async fn create(
    db: &mut PgConnection,
    action: &'static str,
    name: &NamespaceName,
    owner: &UserId,
    now_unix_ms: u64,
) -> Result<NamespaceRecord, Failure> {
    let created = rows::stored_time(now_unix_ms)?;
    rows::keep_user(db, owner).await?;
    // A sequence is outside transactions. Drawn before this lock, a number could come into use after a larger
    // one had a whole life under the same name.
    sqlx::query("SELECT pg_advisory_xact_lock($1, hashtext(encode($2, 'hex')))")
        .bind(NAME_LOCKS)
        .bind(name.as_bytes())
        .execute(&mut *db)
        .await?;
    let incarnation: Option<i64> = sqlx::query_scalar(
        "INSERT INTO namespaces (name, incarnation, created_at_unix_ms)
         SELECT $1::BYTEA, nextval('incarnations'), $2::BIGINT
         WHERE NOT EXISTS (SELECT FROM namespaces WHERE name = $1)
         ON CONFLICT (name) DO NOTHING RETURNING incarnation",
    )
    .bind(name.as_bytes())
    .bind(created)
    .fetch_optional(&mut *db)
    .await?;
    let Some(incarnation) = incarnation else {
        return Err(CatalogError::NamespaceExists { name: name.clone() }.into());
    };
    sqlx::query(
        "INSERT INTO memberships (user_id, namespace, incarnation, access) VALUES ($1, $2, $3, $4)",
    )
    .bind(owner.as_str())
    .bind(name.as_bytes())
    .bind(incarnation)
    .bind(rows::right_number(Right::Owner))
    .execute(db)
    .await?;
    Ok(NamespaceRecord {
        name: name.clone(),
        incarnation: Incarnation(rows::number(action, incarnation)?),
        created_at_unix_ms: now_unix_ms,
    })
}

pub(super) async fn delete(
    db: &mut PgConnection,
    action: &'static str,
    name: &NamespaceName,
    now_unix_ms: u64,
) -> Result<Option<NamespaceRecord>, Failure> {
    let deleted_at = rows::stored_time(now_unix_ms)?;
    let row: Option<rows::NamespaceRow> = sqlx::query_as(
        "DELETE FROM namespaces WHERE name = $1 RETURNING name, incarnation, created_at_unix_ms",
    )
    .bind(name.as_bytes())
    .fetch_optional(&mut *db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    sqlx::query(
        "INSERT INTO deleted_namespaces (incarnation, name, deleted_at_unix_ms) VALUES ($1, $2, $3)",
    )
    .bind(row.1)
    .bind(name.as_bytes())
    .bind(deleted_at)
    .execute(db)
    .await?;
    Ok(Some(rows::namespace(action, row)?))
}

pub(super) async fn get(
    db: &mut PgConnection,
    action: &'static str,
    name: &NamespaceName,
) -> Result<Option<NamespaceRecord>, Failure> {
    let row: Option<rows::NamespaceRow> = sqlx::query_as(
        "SELECT name, incarnation, created_at_unix_ms FROM namespaces WHERE name = $1",
    )
    .bind(name.as_bytes())
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| rows::namespace(action, row)).transpose()?)
}

pub(super) async fn list(
    db: &mut PgConnection,
    action: &'static str,
    after: Option<&NamespaceName>,
    limit: u32,
) -> Result<Vec<NamespaceRecord>, Failure> {
    // No name is empty, so the empty bytes are before the first.
    let found: Vec<rows::NamespaceRow> = sqlx::query_as(
        "SELECT name, incarnation, created_at_unix_ms FROM namespaces
         WHERE name > $1 ORDER BY name LIMIT $2",
    )
    .bind(after.map_or(&b""[..], NamespaceName::as_bytes))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |row| rows::namespace(action, row))
}

pub(super) async fn pending_deletions(
    db: &mut PgConnection,
    action: &'static str,
    limit: u32,
) -> Result<Vec<DeletedNamespace>, Failure> {
    let found: Vec<rows::DeletedRow> = sqlx::query_as(
        "SELECT name, incarnation, deleted_at_unix_ms FROM deleted_namespaces
         WHERE NOT is_logged ORDER BY incarnation LIMIT $1",
    )
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |row| rows::deleted(action, row))
}

pub(super) async fn mark_deletion_logged(
    db: &mut PgConnection,
    incarnation: Incarnation,
) -> Result<(), Failure> {
    let missing = || CatalogError::NoSuchDeletion { incarnation };
    let number = i64::try_from(incarnation.0).map_err(|_| missing())?;
    let marked =
        sqlx::query("UPDATE deleted_namespaces SET is_logged = TRUE WHERE incarnation = $1")
            .bind(number)
            .execute(db)
            .await?;
    if marked.rows_affected() == 0 { Err(missing().into()) } else { Ok(()) }
}
