//! What the catalog stores and answers with.

use nautilus_types::{Incarnation, NamespaceName};

use crate::{CatalogError, MountPath, UserGroupId, UserId};

/// Longest display name of a user or user group, in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 256;

/// What a member may do in a namespace; each right holds those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Right {
    /// Search and read documents.
    Reader,
    /// Also write and delete documents.
    Writer,
    /// Also change members and delete the namespace.
    Owner,
}

impl Right {
    /// Whether this right is enough where `needed` is asked for.
    #[must_use]
    pub fn allows(self, needed: Right) -> bool {
        self >= needed
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Who.
    pub id: UserId,
    /// What people read.
    pub display_name: String,
    /// When, in milliseconds since 1970.
    pub created_at_unix_ms: u64,
}

/// A namespace in its present life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceRecord {
    /// Which.
    pub name: NamespaceName,
    /// Which life of the name: larger than that of every namespace made before, whatever its name.
    pub incarnation: Incarnation,
    /// When, in milliseconds since 1970.
    pub created_at_unix_ms: u64,
}

/// A namespace with what one user may do in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceAccess {
    /// Which.
    pub namespace: NamespaceRecord,
    /// What the user may do.
    pub right: Right,
}

/// A member of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What the user may do.
    pub right: Right,
}

/// A group of users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserGroupRecord {
    /// Which.
    pub id: UserGroupId,
    /// What people read.
    pub display_name: String,
    /// When, in milliseconds since 1970.
    pub created_at_unix_ms: u64,
}

/// A group of users that is a member of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberGroup {
    /// Which.
    pub group: UserGroupId,
    /// What each of its users may do.
    pub right: Right,
}

/// Where a user sees a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The place.
    pub path: MountPath,
    /// What is seen there.
    pub namespace: NamespaceName,
    /// The life of the name that is meant.
    pub incarnation: Incarnation,
}

/// A namespace that is gone from the catalog and not yet known to be deleted in the mutation log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedNamespace {
    /// Which.
    pub name: NamespaceName,
    /// The life of the name that ended.
    pub incarnation: Incarnation,
    /// When, in milliseconds since 1970.
    pub deleted_at_unix_ms: u64,
}

/// Checks a display name: 1 to [`DISPLAY_NAME_BYTES_MAX`] bytes of printable text.
pub(crate) fn check_display_name(name: &str) -> Result<(), CatalogError> {
    let reason = if name.is_empty() {
        "is empty"
    } else if name.len() > DISPLAY_NAME_BYTES_MAX {
        "is too long"
    } else if crate::user_id::first_unprintable(name).is_some() {
        "has a character that is not printable"
    } else {
        return Ok(());
    };
    Err(CatalogError::Invalid { what: "display name", reason })
}
