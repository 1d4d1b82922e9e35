//! Mounts: where a user sees which namespace.

use nautilus_types::{Incarnation, NamespaceName};
use sqlx::PgConnection;

use super::fault::Failure;
use super::rows;
use crate::{CatalogError, MOUNTS_MAX, Mount, MountPath, UserId};

pub(super) async fn set(
    db: &mut PgConnection,
    user: &UserId,
    path: &MountPath,
    namespace: &NamespaceName,
) -> Result<(), Failure> {
    // Two at once could each find room for the last mount.
    let known: Option<i32> =
        sqlx::query_scalar("SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE")
            .bind(user.as_str())
            .fetch_optional(&mut *db)
            .await?;
    if known.is_none() {
        return Err(CatalogError::NoSuchUser { user: user.clone() }.into());
    }
    let incarnation = rows::keep_namespace(db, namespace).await?;
    sqlx::query(
        "INSERT INTO mounts (user_id, path, namespace, incarnation) VALUES ($1, $2, $3, $4)
         ON CONFLICT (user_id, path_digest)
         DO UPDATE SET namespace = excluded.namespace, incarnation = excluded.incarnation",
    )
    .bind(user.as_str())
    .bind(path.as_str().as_bytes())
    .bind(namespace.as_bytes())
    .bind(incarnation)
    .execute(&mut *db)
    .await?;
    let mounts: i64 = sqlx::query_scalar("SELECT count(*) FROM mounts WHERE user_id = $1")
        .bind(user.as_str())
        .fetch_one(db)
        .await?;
    if mounts > i64::from(MOUNTS_MAX) {
        return Err(CatalogError::Invalid { what: "mount", reason: "is one too many" }.into());
    }
    Ok(())
}

pub(super) async fn remove(
    db: &mut PgConnection,
    user: &UserId,
    path: &MountPath,
) -> Result<bool, Failure> {
    let removed = sqlx::query("DELETE FROM mounts WHERE user_id = $1 AND path_digest = sha256($2)")
        .bind(user.as_str())
        .bind(path.as_str().as_bytes())
        .execute(db)
        .await?;
    Ok(removed.rows_affected() > 0)
}

pub(super) async fn list(
    db: &mut PgConnection,
    action: &'static str,
    user: &UserId,
) -> Result<Vec<Mount>, Failure> {
    let found: Vec<(Vec<u8>, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT path, namespace, incarnation FROM mounts WHERE user_id = $1 ORDER BY path",
    )
    .bind(user.as_str())
    .fetch_all(db)
    .await?;
    rows::all(found, |(path, namespace, incarnation)| {
        let path = String::from_utf8(path).map_err(|error| rows::corrupt(action, error))?;
        Ok(Mount {
            path: MountPath::new(path).map_err(|error| rows::corrupt(action, error))?,
            namespace: rows::namespace_name(action, &namespace)?,
            incarnation: Incarnation(rows::number(action, incarnation)?),
        })
    })
}
