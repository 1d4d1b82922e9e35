//! Why one partition did not answer, in words programs compare.

use nautilus_service::class_of;
use nautilus_service::status::{ERROR_DOMAIN, is_loss_under_way};
use nautilus_types::Class;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::leaf_state::End;

/// The time ran out.
pub const DEADLINE: &str = "DEADLINE";
/// No leaf serves the partition.
pub const PARTITION_UNASSIGNED: &str = "PARTITION_UNASSIGNED";
/// The leaf cannot be reached.
pub const LEAF_UNAVAILABLE: &str = "LEAF_UNAVAILABLE";
/// The leaf's answer cannot be one to this request.
pub const ANSWER_INVALID: &str = "ANSWER_INVALID";
/// The leaf does not name the partition among those it serves.
pub const PARTITION_NOT_SERVED: &str = "PARTITION_NOT_SERVED";
/// The registry was never read, so nobody knows who serves what.
pub const ROUTING_UNKNOWN: &str = "ROUTING_UNKNOWN";
/// The answer is of an older epoch than the one that serves.
pub const ANSWER_STALE_EPOCH: &str = "ANSWER_STALE_EPOCH";
/// The leaf could not tell whether its lease still held.
pub const ANSWER_LEASE_UNCERTAIN: &str = "ANSWER_LEASE_UNCERTAIN";
/// The leaf met stored bytes that are not what was written.
pub const PARTITION_CORRUPT: &str = "PARTITION_CORRUPT";
/// The answer is of another build than the replica was asked for.
pub const ANSWER_OF_OTHER_BUILD: &str = "ANSWER_OF_OTHER_BUILD";
/// Nobody serves the build that was asked for.
pub const BUILD_NOT_SERVED: &str = "BUILD_NOT_SERVED";
/// The leaf's own words for a replica that is behind.
const REPLICA_LAGGING: &str = "REPLICA_LAGGING";
/// The leaf's own words for another version of the partition map.
const STALE_PARTITION_MAP: &str = "STALE_PARTITION_MAP";

/// A partition's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What to conclude about the partition.
    pub class: Class,
    /// UPPER_SNAKE_CASE: the leaf's own reason where it gave one.
    pub reason: String,
    /// The connection was lost while the leaf had the request: it may have died of it.
    pub was_under_way: bool,
}

impl Failure {
    pub(crate) fn new(class: Class, reason: &str) -> Self {
        Self { class, reason: reason.to_owned(), was_under_way: false }
    }

    pub(crate) fn deadline() -> Self {
        Self::new(Class::Deadline, DEADLINE)
    }

