//! The catalog of a cluster: PostgreSQL.

mod access;
mod call;
mod config;
mod connections;
mod fault;
mod memberships;
mod mounts;
mod namespaces;
mod rows;
mod schema;
mod second_check;
#[cfg(test)]
mod tests;
mod user_groups;
mod users;

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use nautilus_types::{Incarnation, Limits, NamespaceName};

use crate::{
    Catalog, CatalogError, DeletedNamespace, Member, MemberGroup, Mount, MountPath,
    NamespaceAccess, NamespaceRecord, Right, UserGroupId, UserGroupRecord, UserId, UserRecord,
};
use call::{Call, Kind, call};
pub use config::{PostgresClientCertificate, PostgresConfig, PostgresConfigError, PostgresTls};
use connections::Connections;
use fault::{Failure, failed};

/// A catalog in a PostgreSQL database, in the schema `nautilus_catalog`. Tested with PostgreSQL 15.
///
/// It talks to the primary only: a server in recovery is refused, since it may be behind. Every call ends within
/// [`PostgresConfig::call_timeout`]; a database that is away or silent is `Unavailable`, or `OutcomeUnknown` where
/// it was lost while a change was being committed. Once it is back, calls work again.
#[derive(Debug, Clone)]
pub struct PostgresCatalog {
    connections: Arc<Connections>,
}

impl PostgresCatalog {
    /// Connects, and brings the tables to the newest version; of several processes that do this at once one
    /// does and the others wait. `Invalid`, `OtherVersion`, `Corrupt`, `Unavailable`.
    pub async fn open(config: PostgresConfig) -> Result<Self, CatalogError> {
        const ACTION: &str = "open the catalog";
        let unavailable = |cause| CatalogError::Unavailable { action: ACTION, source: Some(cause) };
        config.validate().map_err(|error| match error {
            PostgresConfigError::Setting { setting, reason } => {
                CatalogError::Invalid { what: setting, reason }
            }
            error @ (PostgresConfigError::Secret { .. } | PostgresConfigError::TooOpen { .. }) => {
                unavailable(Box::new(error))
            }
        })?;
        let connections = Connections::new(config);
        let late = || io::Error::new(io::ErrorKind::TimedOut, "no connection within a call's time");
        let taken = tokio::time::timeout(connections.config().call_timeout, connections.take());
        let open = async {
            let mut lease = taken.await.map_err(|_| Failure::NoConnection(late().into()))??;
            schema::migrate(&mut lease).await?;
            connections.take_back(lease);
            Ok(())
        };
        match tokio::time::timeout(schema::MIGRATION_MAX, open).await {
            Ok(Ok(())) => Ok(Self { connections: Arc::new(connections) }),
            Ok(Err(Failure::Answer(error))) => Err(error),
            Ok(Err(Failure::Sql(error))) => Err(failed(ACTION, error)),
            Ok(Err(Failure::NoConnection(cause))) => Err(unavailable(cause)),
            Err(_) => Err(unavailable("the tables did not get ready in time".into())),
        }
    }
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn create_user(
        &self,
        id: &UserId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserRecord, CatalogError> {
        call!(self, Change, "create a user", |db, _| users::create(
            db,
            id,
            display_name,
            now_unix_ms
        ))
    }

    async fn get_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        call!(self, Read, "read a user", |db, action| users::get(db, action, id))
    }

    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, CatalogError> {
        call!(self, Read, "list users", |db, action| users::list(db, action, after, limit))
    }

