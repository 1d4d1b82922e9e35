//! Scope: which namespaces a user may read. The second check is in `second_check.rs` and shares
//! nothing with this.

use nautilus_types::{Limits, NamespaceName};
use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::{CatalogError, NamespaceAccess, NamespaceRecord, UserId};

pub(super) async fn readable(
    db: &mut PgConnection,
    action: &'static str,
    user: &UserId,
    filter: Option<&[NamespaceName]>,
    limit: u32,
) -> Result<Vec<NamespaceRecord>, Failure> {
    // Every right includes reading.
    let query = match filter {
        None => sqlx::query_as(
            "SELECT n.name, n.incarnation, n.created_at_unix_ms
             FROM rights AS m
             JOIN namespaces AS n ON n.name = m.namespace AND n.incarnation = m.incarnation
             WHERE m.user_id = $1
             GROUP BY n.name ORDER BY n.name LIMIT $2",
        ),
        Some(_) => sqlx::query_as(
            "SELECT n.name, n.incarnation, n.created_at_unix_ms
             FROM rights AS m
             JOIN namespaces AS n ON n.name = m.namespace AND n.incarnation = m.incarnation
             WHERE m.user_id = $1 AND m.namespace = ANY($3)
             GROUP BY n.name ORDER BY n.name LIMIT $2",
        ),
    };
    let mut query = query.bind(user.as_str()).bind(i64::from(limit));
    if let Some(names) = filter {
        query = query.bind(names.iter().map(NamespaceName::as_bytes).collect::<Vec<_>>());
    }
    let found: Vec<rows::NamespaceRow> = query.fetch_all(db).await?;
    rows::all(found, |row| rows::namespace(action, row))
}

/// `TooMany`; whether there is anything to ask the database at all.
pub(super) fn check_filter(filter: Option<&[NamespaceName]>) -> Result<bool, CatalogError> {
    let count_max = Limits::GRANT_NAMESPACES_MAX;
    match filter {
        Some(names) if names.len() > count_max => {
            Err(CatalogError::TooMany { count: names.len(), count_max })
        }
        Some(names) => Ok(!names.is_empty()),
        None => Ok(true),
    }
}

pub(super) async fn namespaces_of(
    db: &mut PgConnection,
    action: &'static str,
    user: &UserId,
    after: Option<&NamespaceName>,
    limit: u32,
) -> Result<Vec<NamespaceAccess>, Failure> {
    let found: Vec<rows::AccessRow> = sqlx::query_as(
        "SELECT n.name, n.incarnation, n.created_at_unix_ms, max(m.access)::BIGINT
         FROM rights AS m
         JOIN namespaces AS n ON n.name = m.namespace AND n.incarnation = m.incarnation
         WHERE m.user_id = $1 AND m.namespace > $2 GROUP BY n.name ORDER BY n.name LIMIT $3",
    )
    .bind(user.as_str())
    .bind(after.map_or(&b""[..], NamespaceName::as_bytes))
    .bind(i64::from(limit))
    .fetch_all(db)
    .await?;
    rows::all(found, |row| rows::access(action, row))
}

pub(super) async fn access_of(
    db: &mut PgConnection,
    action: &'static str,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<Option<NamespaceAccess>, Failure> {
    let row: Option<rows::AccessRow> = sqlx::query_as(
        "SELECT n.name, n.incarnation, n.created_at_unix_ms, max(m.access)::BIGINT
         FROM namespaces AS n
         JOIN rights AS m ON m.namespace = n.name AND m.incarnation = n.incarnation
         WHERE n.name = $1 AND m.user_id = $2 GROUP BY n.name",
    )
    .bind(namespace.as_bytes())
    .bind(user.as_str())
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| rows::access(action, row)).transpose()?)
}
