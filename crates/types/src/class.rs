//! The decision an error asks of its caller; the only thing retries, metrics and gRPC look at.

/// What the caller of a failed operation should conclude.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The request itself is wrong and will stay wrong.
    Invalid,
    /// Nobody, or nobody known, is asking.
    Unauthenticated,
    /// The caller is known and may not do this; also said where the target does not exist.
    Denied,
    /// The thing named does not exist and the caller may know that.
    NotFound,
    /// A condition of the request (expected version, create-if-absent) did not hold.
    Conflict,
    /// The system is not in the state this operation needs (stale partition map, wrong format).
    Precondition,
    /// The holder of an older epoch acted; it must stop.
    Fenced,
    /// A queue or quota is full; try later.
    Overloaded,
    /// Not reachable or not ready now; safe to retry.
    Unavailable,
    /// The time given ran out.
    Deadline,
    /// The caller went away.
    Cancelled,
    /// Stored or received bytes are not what was written.
    Corrupt,
    /// An invariant of ours is broken.
    Bug,
}

impl Class {
    /// Whether repeating the same request unchanged may succeed without anybody stepping in.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::Overloaded | Self::Unavailable)
    }
}
