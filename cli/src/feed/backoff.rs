//! When a failed call is tried again: decisions only, the caller sleeps.

use std::time::Duration;

use nautilus_service::class_of;
use nautilus_service::status::is_connection_loss;
use nautilus_types::Class;
use tonic::Status;
use tonic_types::StatusExt;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long calls are tried again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// With a cluster that is busy or away.
    pub(super) retry_for: Duration,
    /// With one that is there and still catching up with what was written.
    pub(super) wait: Duration,
}

impl Patience {
    /// For how long after the first attempt a read that failed so is repeated.
    pub(super) fn with_read(self, status: &Status) -> Duration {
        if is_connection_loss(status) || is_unanswered(status) { self.retry_for } else { self.wait }
    }
}

/// Whether our own timer ended the call. A server that is there and out of time says so with a reason.
fn is_unanswered(status: &Status) -> bool {
    class_of(status) == Class::Deadline && status.get_error_details().error_info().is_none()
}

/// Whether the same call may succeed later. A call that ran out of time may have been carried out:
/// all calls repeated here change nothing when they are carried out twice.
pub(super) fn may_pass(status: &Status) -> bool {
    let class = class_of(status);
    class.is_retryable() || class == Class::Deadline
}

/// The pause the server asks for.
pub(super) fn hint(status: &Status) -> Option<Duration> {
    status.get_error_details().retry_info()?.retry_delay
}

/// The pause before the next attempt: doubling, not shorter than what the server asks for, and
/// bounded whatever that is.
pub(super) fn pause(attempt: u32, hint: Option<Duration>) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(16));
    doubled.max(hint.unwrap_or_default()).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_service::RpcError;

    #[test]
    fn pauses_double_heed_the_server_and_are_bounded() {
        assert_eq!(pause(0, None), FIRST_PAUSE);
        assert_eq!(pause(2, None), 4 * FIRST_PAUSE);
        assert_eq!(pause(0, Some(Duration::from_secs(2))), Duration::from_secs(2));
        assert_eq!(pause(40, Some(Duration::from_secs(900))), PAUSE_MAX);
    }

    #[test]
    fn a_server_that_does_not_answer_is_not_waited_for() {
        let patience =
            Patience { retry_for: Duration::from_secs(1), wait: Duration::from_secs(600) };
        let ours = Status::deadline_exceeded("Timeout expired");
        assert_eq!(patience.with_read(&ours), patience.retry_for);
        let theirs = RpcError::new(Class::Deadline, "DEADLINE", "test").into_status();
        assert_eq!(patience.with_read(&theirs), patience.wait);
        let behind = RpcError::new(Class::Unavailable, "REPLICA_LAGGING", "test").into_status();
        assert_eq!(patience.with_read(&behind), patience.wait);
    }

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |class| RpcError::new(class, "TEST", "test").into_status();
        for class in [Class::Overloaded, Class::Unavailable, Class::Deadline] {
            assert!(may_pass(&of(class)), "{class:?}");
        }
        for class in [Class::Invalid, Class::Denied, Class::NotFound, Class::Bug] {
            assert!(!may_pass(&of(class)), "{class:?}");
        }
        let delay = Duration::from_millis(700);
        let asked = RpcError::new(Class::Overloaded, "TEST", "full").retry_after(delay);
        assert_eq!(hint(&asked.into_status()), Some(delay));
    }
}