    /// What a leaf's status, or that of the connection to it, means for its partition.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let class = class_of(status);
        let usual = match class {
            Class::Deadline => return Self::deadline(),
            Class::Unavailable => LEAF_UNAVAILABLE,
            Class::Overloaded => "LEAF_OVERLOADED",
            Class::Corrupt => PARTITION_CORRUPT,
            Class::Fenced => "LEAF_FENCED",
            Class::Cancelled => "LEAF_CANCELLED",
            Class::Precondition | Class::NotFound | Class::Conflict => "LEAF_NOT_READY",
            Class::Invalid | Class::Denied | Class::Unauthenticated => "LEAF_REFUSED",
            Class::Bug => "LEAF_ERROR",
        };
        let details = status.get_error_details();
        let stated = details.error_info().filter(|info| {
            // An internal error's reason says nothing, and a stranger's may be anything. Of damage, callers
            // tell only that it is.
            let is_kept = !matches!(class, Class::Bug | Class::Corrupt);
            info.domain == ERROR_DOMAIN && is_kept && is_reason(&info.reason)
        });
        let was_under_way = is_loss_under_way(status);
        let failure = Self::new(class, stated.map_or(usual, |info| &info.reason));
        Self { was_under_way, ..failure }
    }

    /// Whether another replica may answer where this one did not.
    pub(crate) fn is_retryable(&self) -> bool {
        match self.class {
            Class::Unavailable
            | Class::Overloaded
            | Class::Corrupt
            | Class::Fenced
            | Class::Cancelled => true,
            Class::Precondition => self.reason != STALE_PARTITION_MAP,
            // Repeating what broke a leaf would break the next; a wrong answer broke nothing.
            Class::Bug => self.reason == ANSWER_INVALID,
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Deadline => false,
        }
    }

    /// What it says about the replica that was asked.
    pub(crate) fn end(&self) -> End {
        match self.class {
            Class::Deadline => End::Abandoned,
            Class::Unavailable if self.reason == LEAF_UNAVAILABLE => End::ConnectionFailed,
            // It is healthy, and the next request may ask for less.
            Class::Unavailable if self.reason == REPLICA_LAGGING => End::Refused,
            Class::Unavailable if self.reason == ANSWER_OF_OTHER_BUILD => End::Refused,
            Class::Precondition if self.reason == STALE_PARTITION_MAP => End::Refused,
            Class::Unavailable
            | Class::Overloaded
            | Class::Precondition
            | Class::Fenced
            | Class::Corrupt => End::ReplicaFailed,
            Class::Bug if self.reason == ANSWER_INVALID => End::ReplicaFailed,
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Cancelled
            | Class::Bug => End::Refused,
        }
    }

    /// A word for metrics: reasons are a leaf's to choose, these are few.
    pub(crate) fn kind(&self) -> &'static str {
        match self.class {
            Class::Deadline => "deadline",
            Class::Overloaded => "overloaded",
            Class::Corrupt => "corrupt",
            Class::Fenced => "fenced",
            Class::Unavailable | Class::Precondition | Class::Cancelled => "unavailable",
            Class::Bug => "bug",
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict => "refused",
        }
    }

    /// What the caller of a request that needed this partition should conclude: a fault inside is
    /// not the caller's, and may be gone at the next try.
    pub(crate) fn class_for_caller(&self) -> Class {
        match self.class {
            Class::Deadline | Class::Overloaded | Class::Corrupt => self.class,
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Precondition
            | Class::Fenced
            | Class::Unavailable
            | Class::Cancelled
            | Class::Bug => Class::Unavailable,
        }
    }

    pub(crate) fn status_reason(&self) -> &'static str {
        match self.class_for_caller() {
            Class::Deadline => "DEADLINE_EXCEEDED",
            Class::Overloaded => "LEAF_OVERLOADED",
            Class::Corrupt => PARTITION_CORRUPT,
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Precondition
            | Class::Fenced
            | Class::Unavailable
            | Class::Cancelled
            | Class::Bug => "PARTITION_UNAVAILABLE",
        }
    }
}

fn is_reason(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=63).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use nautilus_service::RpcError;

    use super::*;

    #[test]
    fn the_leafs_own_reason_is_kept() {
        let status = RpcError::new(Class::Unavailable, "REPLAYING", "not yet").into_status();
        assert_eq!(Failure::of(&status), Failure::new(Class::Unavailable, "REPLAYING"));
        let status = RpcError::new(Class::Corrupt, "PARTITION_READ_FAILED", "bad").into_status();
        assert_eq!(Failure::of(&status), Failure::new(Class::Corrupt, PARTITION_CORRUPT));
        let status = RpcError::new(Class::Deadline, "DEADLINE_EXCEEDED", "late").into_status();
        assert_eq!(Failure::of(&status), Failure::deadline());
    }

    #[test]
    fn strangers_reasons_are_not() {
        assert_eq!(Failure::of(&Status::unavailable("x")).reason, LEAF_UNAVAILABLE);
        assert_eq!(Failure::of(&Status::internal("secret")).reason, "LEAF_ERROR");
        let details =
            tonic_types::ErrorDetails::with_error_info("EVIL", "elsewhere", HashMap::new());
        let status = Status::with_error_details(tonic::Code::DataLoss, "x", details);
        assert_eq!(Failure::of(&status).reason, PARTITION_CORRUPT);
    }
}
