//! What a root's failures mean for the client.

use nautilus_proto::root::v1::root_service_client::RootServiceClient;
use nautilus_service::class_of;
use nautilus_types::Class;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use crate::coverage::CoverageProblem;
use crate::rank::CandidateInvalid;

/// A client of the root.
pub(crate) type Root = RootServiceClient<Channel>;

/// Why the root gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// The time ran out.
    #[error("no answer within the deadline")]
    Late,
    /// The root cannot be reached, is not ready, or does not take this merger's requests.
    #[error("the root is not available")]
    Unavailable(#[source] Box<Status>),
    /// The one partition that could answer does not.
    #[error("the partition is not available")]
    PartitionUnavailable(#[source] Box<Status>),
    /// The root has no room for more.
    #[error("the root has too much to do")]
    Overloaded(#[source] Box<Status>),
    /// Stored data is not what was written.
    #[error("stored data is corrupt")]
    Corrupt(#[source] Box<Status>),
    /// The root says that the request is wrong.
    #[error("the root refused the request")]
    Refused(#[source] Box<Status>),
    /// Leaves died of requests like this one.
    #[error("requests like this one are refused: leaves were lost while they had them")]
    Quarantined(#[source] Box<Status>),
    /// The root met an error of its own.
    #[error("the root failed")]
    Failed(#[source] Box<Status>),
    /// The root's answer does not fit the request.
    #[error("the root's answer is not sound")]
    Coverage(#[from] CoverageProblem),
    /// The root's candidates do not fit the request.
    #[error("the root's answer is not sound")]
    Candidate(#[from] CandidateInvalid),
    /// The root answered with another number of documents than were asked for.
    #[error("the root answered with {found} documents, {asked} were asked for")]
    DocumentCount {
        /// How many came.
        found: usize,
        /// How many were asked for.
        asked: usize,
    },
}

impl RootError {
    pub(crate) fn of(status: Status) -> Self {
        let class = class_of(&status);
        let details = status.get_error_details();
        let says = |reason: &str| details.error_info().is_some_and(|info| info.reason == reason);
        let is_one_partition = says("PARTITION_UNAVAILABLE");
        let is_quarantined = says("QUERY_QUARANTINED");
        let status = Box::new(status);
        match class {
            Class::Deadline => Self::Late,
            Class::Overloaded => Self::Overloaded(status),
            Class::Corrupt => Self::Corrupt(status),
            Class::Invalid => Self::Refused(status),
            Class::Bug => Self::Failed(status),
            Class::Unavailable if is_one_partition => Self::PartitionUnavailable(status),
            Class::Unavailable | Class::Cancelled => Self::Unavailable(status),
            Class::Precondition if is_quarantined => Self::Quarantined(status),
            // A grant that is not trusted, or a partition map of another version: not the client's
            // fault, and gone when this merger and the root agree again.
            Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Precondition
            | Class::Fenced => {
                tracing::warn!(%status, "the root does not take this merger's request");
                Self::Unavailable(status)
            }
        }
    }

    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Late => Class::Deadline,
            Self::Unavailable(_) | Self::PartitionUnavailable(_) => Class::Unavailable,
            Self::Overloaded(_) => Class::Overloaded,
            Self::Corrupt(_) => Class::Corrupt,
            Self::Quarantined(_) => Class::Precondition,
            Self::Refused(_)
            | Self::Failed(_)
            | Self::Coverage(_)
            | Self::Candidate(_)
            | Self::DocumentCount { .. } => Class::Bug,
        }
    }

    /// Stable name of the error for clients.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Late => "DEADLINE_EXCEEDED",
            Self::Unavailable(_) => "ROOT_UNAVAILABLE",
            Self::PartitionUnavailable(_) => "PARTITION_UNAVAILABLE",
            Self::Overloaded(_) => "ROOT_OVERLOADED",
            Self::Corrupt(_) => "PARTITION_CORRUPT",
            Self::Quarantined(_) => "QUERY_QUARANTINED",
            Self::Refused(_) => "ROOT_REFUSED",
            Self::Failed(_) => "ROOT_FAILED",
            Self::Coverage(_) | Self::Candidate(_) | Self::DocumentCount { .. } => {
                "ROOT_ANSWER_INVALID"
            }
        }
    }
}
