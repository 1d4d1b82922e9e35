//! From rows to records, refusing what no writer of ours can have written.

use nautilus_types::{Incarnation, NamespaceName};
use sqlx::{Sqlite, Transaction};

use super::fault::{corrupt, failed};
use crate::{
    CatalogError, DeletedNamespace, NamespaceAccess, NamespaceRecord, Right, UserGroupId,
    UserGroupRecord, UserId, UserRecord,
};

/// `id, display_name, created_at_unix_ms`
pub(super) type UserRow = (String, String, i64);
/// `name, incarnation, created_at_unix_ms`
pub(super) type NamespaceRow = (Vec<u8>, i64, i64);
/// `name, incarnation, created_at_unix_ms, access`
pub(super) type AccessRow = (Vec<u8>, i64, i64, i64);
/// `name, incarnation, deleted_at_unix_ms`
pub(super) type DeletedRow = (Vec<u8>, i64, i64);

pub(super) fn user(action: &'static str, row: UserRow) -> Result<UserRecord, CatalogError> {
    let (id, display_name, created) = row;
    Ok(UserRecord {
        id: user_id(action, &id)?,
        display_name,
        created_at_unix_ms: number(action, created)?,
    })
}

pub(super) fn user_group(
    action: &'static str,
    row: UserRow,
) -> Result<UserGroupRecord, CatalogError> {
    let (id, display_name, created) = row;
    Ok(UserGroupRecord {
        id: user_group_id(action, &id)?,
        display_name,
        created_at_unix_ms: number(action, created)?,
    })
}

pub(super) fn user_group_id(action: &'static str, id: &str) -> Result<UserGroupId, CatalogError> {
    UserGroupId::new(id).map_err(|error| corrupt(action, error))
}

/// `NoSuchUser` where there is none of that id.
pub(super) async fn must_be_user(
    action: &'static str,
    tx: &mut Transaction<'static, Sqlite>,
    user: &UserId,
) -> Result<(), CatalogError> {
    let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM users WHERE id = ?")
        .bind(user.as_str())
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(action))?;
    match known {
        Some(_) => Ok(()),
        None => Err(CatalogError::NoSuchUser { user: user.clone() }),
    }
}

/// The present life of a namespace, as stored. `NoSuchNamespace`.
pub(super) async fn living_incarnation(
    action: &'static str,
    tx: &mut Transaction<'static, Sqlite>,
    namespace: &NamespaceName,
) -> Result<i64, CatalogError> {
    let incarnation: Option<i64> =
        sqlx::query_scalar("SELECT incarnation FROM namespaces WHERE name = ?")
            .bind(namespace.as_bytes())
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(action))?;
    incarnation.ok_or_else(|| CatalogError::NoSuchNamespace { name: namespace.clone() })
}

pub(super) fn namespace(
    action: &'static str,
    row: NamespaceRow,
) -> Result<NamespaceRecord, CatalogError> {
    let (name, incarnation, created) = row;
    Ok(NamespaceRecord {
        name: namespace_name(action, &name)?,
        incarnation: Incarnation(number(action, incarnation)?),
        created_at_unix_ms: number(action, created)?,
    })
}

pub(super) fn access(
    action: &'static str,
    row: AccessRow,
) -> Result<NamespaceAccess, CatalogError> {
    let (name, incarnation, created, access) = row;
    Ok(NamespaceAccess {
        namespace: namespace(action, (name, incarnation, created))?,
        right: right(action, access)?,
    })
}

pub(super) fn deleted(
    action: &'static str,
    row: DeletedRow,
) -> Result<DeletedNamespace, CatalogError> {
    let (name, incarnation, deleted) = row;
    Ok(DeletedNamespace {
        name: namespace_name(action, &name)?,
        incarnation: Incarnation(number(action, incarnation)?),
        deleted_at_unix_ms: number(action, deleted)?,
    })
}

pub(super) fn user_id(action: &'static str, id: &str) -> Result<UserId, CatalogError> {
    UserId::new(id).map_err(|error| corrupt(action, error))
}

pub(super) fn namespace_name(
    action: &'static str,
    name: &[u8],
) -> Result<NamespaceName, CatalogError> {
    NamespaceName::new(name).map_err(|error| corrupt(action, error))
}

pub(super) fn right(action: &'static str, number: i64) -> Result<Right, CatalogError> {
    match number {
        1 => Ok(Right::Reader),
        2 => Ok(Right::Writer),
        3 => Ok(Right::Owner),
        _ => Err(corrupt(action, format!("unknown right {number}"))),
    }
}

pub(super) fn right_number(right: Right) -> i64 {
    match right {
        Right::Reader => 1,
        Right::Writer => 2,
        Right::Owner => 3,
    }
}

pub(super) fn number(action: &'static str, stored: i64) -> Result<u64, CatalogError> {
    u64::try_from(stored).map_err(|_| corrupt(action, format!("negative number {stored}")))
}

/// A time as it is stored.
pub(super) fn stored_time(unix_ms: u64) -> Result<i64, CatalogError> {
    i64::try_from(unix_ms)
        .map_err(|_| CatalogError::Invalid { what: "time", reason: "is too far in the future" })
}
