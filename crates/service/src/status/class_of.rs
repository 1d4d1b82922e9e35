//! What the caller of a failed RPC should conclude.

use std::error::Error;

use nautilus_types::Class;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::StatusExt;

use super::{CLASS_FENCED, CLASS_KEY, ERROR_DOMAIN};

/// The class of a status, whoever made it: a server of ours, another server, or the client
/// library in this process.
#[must_use]
pub fn class_of(status: &Status) -> Class {
    match status.code() {
        // A success is no error, and a code without meaning is nothing to act on.
        Code::Ok => Class::Bug,
        Code::Cancelled | Code::Unknown | Code::Internal => class_of_local_failure(status),
        Code::InvalidArgument | Code::OutOfRange => Class::Invalid,
        Code::DeadlineExceeded => Class::Deadline,
        Code::NotFound => Class::NotFound,
        Code::AlreadyExists | Code::Aborted => Class::Conflict,
        Code::PermissionDenied => Class::Denied,
        Code::Unauthenticated => Class::Unauthenticated,
        Code::ResourceExhausted => Class::Overloaded,
        // A peer of another version that does not know the method is in the wrong state for it.
        Code::Unimplemented => Class::Precondition,
        Code::FailedPrecondition if is_fenced(status) => Class::Fenced,
        Code::FailedPrecondition => Class::Precondition,
        Code::Unavailable => Class::Unavailable,
        Code::DataLoss => Class::Corrupt,
    }
}

/// Whether the call failed because its connection was lost, and not by an answer of the peer:
/// the peer may have died of this very request.
#[must_use]
pub fn is_connection_loss(status: &Status) -> bool {
    // Only statuses made in this process have a source: it does not cross the wire.
    let Some(source) = status.source() else {
        return false;
    };
    if let Some(error) = find::<h2::Error>(source) {
        // A stream reset from this side is our own doing, such as a request above its size limit.
        return error.is_io() || error.is_go_away() || error.is_remote();
    }
    find::<TimeoutExpired>(source).is_none()
}

/// Whether the connection was lost after the request had gone out on it: a peer that could not be reached did
/// not see the request.
#[must_use]
pub fn is_loss_under_way(status: &Status) -> bool {
    let is_unreached = || status.source().and_then(find::<ConnectError>).is_some();
    is_connection_loss(status) && !is_unreached()
}

/// These three codes are also what the client library makes of a broken connection and of its own
/// timer: it reports an expired `grpc-timeout` as CANCELLED and a reset connection as UNKNOWN,
/// INTERNAL or CANCELLED, depending on where the break was noticed.
fn class_of_local_failure(status: &Status) -> Class {
    if is_local_timeout(status) {
        Class::Deadline
    } else if is_connection_loss(status) {
        Class::Unavailable
    } else if status.code() == Code::Cancelled {
        Class::Cancelled
    } else {
        Class::Bug
    }
}

fn is_local_timeout(status: &Status) -> bool {
    status.source().and_then(find::<TimeoutExpired>).is_some()
}

/// The first error of this type in a chain of causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn is_fenced(status: &Status) -> bool {
    let details = status.get_error_details();
    details.error_info().is_some_and(|info| {
        info.domain == ERROR_DOMAIN
            && info.metadata.get(CLASS_KEY).is_some_and(|class| class == CLASS_FENCED)
    })
}
