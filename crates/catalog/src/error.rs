//! What can go wrong with a catalog, by what the caller should do about it.

use std::error::Error;

use nautilus_types::{Class, Incarnation, NamespaceName};

use crate::{InvalidUserId, UserGroupId, UserId};

/// The failure behind an error, whatever the implementation's library calls it.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// An error of any catalog. Nothing was changed, unless it is [`CatalogError::OutcomeUnknown`].
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// There is a user of that id.
    #[error("user {user} exists already")]
    UserExists {
        /// Who.
        user: UserId,
    },
    /// There is a user group of that id.
    #[error("user group {group} exists already")]
    UserGroupExists {
        /// Which.
        group: UserGroupId,
    },
    /// There is no such user group.
    #[error("user group {group} does not exist")]
    NoSuchUserGroup {
        /// Which.
        group: UserGroupId,
    },
    /// There is a namespace of that name.
    #[error("namespace {name:?} exists already")]
    NamespaceExists {
        /// Which.
        name: NamespaceName,
    },
    /// The change would leave a namespace without an owner.
    #[error("user {user} is the last owner of namespace {namespace:?}")]
    LastOwner {
        /// Who.
        user: UserId,
        /// Of what; one of them, if there are several.
        namespace: NamespaceName,
    },
    /// There is no such user.
    #[error("user {user} does not exist")]
    NoSuchUser {
        /// Who.
        user: UserId,
    },
    /// There is no such namespace.
    #[error("namespace {name:?} does not exist")]
    NoSuchNamespace {
        /// Which.
        name: NamespaceName,
    },
    /// No namespace of that incarnation was deleted.
    #[error("no namespace of incarnation {incarnation} was deleted")]
    NoSuchDeletion {
        /// Which.
        incarnation: Incarnation,
    },
    /// A user id is not well formed.
    #[error("user id is not usable")]
    InvalidUserId(#[from] InvalidUserId),
    /// An argument is not well formed.
    #[error("{what} {reason}")]
    Invalid {
        /// Which argument.
        what: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More was asked about in one call than is allowed.
    #[error("{count} namespaces in one call, at most {count_max} are allowed")]
    TooMany {
        /// How many.
        count: usize,
        /// The bound.
        count_max: usize,
    },
    /// The database cannot be reached or is not ready; trying again may help.
    #[error("{action}: the catalog is not available")]
    Unavailable {
        /// What was being done.
        action: &'static str,
        /// What the database said, where it said something.
        #[source]
        source: Option<Cause>,
    },
    /// A change may or may not have happened. Read before trying again.
    #[error("{action}: the outcome is unknown")]
    OutcomeUnknown {
        /// What was being done.
        action: &'static str,
        /// What the database said, where it said something.
        #[source]
        source: Option<Cause>,
    },
    /// Stored data is not what was written, or is not a database at all.
    #[error("{action}: the catalog is corrupt")]
    Corrupt {
        /// What was being done.
        action: &'static str,
        /// What is wrong.
        #[source]
        source: Cause,
    },
    /// The database was made by a newer version of this program, or by another program.
    #[error(
        "the catalog has application id {application_id:#x} and schema version {found}, this program knows up to {supported}"
    )]
    OtherVersion {
        /// SQLite's `application_id`, or the like.
        application_id: i64,
        /// The schema version in it.
        found: i64,
        /// The newest schema version this program knows.
        supported: i64,
    },
}

impl CatalogError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::UserExists { .. }
            | Self::UserGroupExists { .. }
            | Self::NamespaceExists { .. } => Class::Conflict,
            // Not before somebody else owns it too.
            Self::LastOwner { .. } => Class::Precondition,
            Self::NoSuchUser { .. }
            | Self::NoSuchUserGroup { .. }
            | Self::NoSuchNamespace { .. }
            | Self::NoSuchDeletion { .. } => Class::NotFound,
            Self::InvalidUserId(_) | Self::Invalid { .. } | Self::TooMany { .. } => Class::Invalid,
            Self::Unavailable { .. } | Self::OutcomeUnknown { .. } => Class::Unavailable,
            Self::Corrupt { .. } => Class::Corrupt,
            Self::OtherVersion { .. } => Class::Precondition,
        }
    }

    /// Stable name of the error for clients, at most 63 characters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UserExists { .. } => "USER_EXISTS",
            Self::UserGroupExists { .. } => "USER_GROUP_EXISTS",
            Self::NoSuchUserGroup { .. } => "USER_GROUP_NOT_FOUND",
            Self::NamespaceExists { .. } => "NAMESPACE_EXISTS",
            Self::LastOwner { .. } => "LAST_OWNER",
            Self::NoSuchUser { .. } => "USER_NOT_FOUND",
            Self::NoSuchNamespace { .. } => "NAMESPACE_NOT_FOUND",
            Self::NoSuchDeletion { .. } => "DELETION_NOT_FOUND",
            Self::InvalidUserId(_) => "USER_ID_INVALID",
            Self::Invalid { .. } => "ARGUMENT_INVALID",
            Self::TooMany { .. } => "TOO_MANY_NAMESPACES",
            Self::Unavailable { .. } => "CATALOG_UNAVAILABLE",
            Self::OutcomeUnknown { .. } => "CATALOG_OUTCOME_UNKNOWN",
            Self::Corrupt { .. } => "CATALOG_CORRUPT",
            Self::OtherVersion { .. } => "CATALOG_OTHER_VERSION",
        }
    }

    /// Whether a change that failed so may nevertheless have happened.
    #[must_use]
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }
}
