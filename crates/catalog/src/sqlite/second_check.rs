//! The second check of hits, written apart from the scope query on purpose: plain lookups by primary
//! key, one entry at a time, decided in Rust. A fault in one path then shows as a dropped hit.

use nautilus_types::{Incarnation, Limits, NamespaceName};
use sqlx::{Sqlite, Transaction};

use super::SqliteCatalog;
use super::fault::failed;
use crate::{CatalogError, UserId};

const ACTION: &str = "check access again";

pub(super) async fn may_read(
    catalog: &SqliteCatalog,
    user: &UserId,
    namespaces: &[(NamespaceName, Incarnation)],
) -> Result<Vec<bool>, CatalogError> {
    let count_max = Limits::GRANT_NAMESPACES_MAX;
    if namespaces.len() > count_max {
        return Err(CatalogError::TooMany { count: namespaces.len(), count_max });
    }
    // One transaction, so that all entries are judged by the same state.
    let mut tx = catalog.read.begin().await.map_err(failed(ACTION))?;
    let known: Option<i64> = sqlx::query_scalar("SELECT 1 FROM users WHERE id = ?")
        .bind(user.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed(ACTION))?;
    let groups: Vec<String> =
        sqlx::query_scalar("SELECT group_id FROM user_group_users WHERE user_id = ?")
            .bind(user.as_str())
            .fetch_all(&mut *tx)
            .await
            .map_err(failed(ACTION))?;
    let mut verdicts = Vec::with_capacity(namespaces.len());
    for (name, incarnation) in namespaces {
        let verdict =
            known.is_some() && may_read_one(&mut tx, user, &groups, name, *incarnation).await?;
        verdicts.push(verdict);
    }
    Ok(verdicts)
}

async fn may_read_one(
    tx: &mut Transaction<'static, Sqlite>,
    user: &UserId,
    groups: &[String],
    name: &NamespaceName,
    incarnation: Incarnation,
) -> Result<bool, CatalogError> {
    // No stored incarnation is beyond the range of the column.
    let Ok(asked) = i64::try_from(incarnation.0) else {
        return Ok(false);
    };
    let living: Option<i64> =
        sqlx::query_scalar("SELECT incarnation FROM namespaces WHERE name = ?")
            .bind(name.as_bytes())
            .fetch_optional(&mut **tx)
            .await
            .map_err(failed(ACTION))?;
    if living != Some(asked) {
        return Ok(false);
    }
    let membership: Option<(i64, i64)> = sqlx::query_as(
        "SELECT incarnation, access FROM memberships WHERE user_id = ? AND namespace = ?",
    )
    .bind(user.as_str())
    .bind(name.as_bytes())
    .fetch_optional(&mut **tx)
    .await
    .map_err(failed(ACTION))?;
    // 1 reader, 2 writer, 3 owner: named here again, and nothing else may read.
    if matches!(membership, Some((life, 1..=3)) if life == asked) {
        return Ok(true);
    }
    for group in groups {
        let membership: Option<(i64, i64)> = sqlx::query_as(
            "SELECT incarnation, access FROM group_memberships WHERE group_id = ? AND namespace = ?",
        )
        .bind(group)
        .bind(name.as_bytes())
        .fetch_optional(&mut **tx)
        .await
        .map_err(failed(ACTION))?;
        if matches!(membership, Some((life, 1..=2)) if life == asked) {
            return Ok(true);
        }
    }
    Ok(false)
}
