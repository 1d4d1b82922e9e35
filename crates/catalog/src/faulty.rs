//! Injects seeded faults in front of and behind a catalog, and takes it down at will.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use nautilus_types::{Incarnation, NamespaceName};

use crate::error::Cause;
use crate::{
    Catalog, CatalogError, DeletedNamespace, Member, MemberGroup, Mount, MountPath,
    NamespaceAccess, NamespaceRecord, Right, UserGroupId, UserGroupRecord, UserId, UserRecord,
};

/// How often which fault happens. The default is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultPlan {
    /// The same seed and the same order of calls give the same faults.
    pub seed: u64,
    /// Reads of 1,000 refused with [`CatalogError::Unavailable`].
    pub read_refused_per_mille: u32,
    /// Changes of 1,000 refused with [`CatalogError::Unavailable`] before they reach the catalog.
    pub write_refused_per_mille: u32,
    /// Changes of 1,000 that succeed but answer [`CatalogError::OutcomeUnknown`].
    pub write_unknown_per_mille: u32,
}

/// A catalog that fails as its [`FaultPlan`] says and otherwise does what the catalog behind it does.
pub struct Faulty {
    inner: Arc<dyn Catalog>,
    plan: FaultPlan,
    /// State of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
    draws: Mutex<u64>,
    is_active: AtomicBool,
    is_down: AtomicBool,
}

impl Faulty {
    /// Puts the faults of `plan` around `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Catalog>, plan: FaultPlan) -> Self {
        let (is_active, is_down) = (AtomicBool::new(true), AtomicBool::new(false));
        Self { inner, plan, draws: Mutex::new(plan.seed), is_active, is_down }
    }

    /// Whether faults happen, as they do from the start. While they do not, they are drawn all the same.
    pub fn set_active(&self, is_active: bool) {
        self.is_active.store(is_active, Ordering::SeqCst);
    }

    /// While down, every call fails with [`CatalogError::Unavailable`] and reaches nothing.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// True in `per_mille` of 1,000 cases. Draws always, so that one rate does not shift the others'.
    fn chance(&self, per_mille: u32) -> bool {
        let mut state = self.draws.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let is_drawn = (z ^ (z >> 31)) % 1000 < u64::from(per_mille);
        is_drawn && self.is_active.load(Ordering::SeqCst)
    }

    fn refuse(&self, action: &'static str, per_mille: u32) -> Result<(), CatalogError> {
        let refused = self.chance(per_mille);
        if self.is_down.load(Ordering::SeqCst) {
            let source = injected("injected: the catalog is down");
            return Err(CatalogError::Unavailable { action, source });
        }
        if refused {
            return Err(CatalogError::Unavailable { action, source: injected("injected") });
        }
        Ok(())
    }

    async fn read<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, CatalogError>> + Send,
    ) -> Result<T, CatalogError> {
        self.refuse(action, self.plan.read_refused_per_mille)?;
        call.await
    }

    async fn write<T>(
        &self,
        action: &'static str,
        call: impl Future<Output = Result<T, CatalogError>> + Send,
    ) -> Result<T, CatalogError> {
        let unknown = self.chance(self.plan.write_unknown_per_mille);
        self.refuse(action, self.plan.write_refused_per_mille)?;
        let answer = call.await?;
        if unknown {
            let source = injected("injected: the answer was lost");
            return Err(CatalogError::OutcomeUnknown { action, source });
        }
        Ok(answer)
    }
}

fn injected(what: &'static str) -> Option<Cause> {
    Some(Box::new(io::Error::other(what)))
}

#[async_trait]
impl Catalog for Faulty {
    async fn create_user(
        &self,
        id: &UserId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserRecord, CatalogError> {
        let call = self.inner.create_user(id, display_name, now_unix_ms);
        self.write("create a user", call).await
    }

    async fn get_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        self.read("read a user", self.inner.get_user(id)).await
    }

    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, CatalogError> {
        self.read("list users", self.inner.list_users(after, limit)).await
    }

