//! The embedded catalog: one SQLite file, one writer, several readers.

mod access;
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

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use nautilus_types::{Incarnation, NamespaceName};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite, Transaction};

use crate::{
    Catalog, CatalogError, DeletedNamespace, Member, MemberGroup, Mount, MountPath,
    NamespaceAccess, NamespaceRecord, Right, UserGroupId, UserGroupRecord, UserId, UserRecord,
};
use fault::{commit_failed, failed};

/// Connections that read, each with a thread of its own. Reads are short lookups by key.
const READERS: u32 = 4;
/// How long to wait for a lock of another process (the command line beside `nautilus dev`) or for a
/// free connection: past it the caller's search would be over anyway.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// A catalog in one SQLite file, with a write-ahead journal that is synced at every commit.
///
/// Several processes may have the same file open; writers wait for one another.
#[derive(Debug, Clone)]
pub struct SqliteCatalog {
    write: SqlitePool,
    read: SqlitePool,
}

impl SqliteCatalog {
    /// Opens the catalog at `path`, making it and its folder where they do not exist, and brings its
    /// tables to the newest version. `OtherVersion`, `Corrupt`, `Unavailable`.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        const ACTION: &str = "open the catalog";
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| CatalogError::Unavailable {
                action: "make the catalog's folder",
                source: Some(Box::new(error)),
            })?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL would lose acknowledged commits in a power cut.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(WAIT_MAX);
        let pool = SqlitePoolOptions::new()
            .acquire_timeout(WAIT_MAX)
            .test_before_acquire(false)
            // Connections to a file do not go stale, and without these no task runs behind the pool.
            .idle_timeout(None)
            .max_lifetime(None);

        let write = pool
            .clone()
            .max_connections(1)
            .connect_with(options.clone())
            .await
            .map_err(failed(ACTION))?;
        let mut connection = write.acquire().await.map_err(failed(ACTION))?;
        schema::migrate(&mut connection).await?;
        drop(connection);

        let read = pool
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(failed(ACTION))?;
        Ok(Self { write, read })
    }

    /// A transaction that holds the write lock from its start, so that what it reads stays true.
    async fn begin_write(
        &self,
        action: &'static str,
    ) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.write.begin_with("BEGIN IMMEDIATE").await.map_err(failed(action))
    }
}

async fn commit(
    action: &'static str,
    tx: Transaction<'static, Sqlite>,
) -> Result<(), CatalogError> {
    tx.commit().await.map_err(commit_failed(action))
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn create_user(
        &self,
        id: &UserId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserRecord, CatalogError> {
        users::create(self, id, display_name, now_unix_ms).await
    }

    async fn get_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        users::get(self, id).await
    }

    async fn list_users(
        &self,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserRecord>, CatalogError> {
        users::list(self, after, limit).await
    }

    async fn delete_user(&self, id: &UserId) -> Result<Option<UserRecord>, CatalogError> {
        users::delete(self, id).await
    }

    async fn create_user_group(
        &self,
        id: &UserGroupId,
        display_name: &str,
        now_unix_ms: u64,
    ) -> Result<UserGroupRecord, CatalogError> {
        user_groups::create(self, id, display_name, now_unix_ms).await
    }

    async fn list_user_groups(
        &self,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<UserGroupRecord>, CatalogError> {
        user_groups::list(self, after, limit).await
    }

    async fn delete_user_group(
        &self,
        id: &UserGroupId,
    ) -> Result<Option<UserGroupRecord>, CatalogError> {
        user_groups::delete(self, id).await
    }

    async fn add_to_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<(), CatalogError> {
        user_groups::add(self, group, user).await
    }

    async fn remove_from_user_group(
        &self,
        group: &UserGroupId,
        user: &UserId,
    ) -> Result<bool, CatalogError> {
        user_groups::remove(self, group, user).await
    }

    async fn list_users_of_group(
        &self,
        group: &UserGroupId,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<UserId>, CatalogError> {
        user_groups::users(self, group, after, limit).await
    }

    async fn grant_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        user_groups::grant(self, group, namespace, right).await
    }

    async fn revoke_group_membership(
        &self,
        group: &UserGroupId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        user_groups::revoke(self, group, namespace).await
    }

    async fn list_member_groups(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserGroupId>,
        limit: u32,
    ) -> Result<Vec<MemberGroup>, CatalogError> {
        user_groups::list_members(self, namespace, after, limit).await
    }

    async fn set_mount(
        &self,
        user: &UserId,
        path: &MountPath,
        namespace: &NamespaceName,
    ) -> Result<(), CatalogError> {
        mounts::set(self, user, path, namespace).await
    }

    async fn remove_mount(&self, user: &UserId, path: &MountPath) -> Result<bool, CatalogError> {
        mounts::remove(self, user, path).await
    }

    async fn list_mounts(&self, user: &UserId) -> Result<Vec<Mount>, CatalogError> {
        mounts::list(self, user).await
    }

    async fn create_namespace(
        &self,
        name: &NamespaceName,
        owner: &UserId,
        now_unix_ms: u64,
    ) -> Result<NamespaceRecord, CatalogError> {
        namespaces::create(self, name, owner, now_unix_ms).await
    }

    async fn delete_namespace(
        &self,
        name: &NamespaceName,
        now_unix_ms: u64,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        namespaces::delete(self, name, now_unix_ms).await
    }

    async fn get_namespace(
        &self,
        name: &NamespaceName,
    ) -> Result<Option<NamespaceRecord>, CatalogError> {
        namespaces::get(self, name).await
    }

    async fn list_namespaces(
        &self,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        namespaces::list(self, after, limit).await
    }

    async fn pending_namespace_deletions(
        &self,
        limit: u32,
    ) -> Result<Vec<DeletedNamespace>, CatalogError> {
        namespaces::pending_deletions(self, limit).await
    }

    async fn mark_namespace_deletion_logged(
        &self,
        incarnation: Incarnation,
    ) -> Result<(), CatalogError> {
        namespaces::mark_deletion_logged(self, incarnation).await
    }

    async fn grant_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
        right: Right,
    ) -> Result<(), CatalogError> {
        memberships::grant(self, user, namespace, right).await
    }

    async fn revoke_membership(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<Right>, CatalogError> {
        memberships::revoke(self, user, namespace).await
    }

    async fn list_members(
        &self,
        namespace: &NamespaceName,
        after: Option<&UserId>,
        limit: u32,
    ) -> Result<Vec<Member>, CatalogError> {
        memberships::list(self, namespace, after, limit).await
    }

    async fn namespaces_of(
        &self,
        user: &UserId,
        after: Option<&NamespaceName>,
        limit: u32,
    ) -> Result<Vec<NamespaceAccess>, CatalogError> {
        access::namespaces_of(self, user, after, limit).await
    }

    async fn readable_namespaces(
        &self,
        user: &UserId,
        filter: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<NamespaceRecord>, CatalogError> {
        access::readable(self, user, filter, limit).await
    }

    async fn may_read(
        &self,
        user: &UserId,
        namespaces: &[(NamespaceName, Incarnation)],
    ) -> Result<Vec<bool>, CatalogError> {
        second_check::may_read(self, user, namespaces).await
    }

    async fn access_of(
        &self,
        user: &UserId,
        namespace: &NamespaceName,
    ) -> Result<Option<NamespaceAccess>, CatalogError> {
        access::access_of(self, user, namespace).await
    }

    async fn close(&self) {
        self.read.close().await;
        // Last, because the last connection to leave folds the journal into the file.
        self.write.close().await;
    }
}
