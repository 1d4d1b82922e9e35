//! The roots a merger may ask: each in turn, and another one where one is gone.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nautilus_service::deadline::{HOP_MARGIN, set_timeout};
use nautilus_service::traces::carry_on;
use nautilus_service::{Clock, Deadline};
use tonic::{Request, Response, Status};

use crate::root_client::{Root, RootError};

/// For how long a root whose connection failed is asked only where there is no other.
const AVOID_TIME: Duration = Duration::from_secs(1);
/// A request goes to so many roots at most: what ended one root may end the next.
const ATTEMPTS_MAX: usize = 2;

/// Clients of all roots.
pub(crate) struct Roots {
    clients: Vec<Root>,
    choice: Mutex<Choice>,
}

/// Which root is asked next. Pure.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    next: usize,
    avoided_until: Vec<Option<Instant>>,
}

impl Choice {
    fn new(roots: usize) -> Self {
        Self { next: 0, avoided_until: vec![None; roots] }
    }

    /// The next in turn that is not avoided and not `except`; an avoided one where all are.
    fn choose(&mut self, now: Instant, except: Option<usize>) -> Option<usize> {
        let count = self.avoided_until.len();
        let in_turn = (0..count).map(|step| (self.next + step) % count);
        let others: Vec<usize> = in_turn.filter(|at| Some(*at) != except).collect();
        let is_sound = |at: &&usize| {
            self.avoided_until.get(**at).is_some_and(|until| until.is_none_or(|until| until <= now))
        };
        let chosen = others.iter().find(is_sound).or(others.first()).copied()?;
        self.next = (chosen + 1) % count;
        Some(chosen)
    }

    fn avoid(&mut self, root: usize, until: Instant) {
        if let Some(avoided) = self.avoided_until.get_mut(root) {
            *avoided = Some(until);
        }
    }
}

impl Roots {
    pub(crate) fn new(clients: Vec<Root>) -> Self {
        let choice = Mutex::new(Choice::new(clients.len()));
        Self { clients, choice }
    }

    /// Sends `message` to a root, and once more to another one where the connection to the first failed or broke.
    /// What is left of the deadline goes with it. Dropping the future cancels the call at the root.
    pub(crate) async fn call<M: Clone, T, F>(
        &self,
        clock: &Clock,
        deadline: Deadline,
        message: M,
        send: impl Fn(Root, Request<M>) -> F,
    ) -> Result<T, RootError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tried = None;
        let mut failure = Status::unavailable("no root is known");
        for _ in 0..ATTEMPTS_MAX {
            let Some(chosen) = self.choose(clock.now(), tried) else { break };
            let Some(client) = self.clients.get(chosen).cloned() else { break };
            let budget = deadline.for_next_hop(clock.now(), HOP_MARGIN).ok_or(RootError::Late)?;
            let mut request = Request::new(message.clone());
            set_timeout(&mut request, budget);
            carry_on(&mut request);
            // The client library's own timer starts only once there is a connection.
            let answered = tokio::time::timeout(budget, send(client, request)).await;
            match answered.map_err(|_| RootError::Late)? {
                Ok(response) => return Ok(response.into_inner()),
                Err(status) if is_of_the_connection(&status) => {
                    tracing::warn!(root = chosen, %status, "the connection to a root failed");
                    self.avoid(chosen, clock.now() + AVOID_TIME);
                    tried = Some(chosen);
                    failure = status;
                }
                Err(status) => return Err(RootError::of(status)),
            }
        }
        Err(RootError::Unavailable(Box::new(failure)))
    }

    fn choose(&self, now: Instant, except: Option<usize>) -> Option<usize> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner).choose(now, except)
    }

    fn avoid(&self, root: usize, until: Instant) {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner).avoid(root, until);
    }
}

/// Whether the transport made this status: one that a root sent has no cause on this side.
fn is_of_the_connection(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_take_turns_and_the_lost_are_passed_over() {
        let (clock, _hands) = Clock::manual(0);
        let now = clock.now();
        let mut choice = Choice::new(3);
        let turns: Vec<_> = (0..4).map(|_| choice.choose(now, None)).collect();
        assert_eq!(turns, [Some(0), Some(1), Some(2), Some(0)]);
        choice.avoid(1, now + AVOID_TIME);
        assert_eq!(choice.choose(now, None), Some(2));
        assert_eq!(choice.choose(now, Some(0)), Some(2));
        choice.avoid(0, now + AVOID_TIME);
        choice.avoid(2, now + AVOID_TIME);
        assert!(choice.choose(now, None).is_some(), "where all are avoided one is tried");
        assert_eq!(Choice::new(1).choose(now, Some(0)), None, "there is no other");
        let later = now + AVOID_TIME;
        let turns: Vec<_> = (0..3).filter_map(|_| choice.choose(later, None)).collect();
        assert_eq!(turns.len(), 3);
        assert_eq!(Choice::new(0).choose(now, None), None);
    }
}
