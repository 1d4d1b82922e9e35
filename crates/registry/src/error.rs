//! What goes wrong with a registry.

use nautilus_types::Class;

use crate::port::Revision;

/// Why a call to the registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A condition of a transaction did not hold; nothing was changed.
    #[error("a condition on {key} did not hold at revision {revision}")]
    Conflict {
        /// The first key whose condition failed.
        key: String,
        /// The registry's revision when it was looked at.
        revision: Revision,
    },
    /// The lease has expired or was revoked, or never was.
    #[error("lease {lease} is gone")]
    LeaseGone {
        /// Its number.
        lease: u64,
    },
    /// The changes from this revision on are no longer all kept: list again.
    #[error("revision {asked} was compacted, the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest a watch can begin at.
        oldest: Revision,
    },
    /// A key, a value or a setting is over its bound or malformed.
    #[error("{what} is not allowed: {problem}")]
    Invalid {
        /// "key", "value", "lease", "transaction", or "configuration".
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Not reachable now. A transaction that failed so may have happened: read again before repeating it.
    #[error("the registry is not reachable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is stored is not what was written.
    #[error("the registry's data make no sense: {problem}")]
    Corrupt {
        /// What is wrong.
        problem: String,
    },
    /// It was closed.
    #[error("the registry is closed")]
    Closed,
}

impl RegistryError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Conflict { .. } => Class::Conflict,
            Self::LeaseGone { .. } => Class::Fenced,
            Self::Compacted { .. } => Class::Precondition,
            Self::Invalid { .. } => Class::Invalid,
            Self::Unavailable(_) | Self::Closed => Class::Unavailable,
            Self::Corrupt { .. } => Class::Corrupt,
        }
    }
}
