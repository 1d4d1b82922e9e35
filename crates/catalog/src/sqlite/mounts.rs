//! Mounts: where a user sees which namespace.

use nautilus_types::{Incarnation, NamespaceName};

use super::fault::failed;
use super::{SqliteCatalog, commit, rows};
use crate::{CatalogError, MOUNTS_MAX, Mount, MountPath, UserId};

pub(super) async fn set(
    catalog: &SqliteCatalog,
    user: &UserId,
    path: &MountPath,
    namespace: &NamespaceName,
) -> Result<(), CatalogError> {
    const ACTION: &str = "set a mount";
    let mut tx = catalog.begin_write(ACTION).await?;
    rows::must_be_user(ACTION, &mut tx, user).await?;
    let incarnation = rows::living_incarnation(ACTION, &mut tx, namespace).await?;
    sqlx::query(
        "INSERT INTO mounts (user_id, path, namespace, incarnation) VALUES (?, ?, ?, ?)
         ON CONFLICT (user_id, path)
         DO UPDATE SET namespace = excluded.namespace, incarnation = excluded.incarnation",
    )
    .bind(user.as_str())
    .bind(path.as_str())
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .execute(&mut *tx)
    .await
    .map_err(failed(ACTION))?;
    let mounts: i64 = sqlx::query_scalar("SELECT count(*) FROM mounts WHERE user_id = ?")
        .bind(user.as_str())
        .fetch_one(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    if mounts > i64::from(MOUNTS_MAX) {
        return Err(CatalogError::Invalid { what: "mount", reason: "is one too many" });
    }
    commit(ACTION, tx).await
}

pub(super) async fn remove(
    catalog: &SqliteCatalog,
    user: &UserId,
    path: &MountPath,
) -> Result<bool, CatalogError> {
    const ACTION: &str = "remove a mount";
    let mut tx = catalog.begin_write(ACTION).await?;
    let removed = sqlx::query("DELETE FROM mounts WHERE user_id = ? AND path = ?")
        .bind(user.as_str())
        .bind(path.as_str())
        .execute(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    commit(ACTION, tx).await?;
    Ok(removed.rows_affected() > 0)
}

pub(super) async fn list(
    catalog: &SqliteCatalog,
    user: &UserId,
) -> Result<Vec<Mount>, CatalogError> {
    const ACTION: &str = "list mounts";
    let found: Vec<(String, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT path, namespace, incarnation FROM mounts WHERE user_id = ? ORDER BY path",
    )
    .bind(user.as_str())
    .fetch_all(&catalog.read)
    .await
    .map_err(failed(ACTION))?;
    let mount = |(path, namespace, incarnation): (String, Vec<u8>, i64)| {
        Ok(Mount {
            path: MountPath::new(path).map_err(|error| rows::corrupt(ACTION, error))?,
            namespace: rows::namespace_name(ACTION, &namespace)?,
            incarnation: Incarnation(rows::number(ACTION, incarnation)?),
        })
    };
    found.into_iter().map(mount).collect()
}
