//! What goes wrong with an index repository.

use nautilus_types::Class;

/// Why a call to the repository failed.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// There is no such object.
    #[error("there is no object {name}")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// An object of this name exists and stays as it is.
    #[error("object {name} exists already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// A name, range or size is not allowed.
    #[error("{what} is not allowed: {problem}")]
    Invalid {
        /// What is meant, for instance "object name".
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// An object is longer than the caller takes.
    #[error("{name} is longer than {bytes_max} bytes")]
    TooLarge {
        /// Which object.
        name: String,
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// What is stored is not what was written, or not what the manifest says.
    #[error("{name} is corrupt: {problem}")]
    Corrupt {
        /// Which object.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Not reachable, or out of space, now. A write that failed so may have happened.
    #[error("the index repository is not reachable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The repository knows no such key, or does not let it do this.
    #[error("the index repository refuses these credentials")]
    Denied(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A local file of a snapshot cannot be read or written.
    #[error("{operation} {path}", path = path.display())]
    Local {
        /// "read", "write" or "list".
        operation: &'static str,
        /// Which file.
        path: std::path::PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
}

impl RepositoryError {
    pub(crate) fn unavailable(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(source.into())
    }

    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NotFound { .. } => Class::NotFound,
            Self::Exists { .. } => Class::Conflict,
            Self::Invalid { .. } | Self::TooLarge { .. } => Class::Invalid,
            Self::Corrupt { .. } => Class::Corrupt,
            Self::Denied(_) => Class::Denied,
            Self::Unavailable(_) | Self::Local { .. } => Class::Unavailable,
        }
    }
}
