//! What an error of etcd or of the way to it means.

use std::error::Error as _;
use std::time::Duration;

use etcd_client::Error;
use tonic::{Code, ConnectError, Status};

use crate::RegistryError;

/// Nothing came back in time. Whether the request arrived is not known.
#[derive(Debug, thiserror::Error)]
#[error("etcd did not answer within {within:?}")]
pub(super) struct NoAnswer {
    pub(super) within: Duration,
}

/// What an error means where the call has no better word for it.
pub(super) fn meaning(error: Error) -> RegistryError {
    match status(&error) {
        // "corrupt cluster": etcd's own check found members that differ.
        Some(status) if status.code() == Code::DataLoss => {
            RegistryError::Corrupt { problem: format!("etcd says: {}", status.message()) }
        }
        Some(_) | None => RegistryError::Unavailable(Box::new(error)),
    }
}

/// Whether another member may do better: this one is away, silent, or has no leader.
pub(super) fn is_of_member(error: &Error) -> bool {
    match status(error).map(Status::code) {
        Some(
            Code::NotFound
            | Code::InvalidArgument
            | Code::OutOfRange
            | Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::AlreadyExists
            | Code::Ok,
        ) => false,
        Some(
            Code::Unavailable
            | Code::Unknown
            | Code::Internal
            | Code::Cancelled
            | Code::Aborted
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::DataLoss
            | Code::Unimplemented,
        ) => true,
        // A lease that is not there is no fault of the member; a stream that ended is.
        None => !matches!(error, Error::LeaseKeepAliveError(_)),
    }
}

/// Whether the request surely did not leave this process.
pub(super) fn is_unsent(error: &Error) -> bool {
    let mut cause = status(error).and_then(|status| status.source());
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// "requested lease not found".
pub(super) fn is_lease_gone(error: &Error) -> bool {
    status(error).is_some_and(|status| status.code() == Code::NotFound)
        || matches!(error, Error::LeaseKeepAliveError(_))
}

/// "required revision has been compacted".
pub(super) fn is_compacted(error: &Error) -> bool {
    status(error).is_some_and(|status| status.code() == Code::OutOfRange)
}

/// What etcd says is wrong with a transaction: its limits were set below the port's. By the code alone it could
/// be a wrong password, too.
pub(super) fn refusal(error: &Error) -> Option<String> {
    const LIMITS: [&str; 2] = ["too many operations", "request is too large"];
    let status = status(error).filter(|status| status.code() == Code::InvalidArgument)?;
    let message = status.message();
    LIMITS.iter().any(|limit| message.contains(limit)).then(|| message.to_owned())
}

fn status(error: &Error) -> Option<&Status> {
    if let Error::GRpcStatus(status) = error { Some(status) } else { None }
}
