//! Memberships: grant, revoke, list the members of a namespace.

use nautilus_types::NamespaceName;
use sqlx::{Sqlite, Transaction};

use super::fault::failed;
use super::{SqliteCatalog, commit, rows};
use crate::{CatalogError, Member, Right, UserId};

pub(super) async fn grant(
    catalog: &SqliteCatalog,
    user: &UserId,
    namespace: &NamespaceName,
    right: Right,
) -> Result<(), CatalogError> {
    const ACTION: &str = "grant a membership";
    let mut tx = catalog.begin_write(ACTION).await?;
    rows::must_be_user(ACTION, &mut tx, user).await?;
    let incarnation = rows::living_incarnation(ACTION, &mut tx, namespace).await?;
    if right != Right::Owner {
        keep_an_owner(ACTION, &mut tx, user, namespace).await?;
    }
    sqlx::query(
        "INSERT INTO memberships (user_id, namespace, incarnation, access) VALUES (?, ?, ?, ?)
         ON CONFLICT (user_id, namespace)
         DO UPDATE SET incarnation = excluded.incarnation, access = excluded.access",
    )
    .bind(user.as_str())
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(rows::right_number(right))
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    commit(ACTION, tx).await
}

pub(super) async fn revoke(
    catalog: &SqliteCatalog,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<Option<Right>, CatalogError> {
    const ACTION: &str = "revoke a membership";
    let mut tx = catalog.begin_write(ACTION).await?;
    keep_an_owner(ACTION, &mut tx, user, namespace).await?;
    let had: Option<i64> = sqlx::query_scalar(
        "DELETE FROM memberships WHERE user_id = ? AND namespace = ? RETURNING access",
    )
    .bind(user.as_str())
    .bind(namespace.as_bytes())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let Some(had) = had else { return Ok(None) };
    let right = rows::right(ACTION, had)?;
    commit(ACTION, tx).await?;
    Ok(Some(right))
}

pub(super) async fn list(
    catalog: &SqliteCatalog,
    namespace: &NamespaceName,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<Member>, CatalogError> {
    const ACTION: &str = "list members";
    let mut tx = catalog.read.begin().await.map_err(failed(ACTION))?;
    let incarnation = rows::living_incarnation(ACTION, &mut tx, namespace).await?;
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT user_id, access FROM memberships
         WHERE namespace = ? AND incarnation = ? AND user_id > ? ORDER BY user_id LIMIT ?",
    )
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(after.map_or("", UserId::as_str))
    .bind(limit)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    found
        .into_iter()
        .map(|(user, access)| {
            Ok(Member { user: rows::user_id(ACTION, &user)?, right: rows::right(ACTION, access)? })
        })
        .collect()
}

/// Refuses where `user` is an owner and nobody else is.
async fn keep_an_owner(
    action: &'static str,
    tx: &mut Transaction<'static, Sqlite>,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<(), CatalogError> {
    let owners: Vec<String> = sqlx::query_scalar(
        "SELECT user_id FROM memberships WHERE namespace = ? AND access = 3 LIMIT 2",
    )
    .bind(namespace.as_bytes())
    .fetch_all(&mut **tx)
    .await
    .map_err(failed(action))?;
    if owners.len() == 1 && owners.iter().any(|owner| owner == user.as_str()) {
        return Err(CatalogError::LastOwner { user: user.clone(), namespace: namespace.clone() });
    }
    Ok(())
}
