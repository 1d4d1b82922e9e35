//! What ends a whole request, or a start. What ends only one partition's part is in `failure`.

use std::time::Duration;

use nautilus_identity::GrantError;
use nautilus_proto::QueryDecodeError;
use nautilus_query::TreeError;
use nautilus_service::{RpcError, class_of};
use nautilus_types::{Class, InvalidId};
use tonic::Status;

use crate::failure::Failure;

/// An error of the root.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// A setting cannot be.
    #[error("{key} {problem}")]
    Config {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The grant does not cover the request.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The caller divided the namespaces by another map.
    #[error("the request is for version {asked} of the partition map, current is {current}")]
    StaleMap {
        /// The request's.
        asked: u64,
        /// Ours.
        current: u64,
    },
    /// A field of the request is wrong.
    #[error("{field} {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A namespace or document id cannot be.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The query is not a tree.
    #[error(transparent)]
    Query(#[from] QueryDecodeError),
    /// The query's tree is not well-formed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A leaf says that the request itself is wrong.
    #[error("a leaf refused the request: {}", .0.message())]
    Refused(Box<Status>),
    /// Leaves died of the like of this request.
    #[error("requests like this one were under way on two leaves when they were lost")]
    Quarantined {
        /// For how long it is refused.
        left: Duration,
    },
    /// The only partition that could answer did not.
    #[error("the partition did not answer: {}", .0.reason)]
    Partition(Failure),
}

impl RootError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. } | Self::Field { .. } => Class::Invalid,
            Self::Id(_) | Self::Query(_) => Class::Invalid,
            Self::Grant(error) => error.class(),
            Self::Tree(error) => error.class(),
            Self::StaleMap { .. } | Self::Quarantined { .. } => Class::Precondition,
            Self::Refused(status) => class_of(status),
            Self::Partition(failure) => failure.class_for_caller(),
        }
    }
}

impl From<RootError> for Status {
    fn from(error: RootError) -> Self {
        let class = error.class();
        let message = error.to_string();
        let of = |reason| RpcError::new(class, reason, message.clone());
        let rpc = match &error {
            RootError::Config { .. } => of("CONFIG_INVALID"),
            RootError::Grant(grant) => of(grant.reason()),
            RootError::StaleMap { asked, current } => of("STALE_PARTITION_MAP")
                .precondition("PARTITION_MAP", asked.to_string(), message.clone())
                .with("map_version", current.to_string()),
            RootError::Quarantined { left } => of("QUERY_QUARANTINED")
                .precondition("QUERY", "query", message.clone())
                .retry_after(*left),
            RootError::Field { field, problem } => of("ARGUMENT_INVALID").field(*field, problem),
            RootError::Id(_) => of("ID_INVALID"),
            RootError::Query(_) => of("QUERY_TREE_INVALID").field("query", &message),
            RootError::Tree(tree) => of(tree.reason()).field("query", &message),
            // With the leaf's own details: they say what is wrong.
            RootError::Refused(status) => {
                let details = status.details().to_vec().into();
                return Self::with_details(status.code(), status.message(), details);
            }
            RootError::Partition(failure) => {
                of(failure.status_reason()).with("partition_reason", failure.reason.clone())
            }
        };
        rpc.into_status()
    }
}
