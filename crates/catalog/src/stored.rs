//! From rows of a database to records and back, refusing what no writer of ours can have written.

use nautilus_types::{Incarnation, NamespaceName};

use crate::error::Cause;
use crate::{
    CatalogError, DeletedNamespace, NamespaceAccess, NamespaceRecord, Right, UserGroupId,
    UserGroupRecord, UserId, UserRecord,
};

/// `id, display_name, created_at_unix_ms`
pub(crate) type UserRow = (String, String, i64);
/// `name, incarnation, created_at_unix_ms`
pub(crate) type NamespaceRow = (Vec<u8>, i64, i64);
/// `name, incarnation, created_at_unix_ms, access`
pub(crate) type AccessRow = (Vec<u8>, i64, i64, i64);
/// `name, incarnation, deleted_at_unix_ms`
pub(crate) type DeletedRow = (Vec<u8>, i64, i64);

pub(crate) fn user(action: &'static str, row: UserRow) -> Result<UserRecord, CatalogError> {
    let (id, display_name, created) = row;
    Ok(UserRecord {
        id: user_id(action, &id)?,
        display_name,
        created_at_unix_ms: number(action, created)?,
    })
}

pub(crate) fn user_group(
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

pub(crate) fn user_group_id(action: &'static str, id: &str) -> Result<UserGroupId, CatalogError> {
    UserGroupId::new(id).map_err(|error| corrupt(action, error))
}

pub(crate) fn namespace(
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

pub(crate) fn access(
    action: &'static str,
    row: AccessRow,
) -> Result<NamespaceAccess, CatalogError> {
    let (name, incarnation, created, access) = row;
    Ok(NamespaceAccess {
        namespace: namespace(action, (name, incarnation, created))?,
        right: right(action, access)?,
    })
}

pub(crate) fn deleted(
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

pub(crate) fn user_id(action: &'static str, id: &str) -> Result<UserId, CatalogError> {
    UserId::new(id).map_err(|error| corrupt(action, error))
}

pub(crate) fn namespace_name(
    action: &'static str,
    name: &[u8],
) -> Result<NamespaceName, CatalogError> {
    NamespaceName::new(name).map_err(|error| corrupt(action, error))
}

pub(crate) fn right(action: &'static str, number: i64) -> Result<Right, CatalogError> {
    match number {
        1 => Ok(Right::Reader),
        2 => Ok(Right::Writer),
        3 => Ok(Right::Owner),
        _ => Err(corrupt(action, format!("unknown right {number}"))),
    }
}

pub(crate) fn right_number(right: Right) -> i64 {
    match right {
        Right::Reader => 1,
        Right::Writer => 2,
        Right::Owner => 3,
    }
}

pub(crate) fn number(action: &'static str, stored: i64) -> Result<u64, CatalogError> {
    u64::try_from(stored).map_err(|_| corrupt(action, format!("negative number {stored}")))
}

/// A time as it is stored.
pub(crate) fn stored_time(unix_ms: u64) -> Result<i64, CatalogError> {
    i64::try_from(unix_ms)
        .map_err(|_| CatalogError::Invalid { what: "time", reason: "is too far in the future" })
}

/// A stored value that no writer of ours can have written.
pub(crate) fn corrupt(action: &'static str, cause: impl Into<Cause>) -> CatalogError {
    CatalogError::Corrupt { action, source: cause.into() }
}