    async fn delete_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        self.write("delete a user", self.inner.delete_user(id)).await
    }

    async fn create_user_group(
        &self,
        id: &UserGroupId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserGroupRecord, CatalogError> {
        self.write(
            "create a user group",
            self.inner.create_user_group(id, display_name, now_unix_ms),
        )
        .await
    }

    async fn list_user_groups(
        &self,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<UserGroupRecord>, CatalogError> {
        self.read("list user groups", self.inner.list_user_groups(after, limit)).await
    }

    async fn delete_user_group(
        &self,
        id: &UserGroupId,
    ) -> Result<Option<UserGroupRecord>, CatalogError> {
        self.write("delete a user group", self.inner.delete_user_group(id)).await
    }

    async fn add_to_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), CatalogError> {
        self.write("add a user to a group", self.inner.add_to_user_group(group, user)).await
    }

    async fn remove_from_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<bool, CatalogError> {
        self.write("remove a user from a group", self.inner.remove_from_user_group(group, user))
            .await
    }

    async fn list_users_of_group(
        &self,
        group: &UserGroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, CatalogError> {
        self.read("list the users of a group", self.inner.list_users_of_group(group, after, limit))
            .await
    }

    async fn grant_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        self.write(
            "grant a membership to a group",
            self.inner.grant_group_membership(group, namespace, right),
        )
        .await
    }

    async fn revoke_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        self.write(
            "revoke a membership of a group",
            self.inner.revoke_group_membership(group, namespace),
        )
        .await
    }

    async fn list_member_groups(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<MemberGroup>, CatalogError> {
        self.read("list member groups", self.inner.list_member_groups(namespace, after, limit))
            .await
    }

    async fn set_mount(
        &self,
        user: &UserId,
        path: &MountPath,
        namespace: &NamespaceName,
    ) -> Result<(), CatalogError> {
        self.write("set a mount", self.inner.set_mount(user, path, namespace)).await
    }

    async fn remove_mount(&self, user: &UserId, path: &MountPath) -> Result<bool, CatalogError> {
        self.write("remove a mount", self.inner.remove_mount(user, path)).await
    }

    async fn list_mounts(&self, user: &UserId) -> Result<Vec<Mount>, CatalogError> {
        self.read("list mounts", self.inner.list_mounts(user)).await
    }

    async fn create_namespace(
        &self,
        name: &NamespaceName,
        owner: &UserId,
        now_unix_ms: u64,
    ) -> Result<NamespaceRecord, CatalogError> {
        let call = self.inner.create_namespace(name, owner, now_unix_ms);
        self.write("create a namespace", call).await
    }

    async fn delete_namespace(
        &self,
        name: &NamespaceName,
        now_unix_ms: u64,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        let call = self.inner.delete_namespace(name, now_unix_ms);
        self.write("delete a namespace", call).await
    }

    async fn get_namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        self.read("read a namespace", self.inner.get_namespace(name)).await
    }

    async fn list_namespaces(
        &self,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        self.read("list namespaces", self.inner.list_namespaces(after, limit)).await
    }

    async fn pending_namespace_deletions(
        &self,
        limit: u32,
    ) -> Result<Vec<DeletedNamespace>, CatalogError> {
        let call = self.inner.pending_namespace_deletions(limit);
        self.read("list pending deletions", call).await
    }

    async fn mark_namespace_deletion_logged(
        &self,
        incarnation: Incarnation,
    ) -> Result<(), CatalogError> {
        let call = self.inner.mark_namespace_deletion_logged(incarnation);
        self.write("mark a deletion as logged", call).await
    }

    async fn grant_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        let call = self.inner.grant_membership(user, namespace, right);
        self.write("grant a membership", call).await
    }

    async fn revoke_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        self.write("revoke a membership", self.inner.revoke_membership(user, namespace)).await
    }

    async fn list_members(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, CatalogError> {
        self.read("list members", self.inner.list_members(namespace, after, limit)).await
    }

    async fn namespaces_of(
        &self,
        user: &UserId,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceAccess>, CatalogError> {
        let call = self.inner.namespaces_of(user, after, limit);
        self.read("list a user's namespaces", call).await
    }

    async fn readable_namespaces(
        &self,
        user: &UserId,
        filter: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        let call = self.inner.readable_namespaces(user, filter, limit);
        self.read("find the readable namespaces", call).await
    }

    async fn may_read(
        &self,
        user: &UserId,
        namespaces: &[(NamespaceName, Incarnation)],
    ) -> Result<Vec<bool>, CatalogError> {
        self.read("check access again", self.inner.may_read(user, namespaces)).await
    }

    async fn access_of(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<NamespaceAccess>, CatalogError> {
        self.read("look up a right", self.inner.access_of(user, namespace)).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SqliteCatalog;
    use crate::conformance::{self, FaultyHarness, catalog_conformance};

    catalog_conformance!(Some(FaultyHarness::new()));

    async fn faulty(plan: FaultPlan) -> (tempfile::TempDir, Faulty) {
        let dir = tempfile::tempdir().expect("temporary folder");
        let sqlite = SqliteCatalog::open(&dir.path().join("catalog.sqlite")).await.expect("opens");
        (dir, Faulty::new(Arc::new(sqlite), plan))
    }

    #[tokio::test]
    async fn down_is_unavailable_for_every_call_and_up_again_is_as_before() {
        let (_dir, catalog) = faulty(FaultPlan::default()).await;
        let ada = UserId::new("ada").expect("valid");
        let notes = NamespaceName::new("notes").expect("valid");
        catalog.create_user(&ada, "Ada", 1).await.expect("created");
        let made = catalog.create_namespace(&notes, &ada, 2).await.expect("created");
        catalog.set_down(true);
        assert_eq!(
            conformance::classes_of_every_call(&catalog).await,
            [nautilus_types::Class::Unavailable; 29]
        );
        catalog.set_down(false);
        let readable = catalog.readable_namespaces(&ada, None, 10).await.expect("up");
        assert_eq!(readable, [made]);
    }

    #[tokio::test]
    async fn unknown_outcomes_happened_and_the_seed_replays() {
        let plan = FaultPlan { seed: 7, write_unknown_per_mille: 500, ..FaultPlan::default() };
        let mut runs = Vec::new();
        for _ in 0..2 {
            let (_dir, catalog) = faulty(plan).await;
            let mut fates = Vec::new();
            for n in 0..20 {
                let id = UserId::new(format!("u{n}")).expect("valid");
                let outcome = catalog.create_user(&id, "U", 1).await;
                assert!(catalog.get_user(&id).await.expect("read").is_some());
                if let Err(error) = &outcome {
                    assert!(error.may_have_happened());
                }
                fates.push(outcome.is_ok());
            }
            runs.push(fates);
        }
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].contains(&true) && runs[0].contains(&false));
    }
}
