//! What can go wrong with a request, by what the client should do about it.

use nautilus_catalog::CatalogError;
use nautilus_identity::{AuthError, GrantError, TokenError};
use nautilus_query::QueryError;
use nautilus_service::RpcError;
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
    /// The credentials do not hold.
    #[error(transparent)]
    Credentials(#[from] AuthError),
    /// The credentials hold and name a user nobody created here.
    #[error("the user is not known here")]
    UserUnknown,
    /// Only operators may do this.
    #[error("this needs an operator's credentials")]
    OperatorRequired,
    /// Only operators may say which replica group answers.
    #[error("only operators may choose a replica group")]
    GroupDenied,
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
    /// The page token is not one of this list or search.
    #[error("page_token {0}")]
    PageToken(PageTokenProblem),
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
    /// A part of the scope is missing because its stored data is damaged.
    #[error("stored data is corrupt")]
    Corrupt(Coverage),
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
    /// Rights of the caller were withdrawn again and again while the answer was made.
    #[error("what the caller may read kept changing")]
    ScopeUnsettled,
}

/// Why a page token is not taken. A token that opens is told apart by what it was given out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageTokenProblem {
    /// Not given out here, for something else, or changed on its way.
    #[error("is not one of this list")]
    Forged,
    /// Given out by another cluster, or before this one's log began anew.
    #[error("is of another cluster or of an earlier log")]
    Foreign,
    /// Given to another user.
    #[error("was given to another user")]
    User,
    /// Of another query text, syntax or match mode.
    #[error("is of another query, syntax or match mode")]
    Query,
    /// The request names other namespaces.
    #[error("is of other namespaces")]
    Scope,
    /// The request has another filter.
    #[error("is of another filter")]
    Filter,
    /// The request has another order.
    #[error("is of another order")]
    Sort,
    /// The build it began on is no longer served.
    #[error("is of a build that is no longer served: search again from the first page")]
    Build,
}

impl PageTokenProblem {
    /// Stable name of the problem for clients.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Forged => "PAGE_TOKEN_INVALID",
            Self::Foreign => "PAGE_TOKEN_FOREIGN",
            Self::User => "PAGE_TOKEN_OF_ANOTHER_USER",
            Self::Query => "PAGE_TOKEN_OF_ANOTHER_QUERY",
            Self::Scope => "PAGE_TOKEN_OF_ANOTHER_SCOPE",
            Self::Filter => "PAGE_TOKEN_OF_ANOTHER_FILTER",
            Self::Sort => "PAGE_TOKEN_OF_ANOTHER_ORDER",
            Self::Build => "PAGE_TOKEN_OF_FORMER_BUILD",
        }
    }
}

impl MergerError {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { field: field.into(), problem: problem.into() }
    }

    /// What an answer that does not cover enough of the scope comes to.
    pub(crate) fn not_covered(coverage: Coverage) -> Self {
        if coverage.is_corrupt() {
            Self::Corrupt(coverage)
        } else if coverage.is_all_late() {
            Self::Deadline
        } else {
            Self::Partial(coverage)
        }
    }

    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. }
            | Self::ScopeTooLarge { .. }
            | Self::Field { .. }
            | Self::PageToken(_)
            | Self::BeyondLog { .. }
            | Self::PageTooLarge { .. } => Class::Invalid,
            Self::Credentials(error) => error.class(),
            Self::UserUnknown => Class::Unauthenticated,
            Self::OperatorRequired | Self::GroupDenied | Self::NamespaceDenied => Class::Denied,
            Self::Query(error) => error.class(),
            Self::ConsistencyToken(error) | Self::Seal(error) => error.class(),
            Self::Grant(_) => Class::Bug,
            Self::Catalog(error) => error.class(),
            Self::Root(error) => error.class(),
            Self::Partial(_) | Self::ScopeUnsettled => Class::Unavailable,
            Self::Corrupt(_) => Class::Corrupt,
            Self::Deadline => Class::Deadline,
            Self::DocumentNotFound { .. } => Class::NotFound,
        }
    }

    /// Stable name of the error for clients.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Config { .. } => "CONFIG_INVALID",
            Self::Credentials(error) => error.reason(),
            Self::UserUnknown => "USER_UNKNOWN",
            Self::OperatorRequired => "OPERATOR_REQUIRED",
            Self::GroupDenied => "REPLICA_GROUP_DENIED",
            Self::NamespaceDenied => "NAMESPACE_DENIED",
            Self::ScopeTooLarge { .. } => "SCOPE_TOO_LARGE",
            Self::Field { .. } => "ARGUMENT_INVALID",
            Self::Query(error) => error.reason(),
            Self::ConsistencyToken(_) => "CONSISTENCY_TOKEN_INVALID",
            Self::PageToken(problem) => problem.reason(),
            Self::BeyondLog { .. } => "TOKEN_BEYOND_LOG",
            Self::Seal(error) => error.reason(),
            Self::Grant(error) => error.reason(),
            Self::Catalog(error) => error.reason(),
            Self::Root(error) => error.reason(),
            Self::Partial(_) => "PARTIAL_COVERAGE",
            Self::Corrupt(_) => "PARTITION_CORRUPT",
            Self::Deadline => "DEADLINE_EXCEEDED",
            Self::DocumentNotFound { .. } => "DOCUMENT_NOT_FOUND",
            Self::PageTooLarge { .. } => "PAGE_TOO_LARGE",
            Self::ScopeUnsettled => "SCOPE_UNSETTLED",
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
            MergerError::PageToken(problem) => rpc.field("page_token", problem.to_string()),
            MergerError::BeyondLog { field } => {
                rpc.field(*field, "is of a log that is longer than this one")
            }
            MergerError::ScopeTooLarge { .. } => rpc.field("namespaces", &message),
            MergerError::PageTooLarge { .. } => rpc.field("page_size", "ask for fewer hits"),
            MergerError::DocumentNotFound { document_id } => rpc.resource("document", document_id),
            MergerError::Partial(coverage) | MergerError::Corrupt(coverage) => rpc
                .with("partitions_asked", coverage.asked.to_string())
                .with("partitions_answered", coverage.answered().to_string())
                .with("missing", coverage.missing_text()),
            MergerError::Config { .. }
            | MergerError::Credentials(_)
            | MergerError::UserUnknown
            | MergerError::OperatorRequired
            | MergerError::GroupDenied
            | MergerError::NamespaceDenied
            | MergerError::Seal(_)
            | MergerError::Grant(_)
            | MergerError::Catalog(_)
            | MergerError::Root(_)
            | MergerError::Deadline
            | MergerError::ScopeUnsettled => rpc,
        };
        // The message of the client names no cause; the log, where there is one, names all.
        rpc.caused_by(error).into_status()
    }
}
