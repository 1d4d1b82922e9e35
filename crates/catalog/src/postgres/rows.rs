//! Rows: what of them is the same in every database, and locking those a change depends on.
//!
//! Changes run at READ COMMITTED: each statement sees what was committed before it. What a change decides by is
//! locked first, in this order: user groups, users, namespaces; several namespaces by name.

use nautilus_types::NamespaceName;
use sqlx::PgConnection;

use super::fault::Failure;
pub(super) use crate::stored::*;
use crate::{CatalogError, UserGroupId, UserId};

/// `NoSuchUser` where there is none of that id; otherwise they stay until the change is done.
pub(super) async fn keep_user(db: &mut PgConnection, user: &UserId) -> Result<(), Failure> {
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM users WHERE id = $1 FOR KEY SHARE")
        .bind(user.as_str())
        .fetch_optional(db)
        .await?;
    match known {
        Some(_) => Ok(()),
        None => Err(CatalogError::NoSuchUser { user: user.clone() }.into()),
    }
}

/// `NoSuchUserGroup` where there is none of that id; otherwise it stays until the change is done.
pub(super) async fn keep_user_group(
    db: &mut PgConnection,
    group: &UserGroupId,
) -> Result<(), Failure> {
    let known: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM user_groups WHERE id = $1 FOR KEY SHARE")
            .bind(group.as_str())
            .fetch_optional(db)
            .await?;
    known.map(|_| ()).ok_or_else(|| no_such_user_group(group))
}

/// The present life of a namespace, as stored, which stays until the change is done. `NoSuchNamespace`.
pub(super) async fn keep_namespace(
    db: &mut PgConnection,
    namespace: &NamespaceName,
) -> Result<i64, Failure> {
    let incarnation: Option<i64> =
        sqlx::query_scalar("SELECT incarnation FROM namespaces WHERE name = $1 FOR KEY SHARE")
            .bind(namespace.as_bytes())
            .fetch_optional(db)
            .await?;
    incarnation.ok_or_else(|| no_such_namespace(namespace))
}

/// The present life of a namespace, where there is one; no other change of its members runs beside this one.
pub(super) async fn lock_members(
    db: &mut PgConnection,
    namespace: &NamespaceName,
) -> Result<Option<i64>, Failure> {
    let locked =
        sqlx::query_scalar("SELECT incarnation FROM namespaces WHERE name = $1 FOR NO KEY UPDATE")
            .bind(namespace.as_bytes())
            .fetch_optional(db)
            .await?;
    Ok(locked)
}

/// The present life of a namespace, as this snapshot has it. `NoSuchNamespace`.
pub(super) async fn living_incarnation(
    db: &mut PgConnection,
    namespace: &NamespaceName,
) -> Result<i64, Failure> {
    let incarnation: Option<i64> =
        sqlx::query_scalar("SELECT incarnation FROM namespaces WHERE name = $1")
            .bind(namespace.as_bytes())
            .fetch_optional(db)
            .await?;
    incarnation.ok_or_else(|| no_such_namespace(namespace))
}

pub(super) fn no_such_namespace(name: &NamespaceName) -> Failure {
    CatalogError::NoSuchNamespace { name: name.clone() }.into()
}

pub(super) fn no_such_user_group(group: &UserGroupId) -> Failure {
    CatalogError::NoSuchUserGroup { group: group.clone() }.into()
}

/// All rows as records, or the first that is none.
pub(super) fn all<Row, Record>(
    found: Vec<Row>,
    record: impl FnMut(Row) -> Result<Record, CatalogError>,
) -> Result<Vec<Record>, Failure> {
    let records: Result<Vec<Record>, CatalogError> = found.into_iter().map(record).collect();
    Ok(records?)
}
