//! One call: its deadline, its transaction, and what becomes of both when something fails.

use std::io;

use sqlx::{Executor, PgConnection};
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::connections::{Connections, Lease};
use super::fault::{Failure, commit_failed, failed, is_conflict, is_lost};
use crate::CatalogError;

/// Attempts at a change that runs into others; each such conflict means that another change got through.
const ATTEMPTS_MAX: u32 = 10;

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Reads with one statement, which is its own snapshot.
    Read,
    /// Reads with several statements that must agree.
    Snapshot,
    /// Changes something.
    Change,
}

/// State of a call over its attempts. Dropped in the middle, it closes its connection, and with it ends the
/// transaction.
#[derive(Debug)]
pub(super) struct Call<'a> {
    connections: &'a Connections,
    kind: Kind,
    action: &'static str,
    deadline: Instant,
    attempts: u32,
    lease: Option<Lease>,
    is_committing: bool,
}

impl<'a> Call<'a> {
    pub(super) fn new(connections: &'a Connections, kind: Kind, action: &'static str) -> Self {
        let deadline = Instant::now() + connections.config().call_timeout;
        let (attempts, lease, is_committing) = (0, None, false);
        Self { connections, kind, action, deadline, attempts, lease, is_committing }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn action(&self) -> &'static str {
        self.action
    }

    /// A connection, in a transaction where the call needs one.
    pub(super) async fn begin(&mut self) -> Result<&mut PgConnection, Failure> {
        let lease = self.lease.insert(self.connections.take().await?);
        match self.kind {
            Kind::Read => {}
            Kind::Snapshot => {
                lease.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            }
            Kind::Change => {
                lease.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
            }
        }
        Ok(lease)
    }

    /// Ends the transaction as its outcome asks for.
    pub(super) async fn end<T>(&mut self, outcome: Result<T, Failure>) -> Result<T, Failure> {
        let Some(lease) = &mut self.lease else { return outcome };
        if self.kind == Kind::Read {
            return outcome;
        }
        match &outcome {
            Ok(_) => {
                self.is_committing = self.kind == Kind::Change;
                lease.execute("COMMIT").await?;
                self.is_committing = false;
            }
            Err(Failure::Answer(_)) => {
                if lease.execute("ROLLBACK").await.is_err() {
                    self.lease = None;
                }
            }
            Err(Failure::Sql(_) | Failure::NoConnection(_)) => {}
        }
        outcome
    }

    /// The call's answer, or none where it is to be tried again.
    pub(super) fn settle<T>(
        &mut self,
        outcome: Result<Result<T, Failure>, Elapsed>,
    ) -> Option<Result<T, CatalogError>> {
        self.attempts += 1;
        let lease = self.lease.take();
        let action = self.action;
        let error = match outcome {
            Ok(Ok(answer)) => {
                self.keep(lease);
                return Some(Ok(answer));
            }
            Ok(Err(Failure::Answer(error))) => {
                self.keep(lease);
                error
            }
            Ok(Err(Failure::NoConnection(cause))) => {
                CatalogError::Unavailable { action, source: Some(cause) }
            }
            Ok(Err(Failure::Sql(error))) => {
                let was_stale = is_lost(&error) && lease.is_some_and(|lease| lease.is_reused);
                if was_stale {
                    self.connections.forget_idle();
                }
                let is_open = self.attempts < ATTEMPTS_MAX;
                if is_open && (is_conflict(&error) || (was_stale && !self.is_committing)) {
                    self.is_committing = false;
                    return None;
                }
                let because = if self.is_committing { commit_failed } else { failed };
                because(action, error)
            }
            Err(_) => {
                if lease.is_some() {
                    self.connections.forget_idle();
                }
                let late =
                    io::Error::new(io::ErrorKind::TimedOut, "no answer within the call's time");
                let source = Some(late.into());
                if self.is_committing {
                    CatalogError::OutcomeUnknown { action, source }
                } else {
                    CatalogError::Unavailable { action, source }
                }
            }
        };
        Some(Err(error))
    }

    fn keep(&self, lease: Option<Lease>) {
        if let Some(lease) = lease {
            self.connections.take_back(lease);
        }
    }
}

/// Runs a call on `$catalog`: `call!(self, Change, "create a user", |db, action| users::create(db, …))`. The body
/// may run more than once, each time in a transaction of its own. A macro, because the type of a closure whose
/// future borrows its argument and other things, and is `Send`, cannot be written down.
macro_rules! call {
    ($catalog:expr, $kind:ident, $action:literal, |$db:ident, $name:pat_param| $body:expr) => {{
        let mut call = Call::new(&$catalog.connections, Kind::$kind, $action);
        let $name = call.action();
        loop {
            let deadline = call.deadline();
            let attempt = async {
                let $db = call.begin().await?;
                let outcome = $body.await;
                call.end(outcome).await
            };
            let outcome = tokio::time::timeout_at(deadline, attempt).await;
            if let Some(answer) = call.settle(outcome) {
                break answer;
            }
        }
    }};
}
pub(super) use call;
