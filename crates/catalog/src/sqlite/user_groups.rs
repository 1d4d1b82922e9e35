//! Groups of users: create, list, delete, who is in them, and which namespaces they may use.

use nautilus_types::NamespaceName;
use sqlx::{Sqlite, Transaction};

use super::fault::failed;
use super::{SqliteCatalog, commit, rows};
use crate::records::check_display_name;
use crate::{CatalogError, MemberGroup, Right, UserGroupId, UserGroupRecord, UserId};

pub(super) async fn create(
    catalog: &SqliteCatalog,
    id: &UserGroupId,
    display_name: &str,
    now_unix_ms: u64,
) -> Result<UserGroupRecord, CatalogError> {
    const ACTION: &str = "create a user group";
    check_display_name(display_name)?;
    let mut tx = catalog.begin_write(ACTION).await?;
    let inserted = sqlx::query(
        "INSERT INTO user_groups (id, display_name, created_at_unix_ms) VALUES (?, ?, ?)
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(display_name)
    .bind(rows::stored_time(now_unix_ms)?)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    if inserted.rows_affected() == 0 {
        return Err(CatalogError::UserGroupExists { group: id.clone() });
    }
    commit(ACTION, tx).await?;
    let display_name = display_name.to_owned();
    Ok(UserGroupRecord { id: id.clone(), display_name, created_at_unix_ms: now_unix_ms })
}

pub(super) async fn list(
    catalog: &SqliteCatalog,
    after: Option<&UserGroupId>,
    limit: u32,
) -> Result<Vec<UserGroupRecord>, CatalogError> {
    const ACTION: &str = "list user groups";
    sqlx::query_as(
        "SELECT id, display_name, created_at_unix_ms FROM user_groups
         WHERE id > ? ORDER BY id LIMIT ?",
    )
    .bind(after.map_or("", UserGroupId::as_str))
    .bind(limit)
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .into_iter()
    .map(|row| rows::user_group(ACTION, row))
    .collect()
}

pub(super) async fn delete(
    catalog: &SqliteCatalog,
    id: &UserGroupId,
) -> Result<Option<UserGroupRecord>, CatalogError> {
    const ACTION: &str = "delete a user group";
    let mut tx = catalog.begin_write(ACTION).await?;
    let deleted = sqlx::query_as(
        "DELETE FROM user_groups WHERE id = ? RETURNING id, display_name, created_at_unix_ms",
    )
    .bind(id.as_str())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?
    .map(|row| rows::user_group(ACTION, row))
    .transpose()?;
    commit(ACTION, tx).await?;
    Ok(deleted)
}

pub(super) async fn add(
    catalog: &SqliteCatalog,
    group: &UserGroupId,
    user: &UserId,
) -> Result<(), CatalogError> {
    const ACTION: &str = "add a user to a group";
    let mut tx = catalog.begin_write(ACTION).await?;
    must_exist(ACTION, &mut tx, group).await?;
    rows::must_be_user(ACTION, &mut tx, user).await?;
    sqlx::query(
        "INSERT INTO user_group_users (user_id, group_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(user.as_str())
    .bind(group.as_str())
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    commit(ACTION, tx).await
}

pub(super) async fn remove(
    catalog: &SqliteCatalog,
    group: &UserGroupId,
    user: &UserId,
) -> Result<bool, CatalogError> {
    const ACTION: &str = "remove a user from a group";
    let mut tx = catalog.begin_write(ACTION).await?;
    let removed = sqlx::query("DELETE FROM user_group_users WHERE user_id = ? AND group_id = ?")
        .bind(user.as_str())
        .bind(group.as_str())
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    commit(ACTION, tx).await?;
    Ok(removed.rows_affected() > 0)
}

pub(super) async fn users(
    catalog: &SqliteCatalog,
    group: &UserGroupId,
    after: Option<&UserId>,
    limit: u32,
) -> Result<Vec<UserId>, CatalogError> {
    const ACTION: &str = "list the users of a group";
    // One transaction, so that a group deleted meanwhile is not taken for an empty one.
    let mut tx = catalog.read.begin().await.map_err(failed(ACTION))?;
    must_exist(ACTION, &mut tx, group).await?;
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT user_id FROM user_group_users
         WHERE group_id = ? AND user_id > ? ORDER BY user_id LIMIT ?",
    )
    .bind(group.as_str())
    .bind(after.map_or("", UserId::as_str))
    .bind(limit)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    found.iter().map(|id| rows::user_id(ACTION, id)).collect()
}

pub(super) async fn grant(
    catalog: &SqliteCatalog,
    group: &UserGroupId,
    namespace: &NamespaceName,
    right: Right,
) -> Result<(), CatalogError> {
    const ACTION: &str = "grant a membership to a group";
    if right == Right::Owner {
        let (what, reason) = ("right", "cannot be given to a user group");
        return Err(CatalogError::Invalid { what, reason });
    }
    let mut tx = catalog.begin_write(ACTION).await?;
    must_exist(ACTION, &mut tx, group).await?;
    let incarnation = rows::living_incarnation(ACTION, &mut tx, namespace).await?;
    sqlx::query(
        "INSERT INTO group_memberships (group_id, namespace, incarnation, access)
         VALUES (?, ?, ?, ?)
         ON CONFLICT (group_id, namespace)
         DO UPDATE SET incarnation = excluded.incarnation, access = excluded.access",
    )
    .bind(group.as_str())
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
    group: &UserGroupId,
    namespace: &NamespaceName,
) -> Result<Option<Right>, CatalogError> {
    const ACTION: &str = "revoke a membership of a group";
    let mut tx = catalog.begin_write(ACTION).await?;
    let had: Option<i64> = sqlx::query_scalar(
        "DELETE FROM group_memberships WHERE group_id = ? AND namespace = ? RETURNING access",
    )
    .bind(group.as_str())
    .bind(namespace.as_bytes())
    .fetch_optional(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let right = had.map(|had| rows::right(ACTION, had)).transpose()?;
    commit(ACTION, tx).await?;
    Ok(right)
}

pub(super) async fn list_members(
    catalog: &SqliteCatalog,
    namespace: &NamespaceName,
    after: Option<&UserGroupId>,
    limit: u32,
) -> Result<Vec<MemberGroup>, CatalogError> {
    const ACTION: &str = "list member groups";
    let mut tx = catalog.read.begin().await.map_err(failed(ACTION))?;
    let incarnation = rows::living_incarnation(ACTION, &mut tx, namespace).await?;
    let found: Vec<(String, i64)> = sqlx::query_as(
        "SELECT group_id, access FROM group_memberships
         WHERE namespace = ? AND incarnation = ? AND group_id > ? ORDER BY group_id LIMIT ?",
    )
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .bind(after.map_or("", UserGroupId::as_str))
    .bind(limit)
    .fetch_all(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let member = |(group, access): (String, i64)| {
        let group = rows::user_group_id(ACTION, &group)?;
        Ok(MemberGroup { group, right: rows::right(ACTION, access)? })
    };
    found.into_iter().map(member).collect()
}

async fn must_exist(
    action: &'static str,
    tx: &mut Transaction<'static, Sqlite>,
    group: &UserGroupId,
) -> Result<(), CatalogError> {
    let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM user_groups WHERE id = ?")
        .bind(group.as_str())
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(action))?;
    match known {
        Some(_) => Ok(()),
        None => Err(CatalogError::NoSuchUserGroup { group: group.clone() }),
    }
}
