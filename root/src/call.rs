//! One call to a leaf: what is left of the deadline goes with it, and what comes back is an answer,
//! the partition's failure, or a refusal of the whole request.

use std::future::Future;
use std::time::Duration;

use nautilus_service::deadline::{HOP_MARGIN, set_timeout};
use nautilus_service::traces::carry_on;
use nautilus_service::{Clock, Deadline};
use nautilus_types::Class;
use tonic::{Request, Response, Status};

use crate::failure::Failure;

/// Why a call gave no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The partition did not answer; others may.
    Failed(Failure),
    /// The leaf says that the request is wrong, which every other leaf would say as well.
    Refused(Box<Status>),
}

/// An answer and how long it took, from sent to received.
#[derive(Debug)]
pub(crate) struct Timed<T> {
    pub(crate) answer: T,
    pub(crate) round_trip: Duration,
}

/// Sends `message`. Dropping the future cancels the call at the leaf.
pub(crate) async fn call<M, T, F>(
    clock: &Clock,
    deadline: Deadline,
    message: M,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<Timed<T>, CallError>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let sent = clock.now();
    let late = || CallError::Failed(Failure::deadline());
    let budget = deadline.for_next_hop(sent, HOP_MARGIN).ok_or_else(late)?;
    let mut request = Request::new(message);
    set_timeout(&mut request, budget);
    carry_on(&mut request);
    // The client library's own timer starts only once there is a connection.
    let answered = tokio::time::timeout(budget, send(request)).await.map_err(|_| late())?;
    match answered {
        Ok(response) => {
            let round_trip = clock.now().saturating_duration_since(sent);
            Ok(Timed { answer: response.into_inner(), round_trip })
        }
        Err(status) => {
            let failure = Failure::of(&status);
            Err(match failure.class {
                Class::Invalid => CallError::Refused(Box::new(status)),
                Class::Unauthenticated
                | Class::Denied
                | Class::NotFound
                | Class::Conflict
                | Class::Precondition
                | Class::Fenced
                | Class::Overloaded
                | Class::Unavailable
                | Class::Deadline
                | Class::Cancelled
                | Class::Corrupt
                | Class::Bug => CallError::Failed(failure),
            })
        }
    }
}
