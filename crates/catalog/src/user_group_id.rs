//! The id of a group of users.

use std::fmt;

use crate::{CatalogError, InvalidUserId, UserId};

/// Id of a group of users: the same characters and length as a [`UserId`]. Users and groups have
/// separate ids: one of each may be called the same.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserGroupId(UserId);

impl UserGroupId {
    /// Checks length and characters. `Invalid`.
    pub fn new(id: impl AsRef<str>) -> Result<Self, CatalogError> {
        let invalid = |error| {
            let reason = match error {
                InvalidUserId::Empty => "is empty",
                InvalidUserId::TooLong { .. } => "is too long",
                InvalidUserId::NotPrintable { .. } => "has a character that is not printable",
            };
            CatalogError::Invalid { what: "user group id", reason }
        };
        UserId::new(id).map(Self).map_err(invalid)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for UserGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for UserGroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
