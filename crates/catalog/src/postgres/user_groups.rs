//! Groups of users: create, list, delete, who is in them, and which namespaces they may use.

use nautilus_types::NamespaceName;
use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::records::check_display_name;
use crate::{CatalogError, MemberGroup, Right, UserGroupId, UserGroupRecord, UserId};

pub(super) async fn create(
    db: &mut PgConnection,
    id: &UserGroupId,
    display_name: &str,
    now_unix_ms: u64,
) -> Result<UserGroupRecord, Failure> {
    check_display_name(display_name)?;
    let inserted = sqlx::query(
        "INSERT INTO user_groups (id, display_name, created_at_unix_ms) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(display_name)
    .bind(rows::stored_time(now_unix_ms)?)
    .execute(db)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(CatalogError::UserGroupExists { group: id.clone() }.into());
    }
    let display_name = display_name.to_owned();
    Ok(UserGroupRecord { id: id.clone(), display_name, created_at_unix_ms: now_unix_ms })
}

pub(super) async fn list(
    db: &mut PgConnection,
    action: &'static str,
    after: Option<&UserGroupId>,
    limit: u32,
) -> Result<Vec<UserGroupRecord>, Failure> {
    let found: Vec<rows::UserRow> = sqlx::query_as(
        "SELECT id, display_name, created_at_unix_ms FROM user_groups
         WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(after.map_or("", UserGroupId::as_str))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |row| rows::user_group(action, row))
}

pub(super) async fn delete(
    db: &mut PgConnection,
    action: &'static str,
    id: &UserGroupId,
) -> Result<Option<UserGroupRecord>, Failure> {
    let row: Option<rows::UserRow> = sqlx::query_as(
        "DELETE FROM user_groups WHERE id = $1 RETURNING id, display_name, created_at_unix_ms",
    )
    .bind(id.as_str())
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| rows::user_group(action, row)).transpose()?)
}

pub(super) async fn add(
    db: &mut PgConnection,
    group: &UserGroupId,
    user: &UserId,
) -> Result<(), Failure> {
    rows::keep_user_group(db, group).await?;
    rows::keep_user(db, user).await?;
    sqlx::query(
        "INSERT INTO user_group_users (user_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(user.as_str())
    .bind(group.as_str())
    .execute(db)
    .await?;
    Ok(())
}

pub(super) async fn remove(
    db: &mut PgConnection,
    group: &UserGroupId,
    user: &UserId,
) -> Result<bool, Failure> {
    let removed = sqlx::query("DELETE FROM user_group_users WHERE user_id = $1 AND group_id = $2")
        .bind(user.as_str())
        .bind(group.as_str())
        .execute(db)
        .await?;
    Ok(removed.rows_affected() > 0)
}

pub(super) async fn users(
    db: &mut PgConnection,
    action: &'static str,
    group: &UserGroupId,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserId>, Failure> {
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM user_groups WHERE id = $1")
        .bind(group.as_str())
        .fetch_optional(&mut *db)
        .await?;
    if known.is_none() {
        return Err(rows::no_such_user_group(group));
    }
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT user_id FROM user_group_users
         WHERE group_id = $1 AND user_id > $2 ORDER BY user_id LIMIT $3",
    )
    .bind(group.as_str())
    .bind(after.map_or("", UserId::as_str))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |id| rows::user_id(action, &id))
}

pub(super) async fn grant(
    db: &mut PgConnection,
    group: &UserGroupId,
    namespace: &NamespaceName,
    right: Right,
) -> Result<(), Failure> {
    if right == Right::Owner {
        let (what, reason) = ("right", "cannot be given to a user group");
        return Err(CatalogError::Invalid { what, reason }.into());
    }
    rows::keep_user_group(db, group).await?;
    let incarnation = rows::keep_namespace(db, namespace).await?;
    sqlx::query(
        "INSERT INTO group_memberships (group_id, namespace, incarnation, access)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (group_id, namespace)
         DO UPDATE SET incarnation = excluded.incarnation, access = excluded.access",
    )
    .bind(group.as_str())
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
    group: &UserGroupId,
    namespace: &NamespaceName,
) -> Result<Option<Right>, Failure> {
    let had: Option<i64> = sqlx::query_scalar(
        "DELETE FROM group_memberships WHERE group_id = $1 AND namespace = $2
         RETURNING access::BIGINT",
    )
    .bind(group.as_str())
    .bind(namespace.as_bytes())
    .fetch_optional(db)
    .await?;
    Ok(had.map(|had| rows::right(action, had)).transpose()?)
}

pub(super) async fn list_members(
    db: &mut PgConnection,
    action: &'static str,
    namespace: &NamespaceName,
    after: Option<&UserGroupId>,
    limit: u32,
) -> Result<Vec<MemberGroup>, Failure> {
    let incarnation = rows::living_incarnation(db, namespace).await?;
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT group_id, access::BIGINT FROM group_memberships
         WHERE namespace = $1 AND incarnation = $2 AND group_id > $3 ORDER BY group_id LIMIT $4",
    )
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(after.map_or("", UserGroupId::as_str))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |(group, access)| {
        let group = rows::user_group_id(action, &group)?;
        Ok(MemberGroup { group, right: rows::right(action, access)? })
    })
}
