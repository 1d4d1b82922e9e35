//! The second check of hits, written apart from the scope query on purpose: rows of single tables by
//! key, put together in Rust. A fault in one path then shows as a dropped hit.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_types::{Incarnation, NamespaceName};
use sqlx::PgConnection;

use super::fault::Failure;
use crate::UserId;

/// What the tables hold about the names asked about. One snapshot, so that all are judged by the same state.
struct State {
    /// The living incarnation of each name.
    living: BTreeMap<Vec<u8>, i64>,
    /// Name, incarnation and right of each membership.
    own: BTreeSet<(Vec<u8>, i64, i16)>,
    of_groups: BTreeSet<(Vec<u8>, i64, i16)>,
}

pub(super) async fn may_read(
    db: &mut PgConnection,
    user: &UserId,
    namespaces: &[(NamespaceName, Incarnation)],
) -> Result<Vec<bool>, Failure> {
    let names: BTreeSet<&[u8]> = namespaces.iter().map(|(name, _)| name.as_bytes()).collect();
    let names: Vec<&[u8]> = names.into_iter().collect();
    let known: Option<i32> = sqlx::query_scalar("SELECT 1 FROM users WHERE id = $1")
        .bind(user.as_str())
        .fetch_optional(&mut *db)
        .await?;
    if known.is_none() {
        return Ok(vec![false; namespaces.len()]);
    }
    let groups: Vec<String> =
        sqlx::query_scalar("SELECT group_id FROM user_group_users WHERE user_id = $1")
            .bind(user.as_str())
            .fetch_all(&mut *db)
            .await?;
    let living: Vec<(Vec<u8>, i64)> =
        sqlx::query_as("SELECT name, incarnation FROM namespaces WHERE name = ANY($1)")
            .bind(&names)
            .fetch_all(&mut *db)
            .await?;
    let own: Vec<(Vec<u8>, i64, i16)> = sqlx::query_as(
        "SELECT namespace, incarnation, access FROM memberships
         WHERE user_id = $1 AND namespace = ANY($2)",
    )
    .bind(user.as_str())
    .bind(&names)
    .fetch_all(&mut *db)
    .await?;
    let mut of_groups: Vec<(Vec<u8>, i64, i16)> = Vec::new();
    if !groups.is_empty() {
        of_groups = sqlx::query_as(
            "SELECT namespace, incarnation, access FROM group_memberships
             WHERE group_id = ANY($1) AND namespace = ANY($2)",
        )
        .bind(&groups)
        .bind(&names)
        .fetch_all(db)
        .await?;
    }
    let state = State {
        living: living.into_iter().collect(),
        own: own.into_iter().collect(),
        of_groups: of_groups.into_iter().collect(),
    };
    Ok(namespaces.iter().map(|(name, life)| state.allows(name.as_bytes(), *life)).collect())
}

impl State {
    fn allows(&self, name: &[u8], asked: Incarnation) -> bool {
        // No stored incarnation is beyond the range of the column.
        let Ok(asked) = i64::try_from(asked.0) else { return false };
        if self.living.get(name) != Some(&asked) {
            return false;
        }
        // 1 reader, 2 writer, 3 owner: named here again, and nothing else may read.
        let has = |rights: &BTreeSet<(Vec<u8>, i64, i16)>, numbers: &[i16]| {
            numbers.iter().any(|number| rights.contains(&(name.to_vec(), asked, *number)))
        };
        has(&self.own, &[1, 2, 3]) || has(&self.of_groups, &[1, 2])
    }
}