    async fn delete_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        call!(self, Change, "delete a user", |db, action| users::delete(db, action, id))
    }

    async fn create_user_group(
        &self,
        id: &UserGroupId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserGroupRecord, CatalogError> {
        call!(self, Change, "create a user group", |db, _| user_groups::create(
            db,
            id,
            display_name,
            now_unix_ms
        ))
    }

    async fn list_user_groups(
        &self,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<UserGroupRecord>, CatalogError> {
        call!(self, Read, "list user groups", |db, action| user_groups::list(
            db, action, after, limit
        ))
    }

    async fn delete_user_group(
        &self,
        id: &UserGroupId,
    ) -> Result<Option<UserGroupRecord>, CatalogError> {
        call!(self, Change, "delete a user group", |db, action| user_groups::delete(db, action, id))
    }

    async fn add_to_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), CatalogError> {
        call!(self, Change, "add a user to a group", |db, _| user_groups::add(db, group, user))
    }

    async fn remove_from_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<bool, CatalogError> {
        call!(self, Change, "remove a user from a group", |db, _| user_groups::remove(
            db, group, user
        ))
    }

    async fn list_users_of_group(
        &self,
        group: &UserGroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, CatalogError> {
        call!(self, Snapshot, "list the users of a group", |db, action| user_groups::users(
            db, action, group, after, limit
        ))
    }

    async fn grant_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        call!(self, Change, "grant a membership to a group", |db, _| user_groups::grant(
            db, group, namespace, right
        ))
    }

    async fn revoke_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        call!(self, Change, "revoke a membership of a group", |db, action| user_groups::revoke(
            db, action, group, namespace
        ))
    }

    async fn list_member_groups(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<MemberGroup>, CatalogError> {
        call!(self, Snapshot, "list member groups", |db, action| user_groups::list_members(
            db, action, namespace, after, limit
        ))
    }

    async fn set_mount(
        &self,
        user: &UserId,
        path: &MountPath,
        namespace: &NamespaceName,
    ) -> Result<(), CatalogError> {
        call!(self, Change, "set a mount", |db, _| mounts::set(db, user, path, namespace))
    }

    async fn remove_mount(&self, user: &UserId, path: &MountPath) -> Result<bool, CatalogError> {
        call!(self, Change, "remove a mount", |db, _| mounts::remove(db, user, path))
    }

    async fn list_mounts(&self, user: &UserId) -> Result<Vec<Mount>, CatalogError> {
        call!(self, Read, "list mounts", |db, action| mounts::list(db, action, user))
    }

    async fn create_namespace(
        &self,
        name: &NamespaceName,
        owner: &UserId,
        now_unix_ms: u64,
    ) -> Result<NamespaceRecord, CatalogError> {
        call!(self, Change, "create a namespace", |db, action| namespaces::create(
            db,
            action,
            name,
            owner,
            now_unix_ms
        ))
    }

    async fn delete_namespace(
        &self,
        name: &NamespaceName,
        now_unix_ms: u64,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        call!(self, Change, "delete a namespace", |db, action| namespaces::delete(
            db,
            action,
            name,
            now_unix_ms
        ))
    }

    async fn get_namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        call!(self, Read, "read a namespace", |db, action| namespaces::get(db, action, name))
    }

    async fn list_namespaces(
        &self,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        call!(self, Read, "list namespaces", |db, action| namespaces::list(
            db, action, after, limit
        ))
    }

    async fn pending_namespace_deletions(
        &self,
        limit: u32,
    ) -> Result<Vec<DeletedNamespace>, CatalogError> {
        call!(self, Read, "list pending deletions", |db, action| namespaces::pending_deletions(
            db, action, limit
        ))
    }

    async fn mark_namespace_deletion_logged(
        &self,
        incarnation: Incarnation,
    ) -> Result<(), CatalogError> {
        call!(self, Change, "mark a deletion as logged", |db, _| namespaces::mark_deletion_logged(
            db,
            incarnation
        ))
    }

    async fn grant_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        call!(self, Change, "grant a membership", |db, _| memberships::grant(
            db, user, namespace, right
        ))
    }

    async fn revoke_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        call!(self, Change, "revoke a membership", |db, action| memberships::revoke(
            db, action, user, namespace
        ))
    }

    async fn list_members(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, CatalogError> {
        call!(self, Snapshot, "list members", |db, action| memberships::list(
            db, action, namespace, after, limit
        ))
    }

    async fn namespaces_of(
        &self,
        user: &UserId,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceAccess>, CatalogError> {
        call!(self, Read, "list a user's namespaces", |db, action| access::namespaces_of(
            db, action, user, after, limit
        ))
    }

    async fn readable_namespaces(
        &self,
        user: &UserId,
        filter: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        if !access::check_filter(filter)? {
            return Ok(Vec::new());
        }
        call!(self, Read, "find the readable namespaces", |db, action| access::readable(
            db, action, user, filter, limit
        ))
    }

    async fn may_read(
        &self,
        user: &UserId,
        namespaces: &[(NamespaceName, Incarnation)],
    ) -> Result<Vec<bool>, CatalogError> {
        let count_max = Limits::GRANT_NAMESPACES_MAX;
        if namespaces.len() > count_max {
            return Err(CatalogError::TooMany { count: namespaces.len(), count_max });
        }
        call!(self, Snapshot, "check access again", |db, _| second_check::may_read(
            db, user, namespaces
        ))
    }

    async fn access_of(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<NamespaceAccess>, CatalogError> {
        call!(self, Read, "look up a right", |db, action| access::access_of(
            db, action, user, namespace
        ))
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
