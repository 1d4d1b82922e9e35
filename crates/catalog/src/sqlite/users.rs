//! Users: create, read, delete.

use super::fault::failed;
use super::{SqliteCatalog, commit, rows};
use crate::records::check_display_name;
use crate::{CatalogError, UserId, UserRecord};

pub(super) async fn create(
    catalog: &SqliteCatalog,
    id: &UserId,
    display_name: &str,
    now_unix_ms: u64,
) -> Result<UserRecord, CatalogError> {
    const ACTION: &str = "create a user";
    check_display_name(display_name)?;
    let mut tx = catalog.begin_write(ACTION).await?;
    let inserted = sqlx::query(
        "INSERT INTO users (id, display_name, created_at_unix_ms) VALUES (?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(display_name)
    .bind(rows::stored_time(now_unix_ms)?)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if inserted.rows_affected() == 0 {
        return Err(CatalogError::UserExists { user: id.clone() });
    }
    commit(ACTION, tx).await?;
    Ok(UserRecord {
        id: id.clone(),
        display_name: display_name.to_owned(),
        created_at_unix_ms: now_unix_ms,
    })
}

pub(super) async fn get(
    catalog: &SqliteCatalog,
    id: &UserId,
) -> Result<Option<UserRecord>, CatalogError> {
    const ACTION: &str = "read a user";
    sqlx::query_as("SELECT id, display_name, created_at_unix_ms FROM users WHERE id = ?")
        .bind(id.as_str())
        .fetch_optional(&catalog.read)
        .await
        .map_err(failed(ACTION))?
        .map(|row| rows::user(ACTION, row))
        .transpose()
}

pub(super) async fn list(
    catalog: &SqliteCatalog,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserRecord>, CatalogError> {
    const ACTION: &str = "list users";
    // No id is empty, so the empty text is before the first.
    sqlx::query_as(
        "SELECT id, display_name, created_at_unix_ms FROM users WHERE id > ? ORDER BY id LIMIT ?",
    )
    .bind(after.map_or("", UserId::as_str))
    .bind(limit)
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .into_iter()
    .map(|row| rows::user(ACTION, row))
    .collect()
}

pub(super) async fn delete(
    catalog: &SqliteCatalog,
    id: &UserId,
) -> Result<Option<UserRecord>, CatalogError> {
    const ACTION: &str = "delete a user";
    let mut tx = catalog.begin_write(ACTION).await?;
    let sole_owner_of: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT namespace FROM memberships AS mine
         WHERE user_id = ?1 AND access = 3 AND NOT EXISTS (
             SELECT 1 FROM memberships AS theirs
             WHERE theirs.namespace = mine.namespace AND theirs.access = 3
               AND theirs.user_id <> ?1)
         ORDER BY namespace LIMIT 1",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if let Some(name) = sole_owner_of {
        let namespace = rows::namespace_name(ACTION, &name)?;
        return Err(CatalogError::LastOwner { user: id.clone(), namespace });
    }
    let deleted = sqlx::query_as(
        "DELETE FROM users WHERE id = ? RETURNING id, display_name, created_at_unix_ms",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?
    .map(|row| rows::user(ACTION, row))
    .transpose()?;
    commit(ACTION, tx).await?;
    Ok(deleted)
}
