//! What every catalog must do. Stamped per implementation by [`catalog_conformance!`].

mod access;
mod accounts;
mod agreement;
mod service;
mod user_groups;

use std::sync::Arc;

use async_trait::async_trait;
use nautilus_types::{Class, Incarnation, NamespaceName};
use tempfile::TempDir;

use crate::{
    Catalog, CatalogError, FaultPlan, Faulty, MountPath, Right, SqliteCatalog, UserGroupId, UserId,
};

pub(crate) use access::*;
pub(crate) use accounts::*;
pub(crate) use agreement::scope_and_second_check_agree;
pub(crate) use service::*;
pub(crate) use user_groups::*;

/// A store that a case may open, close and open again.
#[async_trait]
pub(crate) trait Harness: Send + Sync {
    /// Opens the store, empty at first, later with what is in it.
    async fn open(&self) -> Arc<dyn Catalog>;
}

/// SQLite in a folder of its own.
pub(crate) struct SqliteHarness(TempDir);

impl SqliteHarness {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("temporary folder"))
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    async fn open(&self) -> Arc<dyn Catalog> {
        let path = self.0.path().join("made/catalog.sqlite");
        Arc::new(SqliteCatalog::open(&path).await.expect("opens"))
    }
}

/// SQLite behind a [`Faulty`] without faults.
pub(crate) struct FaultyHarness(SqliteHarness);

impl FaultyHarness {
    pub(crate) fn new() -> Self {
        Self(SqliteHarness::new())
    }
}

#[async_trait]
impl Harness for FaultyHarness {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(Faulty::new(self.0.open().await, FaultPlan::default()))
    }
}

/// One test per rule, each with a harness of its own: an `Option`, none where this machine lacks the database.
macro_rules! catalog_conformance {
    ($harness:expr) => {
        mod conformance_suite {
            #[allow(unused_imports, reason = "the harness may be named from the test module")]
            use super::*;

            catalog_conformance!(@cases $harness;
                users_are_created_read_listed_and_deleted,
                display_names_are_checked,
                namespaces_are_created_read_listed_and_deleted,
                names_of_any_bytes_stay_apart,
                incarnations_only_grow,
                deletions_stay_pending_until_logged,
                rights_are_granted_changed_and_revoked,
                the_last_owner_stays,
                scope_follows_memberships_and_filter,
                second_check_follows_memberships_and_incarnation,
                a_new_life_of_a_name_has_new_members,
                lists_are_paged_without_gaps,
                too_many_names_are_refused,
                acknowledged_changes_survive_reopening,
                concurrent_creations_have_one_winner,
                closed_is_unavailable,
                user_groups_are_created_listed_and_deleted,
                rights_come_through_groups_and_go_with_them,
                a_group_owns_nothing_and_keeps_no_owner,
                mounts_show_namespaces_and_give_no_right,
                scope_and_second_check_agree,
            );
        }
    };
    (@cases $harness:expr; $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                if let Some(harness) = $harness {
                    crate::conformance::$case(&harness).await;
                }
            }
        )+
    };
}
pub(crate) use catalog_conformance;

pub(crate) fn user(id: &str) -> UserId {
    UserId::new(id).expect("valid")
}

pub(crate) fn name(bytes: impl AsRef<[u8]>) -> NamespaceName {
    NamespaceName::new(bytes).expect("valid")
}

pub(crate) fn group(id: &str) -> UserGroupId {
    UserGroupId::new(id).expect("valid")
}

pub(crate) fn path(path: &str) -> MountPath {
    MountPath::new(path).expect("valid")
}

/// A catalog with the users `ada`, `bob` and `eve`.
async fn with_users(harness: &dyn Harness) -> Arc<dyn Catalog> {
    let catalog = harness.open().await;
    for id in ["ada", "bob", "eve"] {
        catalog.create_user(&user(id), id, 1).await.expect("created");
    }
    catalog
}

/// Class of the error a call must have ended with.
pub(crate) fn class<T: std::fmt::Debug>(outcome: Result<T, CatalogError>) -> Class {
    outcome.expect_err("must fail").class()
}

/// Makes every call once; all must fail. For catalogs that are down or closed.
pub(crate) async fn classes_of_every_call(catalog: &dyn Catalog) -> Vec<Class> {
    let (u, n, g) = (user("ada"), name("notes"), group("staff"));
    let pairs = [(n.clone(), Incarnation(1))];
    vec![
        class(catalog.create_user(&u, "Ada", 1).await),
        class(catalog.get_user(&u).await),
        class(catalog.list_users(None, 10).await),
        class(catalog.delete_user(&u).await),
        class(catalog.create_namespace(&n, &u, 1).await),
        class(catalog.delete_namespace(&n, 1).await),
        class(catalog.get_namespace(&n).await),
        class(catalog.list_namespaces(None, 10).await),
        class(catalog.pending_namespace_deletions(10).await),
        class(catalog.mark_namespace_deletion_logged(Incarnation(1)).await),
        class(catalog.grant_membership(&u, &n, Right::Reader).await),
        class(catalog.revoke_membership(&u, &n).await),
        class(catalog.list_members(&n, None, 10).await),
        class(catalog.namespaces_of(&u, None, 10).await),
        class(catalog.readable_namespaces(&u, None, 10).await),
        class(catalog.may_read(&u, &pairs).await),
        class(catalog.right_of(&u, &n).await),
        class(catalog.create_user_group(&g, "Staff", 1).await),
        class(catalog.list_user_groups(None, 10).await),
        class(catalog.delete_user_group(&g).await),
        class(catalog.add_to_user_group(&g, &u).await),
        class(catalog.remove_from_user_group(&g, &u).await),
        class(catalog.list_users_of_group(&g, None, 10).await),
        class(catalog.grant_group_membership(&g, &n, Right::Reader).await),
        class(catalog.revoke_group_membership(&g, &n).await),
        class(catalog.list_member_groups(&n, None, 10).await),
        class(catalog.set_mount(&u, &path("a"), &n).await),
        class(catalog.remove_mount(&u, &path("a")).await),
        class(catalog.list_mounts(&u).await),
    ]
}
