//! Users, namespaces and members: who may change what, and the changes.

use std::sync::Arc;

use nautilus_catalog::{
    Catalog, Member, NamespaceAccess, NamespaceRecord, Right, UserId, UserRecord,
};
use nautilus_identity::TokenKey;
use nautilus_service::{Clock, RpcError};
use nautilus_types::{Class, NamespaceName};

use crate::caller::Caller;
use crate::deletions::{Deletions, report};
use crate::error::catalog_error;
use crate::pages::{self, List, PageSize};

/// Members shown of one namespace: their list has no pages.
pub(crate) const MEMBERS_MAX: u32 = 10_000;

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    /// Empty: this was the last.
    pub(crate) next_token: String,
}

/// A namespace with the caller's right, where there is one.
pub(crate) type Listed = (NamespaceRecord, Option<Right>);

/// The catalog, for those who may change it.
pub(crate) struct Accounts {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) deletions: Arc<Deletions>,
    pub(crate) token_key: Arc<TokenKey>,
    pub(crate) clock: Clock,
}

impl Accounts {
    pub(crate) async fn create_user(
        &self,
        caller: &Caller,
        id: &UserId,
        display_name: &str,
    ) -> Result<UserRecord, RpcError> {
        must_be_operator(caller)?;
        let now_ms = self.clock.unix_ms();
        let created = self.catalog.create_user(id, display_name, now_ms).await;
        let created = created.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, user = %id, "user created");
        Ok(created)
    }

    pub(crate) async fn delete_user(&self, caller: &Caller, id: &UserId) -> Result<(), RpcError> {
        must_be_operator(caller)?;
        let deleted = self.catalog.delete_user(id).await.map_err(catalog_error)?;
        if deleted.is_none() {
            let refusal = RpcError::new(Class::NotFound, "USER_NOT_FOUND", "there is no such user");
            return Err(refusal.resource("user", id.as_str()));
        }
        tracing::info!(caller = %caller.user, user = %id, "user deleted");
        Ok(())
    }

    pub(crate) async fn list_users(
        &self,
        caller: &Caller,
        size: PageSize,
        token: &str,
    ) -> Result<Page<UserRecord>, RpcError> {
        must_be_operator(caller)?;
        let after = self.open_page(List::Users, caller, token)?;
        let after =
            after.map(|last| String::from_utf8(last).ok().and_then(|id| UserId::new(id).ok()));
        let after = after.map(|id| id.ok_or_else(pages::bad_token)).transpose()?;
        let users = self.catalog.list_users(after.as_ref(), size.with_one_more()).await;
        let users = users.map_err(catalog_error)?;
        self.page(users, size, List::Users, caller, |user| user.id.as_str().as_bytes())
    }

    pub(crate) async fn create_namespace(
        &self,
        caller: &Caller,
        name: &NamespaceName,
        owner: Option<&UserId>,
    ) -> Result<NamespaceRecord, RpcError> {
        let owner = owner.unwrap_or(&caller.user);
        if *owner != caller.user {
            must_be_operator(caller)?;
        }
        let now_ms = self.clock.unix_ms();
        let created = self.catalog.create_namespace(name, owner, now_ms).await;
        let created = created.map_err(catalog_error)?;
        let incarnation = created.incarnation.0;
        tracing::info!(caller = %caller.user, incarnation, "namespace created");
        Ok(created)
    }

    /// Once the catalog has it the deletion is made: nothing finds the documents any more. That the
    /// replicas drop them needs the log, which may follow later.
    pub(crate) async fn delete_namespace(
        &self,
        caller: &Caller,
        name: &NamespaceName,
    ) -> Result<NamespaceRecord, RpcError> {
        self.must_own(caller, name).await?;
        let deleted = self.catalog.delete_namespace(name, self.clock.unix_ms()).await;
        let deleted = deleted.map_err(|error| {
            // It may have been made after all.
            self.deletions.nudge();
            catalog_error(error)
        })?;
        // Somebody else was quicker.
        let deleted = deleted.ok_or_else(denied)?;
        let incarnation = deleted.incarnation.0;
        tracing::info!(caller = %caller.user, incarnation, "namespace deleted");
        if let Err(error) = self.deletions.finish_pending().await {
            report(&error);
        }
        Ok(deleted)
    }

    /// The caller's own; an operator sees all that there are.
    pub(crate) async fn list_namespaces(
        &self,
        caller: &Caller,
        size: PageSize,
        token: &str,
    ) -> Result<Page<Listed>, RpcError> {
        let list = if caller.is_operator { List::AllNamespaces } else { List::NamespacesOfCaller };
        let after = self.open_page(list, caller, token)?;
        let after = after.map(|last| NamespaceName::new(last).map_err(|_| pages::bad_token()));
        let after = after.transpose()?;
        let limit = size.with_one_more();
        let own = self.catalog.namespaces_of(&caller.user, after.as_ref(), limit).await;
        let own = own.map_err(catalog_error)?;
        let listed = if caller.is_operator {
            let all = self.catalog.list_namespaces(after.as_ref(), limit).await;
            with_rights(all.map_err(catalog_error)?, &own)
        } else {
            own.into_iter().map(|access| (access.namespace, Some(access.right))).collect()
        };
        self.page(listed, size, list, caller, |(record, _)| record.name.as_bytes())
    }

    pub(crate) async fn set_member(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        user: &UserId,
        right: Right,
    ) -> Result<(), RpcError> {
        self.must_own(caller, namespace).await?;
        let granted = self.catalog.grant_membership(user, namespace, right).await;
        granted.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %user, ?right, "member set");
        Ok(())
    }

    /// Removing who is no member changes nothing.
    pub(crate) async fn remove_member(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
        user: &UserId,
    ) -> Result<(), RpcError> {
        self.must_own(caller, namespace).await?;
        let revoked = self.catalog.revoke_membership(user, namespace).await;
        revoked.map_err(catalog_error)?;
        tracing::info!(caller = %caller.user, %user, "member removed");
        Ok(())
    }

    pub(crate) async fn list_members(
        &self,
        caller: &Caller,
        namespace: &NamespaceName,
    ) -> Result<Vec<Member>, RpcError> {
        self.must_own(caller, namespace).await?;
        let members = self.catalog.list_members(namespace, None, MEMBERS_MAX + 1).await;
        let members = members.map_err(catalog_error)?;
        if members.len() > usize::try_from(MEMBERS_MAX).unwrap_or(usize::MAX) {
            let message = format!("the namespace has more than {MEMBERS_MAX} members");
            return Err(RpcError::new(Class::Precondition, "TOO_MANY_MEMBERS", message));
        }
        Ok(members)
    }

    /// Owners only, for being an operator opens no namespace. To all others a namespace that exists
    /// looks like one that does not.
    pub(crate) async fn must_own(
        &self,
        caller: &Caller,
        name: &NamespaceName,
    ) -> Result<(), RpcError> {
        let right = self.catalog.right_of(&caller.user, name).await.map_err(catalog_error)?;
        if right.is_some_and(|right| right.allows(Right::Owner)) { Ok(()) } else { Err(denied()) }
    }

    pub(crate) fn open_page(
        &self,
        list: List,
        caller: &Caller,
        token: &str,
    ) -> Result<Option<Vec<u8>>, RpcError> {
        pages::open(&self.token_key, list, &caller.user, token)
    }

    pub(crate) fn page<T>(
        &self,
        mut entries: Vec<T>,
        size: PageSize,
        list: List,
        caller: &Caller,
        key_of: impl Fn(&T) -> &[u8],
    ) -> Result<Page<T>, RpcError> {
        let has_more = size.cut(&mut entries);
        let next_token = match entries.last() {
            Some(last) if has_more => {
                pages::seal(&self.token_key, list, &caller.user, key_of(last))?
            }
            Some(_) | None => String::new(),
        };
        Ok(Page { entries, next_token })
    }
}

/// Both are the same run of names in the same order, so that every right of a listed one is in `own`.
fn with_rights(all: Vec<NamespaceRecord>, own: &[NamespaceAccess]) -> Vec<Listed> {
    let right_of = |record: &NamespaceRecord| {
        let place = own.binary_search_by(|access| access.namespace.name.cmp(&record.name));
        place.ok().and_then(|place| own.get(place)).map(|access| access.right)
    };
    let listed = |record: NamespaceRecord| {
        let right = right_of(&record);
        (record, right)
    };
    all.into_iter().map(listed).collect()
}

pub(crate) fn must_be_operator(caller: &Caller) -> Result<(), RpcError> {
    if caller.is_operator {
        return Ok(());
    }
    tracing::info!(caller = %caller.user, "refused: not an operator");
    Err(RpcError::new(Class::Denied, "NOT_AN_OPERATOR", "this needs an operator's credentials"))
}

pub(crate) fn denied() -> RpcError {
    RpcError::new(Class::Denied, "PERMISSION_DENIED", "no such namespace, or no right to manage it")
}
