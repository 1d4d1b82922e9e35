//! Scope: which namespaces a user may read. The second check is in `second_check.rs` and shares
//! nothing with this.

use nautilus_types::{Limits, NamespaceName};
use sqlx::{QueryBuilder, Sqlite};

use super::fault::failed;
use super::{SqliteCatalog, rows};
use crate::{CatalogError, NamespaceAccess, NamespaceRecord, UserId};

pub(super) async fn readable(
    catalog: &SqliteCatalog,
    user: &UserId,
    filter: Option<&[NamespaceName]>,
    limit: u32,
) -> Result<Vec<NamespaceRecord>, CatalogError> {
    const ACTION: &str = "find the readable namespaces";
    let count_max = Limits::GRANT_NAMESPACES_MAX;
    if let Some(names) = filter {
        if names.len() > count_max {
            return Err(CatalogError::TooMany { count: names.len(), count_max });
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
    }
    // Every right includes reading.
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT n.name, n.incarnation, n.created_at_unix_ms
         FROM rights AS m
         JOIN namespaces AS n ON n.name = m.namespace AND n.incarnation = m.incarnation
         WHERE m.user_id = ",
    );
    query.push_bind(user.as_str());
    if let Some(names) = filter {
        query.push(" AND m.namespace IN (");
        let mut list = query.separated(", ");
        for name in names {
            list.push_bind(name.as_bytes());
        }
        query.push(")");
    }
    query.push(" GROUP BY n.name ORDER BY n.name LIMIT ").push_bind(limit);
    query
        .build_query_as::<rows::NamespaceRow>()
        .fetch_all(&catalog.read)
        .await
        .map_err(failed(ACTION))?
        .into_iter()
        .map(|row| rows::namespace(ACTION, row))
        .collect()
}

pub(super) async fn namespaces_of(
    catalog: &SqliteCatalog,
    user: &UserId,
    after: Option<&NamespaceName>,
    limit: u32,
) -> Result<Vec<NamespaceAccess>, CatalogError> {
    const ACTION: &str = "list a user's namespaces";
    sqlx::query_as(
        "SELECT n.name, n.incarnation, n.created_at_unix_ms, max(m.access)
         FROM rights AS m
         JOIN namespaces AS n ON n.name = m.namespace AND n.incarnation = m.incarnation
         WHERE m.user_id = ? AND m.namespace > ? GROUP BY n.name ORDER BY n.name LIMIT ?",
    )
    .bind(user.as_str())
    .bind(after.map_or(&b""[..], NamespaceName::as_bytes))
    .bind(limit)
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .into_iter()
    .map(|row| rows::access(ACTION, row))
    .collect()
}

pub(super) async fn access_of(
    catalog: &SqliteCatalog,
    user: &UserId,
    namespace: &NamespaceName,
) -> Result<Option<NamespaceAccess>, CatalogError> {
    const ACTION: &str = "look up a right";
    sqlx::query_as(
        "SELECT n.name, n.incarnation, n.created_at_unix_ms, max(m.access)
         FROM namespaces AS n
         JOIN rights AS m ON m.namespace = n.name AND m.incarnation = n.incarnation
         WHERE n.name = ? AND m.user_id = ? GROUP BY n.name",
    )
    .bind(namespace.as_bytes())
    .bind(user.as_str())
    .fetch_optional(&catalog.read)
    .await
    .map_err(failed(ACTION))?
    .map(|row| rows::access(ACTION, row))
    .transpose()
}
