//! Memberships: grant, revoke, list the members of a namespace.

use nautilus_types::NamespaceName;
use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::{CatalogError, Member, Right, UserId};

pub(super) async fn grant(
    db: &mut PgConnection,
    user: &UserId,
    namespace: &NamespaceName,
    right: Right,
) -> Result<(), Failure> {
    rows::keep_user(db, user).await?;
    let incarnation = rows::lock_members(db, namespace).await?;
    let incarnation = incarnation.ok_or_else(|| rows::no_such_namespace(namespace))?;
    if right != Right::Owner {
        keep_an_owner(db, user, namespace).await?;
    }
    sqlx::query(
        "INSERT INTO memberships (user_id, namespace, incarnation, access) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, namespace)
         DO UPDATE SET incarnation = excluded.incarnation, access = excluded.access",
    )
    .bind(user.as_str())
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(rows::right_number(right))
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn revoke(
    db: &mut PgConnection,
    action: &'static str,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<Option<Right>, Failure> {
    if rows::lock_members(db, namespace).await?.is_none() {
        return Ok(None);
    }
    keep_an_owner(db, user, namespace).await?;
    let had: Option<i64> = sqlx::query_scalar(
        "DELETE FROM memberships WHERE user_id = $1 AND namespace = $2 RETURNING access::BIGINT",
    )
    .bind(user.as_str())
    .bind(namespace.as_bytes())
    .fetch_optional(db)
    .await?;
    Ok(had.map(|had| rows::right(action, had)).transpose()?)
}

pub(super) async fn list(
    db: &mut PgConnection,
    action: &'static str,
    namespace: &NamespaceName,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<Member>, Failure> {
    let incarnation = rows::living_incarnation(db, namespace).await?;
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT user_id, access::BIGINT FROM memberships
         WHERE namespace = $1 AND incarnation = $2 AND user_id > $3 ORDER BY user_id LIMIT $4",
    )
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(after.map_or("", UserId::as_str))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |(user, access)| {
        Ok(Member { user: rows::user_id(action, &user)?, right: rows::right(action, access)? })
    })
}

/// Refuses where `user` is an owner and nobody else is. The members are locked.
async fn keep_an_owner(
    db: &mut PgConnection,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<(), Failure> {
    let owners: Vec<String> = sqlx::query_scalar(
        "SELECT user_id FROM memberships WHERE namespace = $1 AND access = 3 LIMIT 2",
    )
    .bind(namespace.as_bytes())
    .fetch_all(db)
    .await?;
    if owners.len() == 1 && owners.iter().any(|owner| owner == user.as_str()) {
        let (user, namespace) = (user.clone(), namespace.clone());
        return Err(CatalogError::LastOwner { user, namespace }.into());
    }
    Ok(())
}
