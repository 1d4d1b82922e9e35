//! Rows: what of them is the same in every database, and looking for those a change depends on.

use nautilus_types::NamespaceName;
use sqlx::{Sqlite, Transaction};

use super::fault::failed;
pub(super) use crate::stored::*;
use crate::{CatalogError, UserId};

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
