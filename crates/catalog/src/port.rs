//! The port: what every catalog promises.

use async_trait::async_trait;
use nautilus_types::{Incarnation, NamespaceName};

use crate::{
    CatalogError, DeletedNamespace, Member, MemberGroup, Mount, MountPath, NamespaceAccess,
    NamespaceRecord, Right, UserGroupId, UserGroupRecord, UserId, UserRecord,
};

/// Users, their groups, namespaces, memberships and mounts.
///
/// A user may do in a namespace the most that their own membership and those of their groups allow.
///
/// *Order*: changes are serialisable; a call that starts after a change was acknowledged sees it.
/// *Durability*: an acknowledged change survives a crash of process and machine.
/// *Atomicity*: each call happens as a whole or not at all. After
/// [`CatalogError::OutcomeUnknown`] it may have done either; every other error means not at all.
/// *Closed by default*: no call answers "may" because something is missing or failed.
///
/// Any call may fail with `Unavailable` or `Corrupt`; the errors named below come on top. Times come
/// in as data. Lists are in byte order of the key, start after `after`, and hold at most `limit`
/// entries: a shorter answer is the last page.
#[async_trait]
pub trait Catalog: Send + Sync + 'static {
    /// Adds a user. `UserExists`, `Invalid` (display name).
    async fn create_user(
        &self,
        id: &UserId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserRecord, CatalogError>;

    /// The user, if there is one.
    async fn get_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError>;

    /// Users by id.
    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, CatalogError>;

    /// Removes a user with all memberships, also in groups, and all mounts; answers with what was removed. `LastOwner`.
    async fn delete_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError>;

    /// Adds a group without users. `UserGroupExists`, `Invalid` (display name).
    async fn create_user_group(
        &self,
        id: &UserGroupId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserGroupRecord, CatalogError>;

    /// Groups by id.
    async fn list_user_groups(
        &self,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<UserGroupRecord>, CatalogError>;

    /// Removes a group with all its memberships; answers with what was removed.
    async fn delete_user_group(
        &self,
        id: &UserGroupId,
    ) -> Result<Option<UserGroupRecord>, CatalogError>;

    /// Puts `user` into the group; who is in it stays. `NoSuchUserGroup`, `NoSuchUser`.
    async fn add_to_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), CatalogError>;

    /// Takes `user` out of the group; answers whether they were in it.
    async fn remove_from_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<bool, CatalogError>;

    /// Users of a group by id. `NoSuchUserGroup`.
    async fn list_users_of_group(
        &self,
        group: &UserGroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, CatalogError>;

    /// Adds a namespace with `owner` as its only member. Its incarnation is larger than every one
    /// given before, to any name, deleted or not. `NamespaceExists`, `NoSuchUser`.
    async fn create_namespace(
        &self,
        name: &NamespaceName,
        owner: &UserId,
        now_unix_ms: u64,
    ) -> Result<NamespaceRecord, CatalogError>;

    /// Removes a namespace with all memberships and notes, in the same change, that its deletion is
    /// still to be written to the log; answers with what was removed.
    async fn delete_namespace(
        &self,
        name: &NamespaceName,
        now_unix_ms: u64,
    ) -> Result<Option<NamespaceRecord>, CatalogError>;

    /// The namespace, if there is one.
    async fn get_namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<NamespaceRecord>, CatalogError>;

    /// Namespaces by name.
    async fn list_namespaces(
        &self,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError>;

    /// Deleted namespaces, oldest incarnation first, whose deletion nobody marked as logged. Whoever
    /// writes the log asks at its start and after each deletion.
    async fn pending_namespace_deletions(
        &self,
        limit: u32,
    ) -> Result<Vec<DeletedNamespace>, CatalogError>;

    /// Notes that the deletion of `incarnation` is durable in the log. Repeating it changes nothing.
    /// `NoSuchDeletion`.
    async fn mark_namespace_deletion_logged(
        &self,
        incarnation: Incarnation,
    ) -> Result<(), CatalogError>;

    /// Gives `user` exactly `right`, whatever it was before. `NoSuchUser`, `NoSuchNamespace`,
    /// `LastOwner` where the only owner would become less.
    async fn grant_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError>;

    /// Takes the membership away; answers with the right the user had. `LastOwner`.
    async fn revoke_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError>;

    /// Gives every user of `group` at least `right`. `NoSuchUserGroup`, `NoSuchNamespace`, `Invalid` for
    /// [`Right::Owner`]: a namespace is owned by somebody, not by whoever is in a group at the time.
    async fn grant_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError>;

    /// Takes the group's membership away; answers with the right it had.
    async fn revoke_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError>;

    /// Groups that are members of a namespace, by id. `NoSuchNamespace`.
    async fn list_member_groups(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<MemberGroup>, CatalogError>;

    /// Shows this life of `namespace` to `user` at `path`, instead of what was there. Gives no right and
    /// asks for none. `NoSuchUser`, `NoSuchNamespace`, `Invalid` for more than
    /// [`MOUNTS_MAX`](crate::MOUNTS_MAX).
    async fn set_mount(
        &self,
        user: &UserId,
        path: &MountPath,
        namespace: &NamespaceName,
    ) -> Result<(), CatalogError>;

    /// Takes the mount away; answers whether there was one.
    async fn remove_mount(&self, user: &UserId, path: &MountPath) -> Result<bool, CatalogError>;

    /// All mounts of a user by path. Those of deleted namespaces are gone.
    async fn list_mounts(&self, user: &UserId) -> Result<Vec<Mount>, CatalogError>;

    /// Members of a namespace by user id, without those of groups. `NoSuchNamespace`.
    async fn list_members(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, CatalogError>;

    /// Namespaces `user` may do something in, themselves or by a group, by name, with the most they may do.
    async fn namespaces_of(
        &self,
        user: &UserId,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceAccess>, CatalogError>;

    /// The scope of a search: the namespaces `user` may read, by name, and of those only the ones in
    /// `filter` where there is one. Names that do not exist and names the user may not read are left
    /// out alike; an empty filter gives nothing; an unknown user may read nothing. To notice a scope
    /// that is too large ask for one more than is allowed. `TooMany` for a filter of more than
    /// `Limits::GRANT_NAMESPACES_MAX` names.
    async fn readable_namespaces(
        &self,
        user: &UserId,
        filter: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError>;

    /// The second check of hits: for each entry, whether `user` may read that life of that namespace
    /// now. Deliberately shares no query with [`Catalog::readable_namespaces`], so that a fault in one
    /// is caught by the other. `TooMany` for more than `Limits::GRANT_NAMESPACES_MAX` entries.
    async fn may_read(
        &self,
        user: &UserId,
        namespaces: &[(NamespaceName, Incarnation)],
    ) -> Result<Vec<bool>, CatalogError>;

    /// The namespace with what `user` may do in it; `None` also where either does not exist. A writer
    /// takes the incarnation from here, so that right and life of the name belong together.
    async fn access_of(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<NamespaceAccess>, CatalogError>;

    /// What `user` may do in `namespace`; `None` also where either does not exist.
    async fn right_of(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        Ok(self.access_of(user, namespace).await?.map(|access| access.right))
    }

    /// Lets go of the database; calls after it fail with `Unavailable`.
    async fn close(&self);
}
