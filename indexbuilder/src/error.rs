//! What can go wrong at the start, and how the ports' errors look to clients.

use nautilus_catalog::CatalogError;
use nautilus_mutation_log::LogError;
use nautilus_service::RpcError;
use nautilus_types::Class;

/// An index builder was not built.
#[derive(Debug, thiserror::Error)]
pub enum IndexBuilderError {
    /// A setting is not usable.
    #[error("{key} {problem}")]
    Config {
        /// Which.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl IndexBuilderError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. } => Class::Invalid,
        }
    }
}

/// The catalog's error for a client. Its words go out only where they repeat what the client named.
pub(crate) fn catalog_error(error: CatalogError) -> RpcError {
    let class = error.class();
    let message = match class {
        Class::Unavailable if error.may_have_happened() => {
            "the change may or may not have been made".to_owned()
        }
        Class::Unavailable => "the catalog is not available".to_owned(),
        Class::Corrupt | Class::Bug | Class::Fenced => "the catalog failed".to_owned(),
        Class::Invalid
        | Class::Unauthenticated
        | Class::Denied
        | Class::NotFound
        | Class::Conflict
        | Class::Precondition
        | Class::Overloaded
        | Class::Deadline
        | Class::Cancelled => error.to_string(),
    };
    RpcError::new(class, error.reason(), message).caused_by(error)
}

/// Stable name of a failed append for clients, with words that say what became of the write.
pub(crate) fn append_failure(error: &LogError) -> (&'static str, &'static str) {
    if error.may_have_appended() {
        return ("WRITE_OUTCOME_UNKNOWN", "the write may or may not have been made");
    }
    match error.class() {
        Class::Invalid => ("RECORD_TOO_LARGE", "the write is too large for the log"),
        Class::Unauthenticated
        | Class::Denied
        | Class::NotFound
        | Class::Conflict
        | Class::Precondition
        | Class::Fenced
        | Class::Overloaded
        | Class::Unavailable
        | Class::Deadline
        | Class::Cancelled
        | Class::Corrupt
        | Class::Bug => ("LOG_UNAVAILABLE", "the log takes no writes now; nothing was written"),
    }
}
