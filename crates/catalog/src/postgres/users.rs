//! Users: create, read, delete.

use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::records::check_display_name;
use crate::{CatalogError, UserId, UserRecord};

pub(super) async fn create(
    db: &mut PgConnection,
    id: &UserId,
    display_name: &str,
    now_unix_ms: u64,
) -> Result<UserRecord, Failure> {
    check_display_name(display_name)?;
    let inserted = sqlx::query(
        "INSERT INTO users (id, display_name, created_at_unix_ms) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(display_name)
    .bind(rows::stored_time(now_unix_ms)?)
    .execute(db)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(CatalogError::UserExists { user: id.clone() }.into());
    }
    Ok(UserRecord {
        id: id.clone(),
        display_name: display_name.to_owned(),
        created_at_unix_ms: now_unix_ms,
    })
}

pub(super) async fn get(
    db: &mut PgConnection,
    action: &'static str,
    id: &UserId,
) -> Result<Option<UserRecord>, Failure> {
    let row: Option<rows::UserRow> =
        sqlx::query_as("SELECT id, display_name, created_at_unix_ms FROM users WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(db)
            .await?;
    Ok(row.map(|row| rows::user(action, row)).transpose()?)
}

pub(super) async fn list(
    db: &mut PgConnection,
    action: &'static str,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserRecord>, Failure> {
    // No id is empty, so the empty text is before the first.
    let found: Vec<rows::UserRow> = sqlx::query_as(
        "SELECT id, display_name, created_at_unix_ms FROM users
         WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.map_or("", UserId::as_str))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |row| rows::user(action, row))
}

pub(super) async fn delete(
    db: &mut PgConnection,
    action: &'static str,
    id: &UserId,
) -> Result<Option<UserRecord>, Failure> {
    // First the user, so that nobody makes them owner of one more namespace; then, in one order for everybody,
    // the namespaces they own, so that their other owners stay what they are.
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM users WHERE id = $1 FOR UPDATE")
        .bind(id.as_str())
        .fetch_optional(&mut *db)
        .await?;
    if known.is_none() {
        return Ok(None);
    }
    sqlx::query(
        "SELECT FROM namespaces AS n
         JOIN memberships AS m ON m.namespace = n.name AND m.incarnation = n.incarnation
         WHERE m.user_id = $1 AND m.access = 3
         ORDER BY n.name FOR NO KEY UPDATE OF n",
    )
    .bind(id.as_str())
    .execute(&mut *db)
    .await?;
    let sole_owner_of: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT namespace FROM memberships AS mine
         WHERE user_id = $1 AND access = 3 AND NOT EXISTS (
             SELECT FROM memberships AS theirs
             WHERE theirs.namespace = mine.namespace AND theirs.access = 3
               AND theirs.user_id <> $1)
         ORDER BY namespace LIMIT 1",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *db)
    .await?;
    if let Some(name) = sole_owner_of {
        let namespace = rows::namespace_name(action, &name)?;
        return Err(CatalogError::LastOwner { user: id.clone(), namespace }.into());
    }
    let row: Option<rows::UserRow> = sqlx::query_as(
        "DELETE FROM users WHERE id = $1 RETURNING id, display_name, created_at_unix_ms",
    )
    .bind(id.as_str())
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| rows::user(action, row)).transpose()?)
}
