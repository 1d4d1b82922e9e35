//! What can go wrong with a request, by what the client should do about it.

use nautilus_catalog::CatalogError;
use nautilus_identity::{AuthError, GrantError, TokenError};
use nautilus_query::QueryError;
use nautilus_service::{PoolError, RpcError};
use nautilus_types::Class;
use tonic::Status;

use crate::coverage::Coverage;
use crate::root_client::RootError;

/// An error of the merger.
#[derive(Debug, thiserror::Error)]
pub enum MergerError {
    /// A setting cannot be.
    #[error("{key} {problem}")]
    Config {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The threads for highlights did not start.
    #[error("start threads")]
    Threads(#[source] std::io::Error),
    /// The credentials do not hold.
    #[error(transparent)]
    Credentials(#[from] AuthError),
    /// The credentials hold and name a user nobody created here.
    #[error("the user is not known here")]
    UserUnknown,
    /// Only operators may do this.
    #[error("this needs an operator's credentials")]
    OperatorRequired,
    /// A namespace of the request may not be read, whether it exists or not.
    #[error("a namespace of the request does not exist or may not be read")]
    NamespaceDenied,
    /// The caller may read more namespaces than one request may search.
    #[error("more than {namespaces_max} namespaces may be read: name those to search")]
    ScopeTooLarge {
        /// The bound.
        namespaces_max: usize,
    },
    /// A field of the request is wrong.
    #[error("{field} {problem}")]
    Field {
        /// Which field.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The query text is wrong.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The consistency token is not taken.
    #[error("consistency_token: {0}")]
    ConsistencyToken(TokenError),
    /// The page token is not one of this list.
    #[error("page_token is not one of this list")]
    PageToken,
    /// A token asks for offsets that the log does not have.
    #[error("{field} is of a log that is longer than this one")]
    BeyondLog {
        /// Which field.
        field: &'static str,
    },
    /// A token could not be made.
    #[error("make a token")]
    Seal(#[source] TokenError),
    /// A grant could not be made.
    #[error("make a grant")]
    Grant(#[source] GrantError),
    /// The catalog did not answer: nothing may be shown.
    #[error("the catalog is not available")]
    Catalog(#[from] CatalogError),
    /// The root did not answer.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A part of the scope is missing, and the caller did not allow that, or all of it is.
    #[error("{} of {} partitions did not answer", .0.missing.len(), .0.asked)]
    Partial(Coverage),
    /// The caller's time ran out.
    #[error("no answer within the deadline")]
    Deadline,
    /// There is no such document, and the caller may know that.
    #[error("no such document")]
    DocumentNotFound {
        /// Its id, as the caller gave it.
        document_id: String,
    },
    /// The page would not fit in a message.
    #[error("the page would have {bytes} bytes, at most {bytes_max} are allowed")]
    PageTooLarge {
        /// Its length in bytes.
        bytes: usize,
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// The threads that make highlights did not.
    #[error("make highlights")]
    Highlight(#[source] PoolError),
}

impl MergerError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. }
            | Self::ScopeTooLarge { .. }
            | Self::Field { .. }
            | Self::PageToken
            | Self::BeyondLog { .. }
            | Self::PageTooLarge { .. } => Class::Invalid,
            Self::Credentials(error) => error.class(),
            Self::UserUnknown => Class::Unauthenticated,
            Self::OperatorRequired | Self::NamespaceDenied => Class::Denied,
            Self::Query(error) => error.class(),
            Self::ConsistencyToken(error) | Self::Seal(error) => error.class(),
            Self::Grant(_) => Class::Bug,
            Self::Catalog(error) => error.class(),
            Self::Root(error) => error.class(),
            Self::Partial(_) | Self::Threads(_) => Class::Unavailable,
            Self::Deadline => Class::Deadline,
            Self::DocumentNotFound { .. } => Class::NotFound,
            Self::Highlight(error) => error.class(),
        }
    }

    /// Stable name of the error for clients.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config { .. } => "CONFIG_INVALID",
            Self::Threads(_) => "THREADS_UNAVAILABLE",
            Self::Credentials(error) => error.reason(),
            Self::UserUnknown => "USER_UNKNOWN",
            Self::OperatorRequired => "OPERATOR_REQUIRED",
            Self::NamespaceDenied => "NAMESPACE_DENIED",
            Self::ScopeTooLarge { .. } => "SCOPE_TOO_LARGE",
            Self::Field { .. } => "ARGUMENT_INVALID",
            Self::Query(error) => error.reason(),
            Self::ConsistencyToken(_) => "CONSISTENCY_TOKEN_INVALID",
            Self::PageToken => "PAGE_TOKEN_INVALID",
            Self::BeyondLog { .. } => "TOKEN_BEYOND_LOG",
            Self::Seal(error) => error.reason(),
            Self::Grant(error) => error.reason(),
            Self::Catalog(error) => error.reason(),
            Self::Root(error) => error.reason(),
            Self::Partial(_) => "PARTIAL_COVERAGE",
            Self::Deadline => "DEADLINE_EXCEEDED",
            Self::DocumentNotFound { .. } => "DOCUMENT_NOT_FOUND",
            Self::PageTooLarge { .. } => "PAGE_TOO_LARGE",
            Self::Highlight(_) => "HIGHLIGHTS_UNAVAILABLE",
        }
    }
}

impl From<MergerError> for Status {
    fn from(error: MergerError) -> Self {
        let message = error.to_string();
        let rpc = RpcError::new(error.class(), error.reason(), message.clone());
        let rpc = match &error {
            MergerError::Field { field, problem } => rpc.field(field, problem),
            MergerError::Query(query) => {
                rpc.field("query", &message).with("position", query.position.to_string())
            }
            MergerError::ConsistencyToken(token) => {
                rpc.field("consistency_token", token.to_string())
            }
            MergerError::PageToken => rpc.field("page_token", "is not one of this list"),
            MergerError::BeyondLog { field } => {
                rpc.field(*field, "is of a log that is longer than this one")
            }
            MergerError::ScopeTooLarge { .. } => rpc.field("namespaces", &message),
            MergerError::PageTooLarge { .. } => rpc.field("page_size", "ask for fewer hits"),
            MergerError::DocumentNotFound { document_id } => rpc.resource("document", document_id),
            MergerError::Partial(coverage) => rpc
                .with("partitions_asked", coverage.asked.to_string())
                .with("partitions_answered", coverage.answered().to_string())
                .with("missing", coverage.missing_text()),
            MergerError::Config { .. }
            | MergerError::Threads(_)
            | MergerError::Credentials(_)
            | MergerError::UserUnknown
            | MergerError::OperatorRequired
            | MergerError::NamespaceDenied
            | MergerError::Seal(_)
            | MergerError::Grant(_)
            | MergerError::Catalog(_)
            | MergerError::Root(_)
            | MergerError::Deadline
            | MergerError::Highlight(_) => rpc,
        };
        // The message of the client names no cause; the log, where there is one, names all.
        rpc.caused_by(error).into_status()
    }
}
