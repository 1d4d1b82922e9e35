//! Namespaces: create, read, delete, and the deletions the log must still hear of.

use nautilus_types::{Incarnation, NamespaceName};

use super::fault::failed;
use super::{SqliteCatalog, commit, rows};
use crate::{CatalogError, DeletedNamespace, NamespaceRecord, Right, UserId};

pub(super) async fn create(
    catalog: &SqliteCatalog,
    name: &NamespaceName,
    owner: &UserId,
    now_unix_ms: u64,
) -> Result<NamespaceRecord, CatalogError> {
    const ACTION: &str = "create a namespace";
    let created = rows::stored_time(now_unix_ms)?;
    let mut tx = catalog.begin_write(ACTION).await?;
    rows::must_be_user(ACTION, &mut tx, owner).await?;
    let incarnation: i64 = sqlx::query_scalar(
        "UPDATE sequences SET value = value + 1 WHERE name = 'incarnation' RETURNING value",
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let inserted = sqlx::query(
        "INSERT INTO namespaces (name, incarnation, created_at_unix_ms) VALUES (?, ?, ?)
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(name.as_bytes())
    .bind(incarnation)
    .bind(created)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if inserted.rows_affected() == 0 {
        return Err(CatalogError::NamespaceExists { name: name.clone() });
    }
    sqlx::query(
        "INSERT INTO memberships (user_id, namespace, incarnation, access) VALUES (?, ?, ?, ?)",
    )
    .bind(owner.as_str())
    .bind(name.as_bytes())
    .bind(incarnation)
    .bind(rows::right_number(Right::Owner))
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let record = NamespaceRecord {
        name: name.clone(),
        incarnation: Incarnation(rows::number(ACTION, incarnation)?),
        created_at_unix_ms: now_unix_ms,
    };
    commit(ACTION, tx).await?;
    Ok(record)
}

pub(super) async fn delete(
    catalog: &SqliteCatalog,
    name: &NamespaceName,
    now_unix_ms: u64,
) -> Result<Option<NamespaceRecord>, CatalogError> {
    const ACTION: &str = "delete a namespace";
    let deleted_at = rows::stored_time(now_unix_ms)?;
    let mut tx = catalog.begin_write(ACTION).await?;
    let row: Option<rows::NamespaceRow> = sqlx::query_as(
        "DELETE FROM namespaces WHERE name = ? RETURNING name, incarnation, created_at_unix_ms",
    )
    .bind(name.as_bytes())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let Some(row) = row else { return Ok(None) };
    sqlx::query(
        "INSERT INTO deleted_namespaces (incarnation, name, deleted_at_unix_ms) VALUES (?, ?, ?)",
    )
    .bind(row.1)
    .bind(name.as_bytes())
    .bind(deleted_at)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let record = rows::namespace(ACTION, row)?;
    commit(ACTION, tx).await?;
    Ok(Some(record))
}

pub(super) async fn get(
    catalog: &SqliteCatalog,
    name: &NamespaceName,
) -> Result<Option<NamespaceRecord>, CatalogError> {
    const ACTION: &str = "read a namespace";
    sqlx::query_as("SELECT name, incarnation, created_at_unix_ms FROM namespaces WHERE name = ?")
        .bind(name.as_bytes())
        .fetch_optional(&catalog.read)
        .await
        .map_err(failed(ACTION))?
        .map(|row| rows::namespace(ACTION, row))
        .transpose()
}

pub(super) async fn list(
    catalog: &SqliteCatalog,
    after: Option<&NamespaceName>,
    limit: u32,
) -> Result<Vec<NamespaceRecord>, CatalogError> {
    const ACTION: &str = "list namespaces";
    // No name is empty, so the empty blob is before the first.
    sqlx::query_as(
        "SELECT name, incarnation, created_at_unix_ms FROM namespaces
         WHERE name > ? ORDER BY name LIMIT ?",
    )
    .bind(after.map_or(&b""[..], NamespaceName::as_bytes))
    .bind(limit)
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .into_iter()
    .map(|row| rows::namespace(ACTION, row))
    .collect()
}

pub(super) async fn pending_deletions(
    catalog: &SqliteCatalog,
    limit: u32,
) -> Result<Vec<DeletedNamespace>, CatalogError> {
    const ACTION: &str = "list pending deletions";
    sqlx::query_as(
        "SELECT name, incarnation, deleted_at_unix_ms FROM deleted_namespaces
         WHERE logged = 0 ORDER BY incarnation LIMIT ?",
    )
    .bind(limit)
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .into_iter()
    .map(|row| rows::deleted(ACTION, row))
    .collect()
}

pub(super) async fn mark_deletion_logged(
    catalog: &SqliteCatalog,
    incarnation: Incarnation,
) -> Result<(), CatalogError> {
    const ACTION: &str = "mark a deletion as logged";
    let missing = || CatalogError::NoSuchDeletion { incarnation };
    let number = i64::try_from(incarnation.0).map_err(|_| missing())?;
    let mut tx = catalog.begin_write(ACTION).await?;
    let marked = sqlx::query("UPDATE deleted_namespaces SET logged = 1 WHERE incarnation = ?")
        .bind(number)
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    if marked.rows_affected() == 0 {
        return Err(missing());
    }
    commit(ACTION, tx).await
}
