//! The port: what every catalog promises.

use async_trait::async_trait;
use nautilus_types::{Incarnation, NamespaceName};

use crate::{
    CatalogError, DeletedNamespace, Member, NamespaceAccess, NamespaceRecord, Right, UserId,
    UserRecord,
};

/// Users, namespaces and memberships.
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

    /// Removes a user with all memberships; answers with what was removed. `LastOwner`.
    async fn delete_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError>;

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

    /// Members of a namespace by user id. `NoSuchNamespace`.
    async fn list_members(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, CatalogError>;

    /// Namespaces `user` is a member of, by name, with the right.
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
