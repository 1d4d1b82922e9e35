//! Groups of users and mounts: who may change what, and the changes.

use nautilus_catalog::{
    MemberGroup, Mount, MountPath, Right, UserGroupId, UserGroupRecord, UserId,
};
use nautilus_service::RpcError;
use nautilus_types::{Class, NamespaceName};

use crate::accounts::{Accounts, MEMBERS_MAX, Page, denied, must_be_operator};
use crate::caller::Caller;
use crate::error::catalog_error;
use crate::pages::{self, List, PageSize};

impl Accounts {
    pub(crate) async fn create_user_group(
        &self,
        caller: &Caller,
        id: &UserGroupId,
        display_name: &str,
    ) -> Result<UserGroupRecord, RpcError> {
        must_be_operator(caller)?;
        let now_ms = self.clock.unix_ms();
        let created = self.catalog.create_user_group(id, display_name, now_ms).await;
        let created = created.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, group = %id, "user group created");
        Ok(created)
    }

    pub(crate) async fn delete_user_group(
        &self,
        caller: &Caller,
        id: &UserGroupId,
    ) -> Result<(), RpcError> {
        must_be_operator(caller)?;
        if self.catalog.delete_user_group(id).await.map_err(catalog_error)?.is_none() {
            let message = "there is no such user group";
            let refusal = RpcError::new(Class::NotFound, "USER_GROUP_NOT_FOUND", message);
            return Err(refusal.resource("user_group", id.as_str()));
        }
        tracing::info!(caller = %caller.user, group = %id, "user group deleted");
        Ok(())
    }

    pub(crate) async fn list_user_groups(
        &self,
        caller: &Caller,
        size: PageSize,
        token: &str,
    ) -> Result<Page<UserGroupRecord>, RpcError> {
        must_be_operator(caller)?;
        let after = self.open_page(List::UserGroups, caller, token)?;
        let after =
            after.map(|last| String::from_utf8(last).ok().and_then(|id| UserGroupId::new(id).ok()));
        let after = after.map(|id| id.ok_or_else(pages::bad_token)).transpose()?;
        let groups = self.catalog.list_user_groups(after.as_ref(), size.with_one_more()).await;
        let groups = groups.map_err(catalog_error)?;
        self.page(groups, size, List::UserGroups, caller, |group| group.id.as_str().as_bytes())
    }

    pub(crate) async fn add_to_user_group(
        &self,
        caller: &Caller,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), RpcError> {
        must_be_operator(caller)?;
        self.catalog.add_to_user_group(group, user).await.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %group, %user, "user added to group");
        Ok(())
    }

    /// Removing who is not in it changes nothing.
    pub(crate) async fn remove_from_user_group(
        &self,
        caller: &Caller,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), RpcError> {
        must_be_operator(caller)?;
        self.catalog.remove_from_user_group(group, user).await.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %group, %user, "user removed from group");
        Ok(())
    }

    pub(crate) async fn list_users_of_group(
        &self,
        caller: &Caller,
        group: &UserGroupId,
    ) -> Result<Vec<UserId>, RpcError> {
        must_be_operator(caller)?;
        let users = self.catalog.list_users_of_group(group, None, MEMBERS_MAX + 1).await;
        not_too_many(users.map_err(catalog_error)?)
    }

    pub(crate) async fn set_member_group(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        group: &UserGroupId,
        right: Right,
    ) -> Result<(), RpcError> {
        self.must_own(caller, namespace).await?;
        let granted = self.catalog.grant_group_membership(group, namespace, right).await;
        granted.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %group, ?right, "member group set");
        Ok(())
    }

    /// Removing a group that is no member changes nothing.
    pub(crate) async fn remove_member_group(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        group: &UserGroupId,
    ) -> Result<(), RpcError> {
        self.must_own(caller, namespace).await?;
        let revoked = self.catalog.revoke_group_membership(group, namespace).await;
        revoked.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %group, "member group removed");
        Ok(())
    }

    /// The caller is known to own the namespace.
    pub(crate) async fn member_groups(
        &self,
        namespace: &NamespaceName,
    ) -> Result<Vec<MemberGroup>, RpcError> {
        let groups = self.catalog.list_member_groups(namespace, None, MEMBERS_MAX + 1).await;
        not_too_many(groups.map_err(catalog_error)?)
    }

    /// A namespace the caller may not read cannot be told from one that does not exist.
    pub(crate) async fn set_mount(
        &self,
        caller: &Caller,
        path: &MountPath,
        namespace: &NamespaceName,
    ) -> Result<(), RpcError> {
        let right = self.catalog.right_of(&caller.user, namespace).await.map_err(catalog_error)?;
        if right.is_none() {
            return Err(denied());
        }
        let set = self.catalog.set_mount(&caller.user, path, namespace).await;
        set.map_err(catalog_error)
    }

    /// Removing what is not there changes nothing.
    pub(crate) async fn remove_mount(
        &self,
        caller: &Caller,
        path: &MountPath,
    ) -> Result<(), RpcError> {
        self.catalog.remove_mount(&caller.user, path).await.map(drop).map_err(catalog_error)
    }

    pub(crate) async fn list_mounts(&self, caller: &Caller) -> Result<Vec<Mount>, RpcError> {
        self.catalog.list_mounts(&caller.user).await.map_err(catalog_error)
    }
}

fn not_too_many<T>(listed: Vec<T>) -> Result<Vec<T>, RpcError> {
    if listed.len() > usize::try_from(MEMBERS_MAX).unwrap_or(usize::MAX) {
        let message = format!("there are more than {MEMBERS_MAX} members");
        return Err(RpcError::new(Class::Precondition, "TOO_MANY_MEMBERS", message));
    }
    Ok(listed)
}
