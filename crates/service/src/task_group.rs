//! Owned tasks: each has a name, one owner that joins it, and a stop signal.
//!
//! The token says that stop has begun; joined says that it is complete. A task that ends before
//! it was asked to is a fault: it stops its whole group, and [`TaskGroup::wait_or_signal`] hands
//! the cause to the owner, who ends with it in turn.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::status::error_chain;
use crate::threads::{NamedThread, panic_message};

#[cfg(test)]
mod tests;

/// Any error a task may end with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long aborted tasks get to be gone. An aborted task ends at its next await; one that never
/// awaits cannot be ended at all and must not hold up the process.
const ABORT_GRACE: Duration = Duration::from_millis(100);

/// What a task may return: nothing, or a result without a value.
pub trait TaskResult {
    /// The task's end as success or error.
    fn into_task_result(self) -> Result<(), BoxError>;
}

impl TaskResult for () {
    fn into_task_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> TaskResult for Result<(), E> {
    fn into_task_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// How a task ended.
#[derive(Debug)]
pub enum TaskEnd {
    /// It returned without an error.
    Finished,
    /// It returned an error.
    Failed(BoxError),
    /// It panicked with this text.
    Panicked(String),
}

/// A task and how it ended; an error to the owner of the group.
#[derive(Debug)]
pub struct EndedTask {
    /// Name given at spawn.
    pub name: String,
    /// How it ended.
    pub end: TaskEnd,
}

impl fmt::Display for EndedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.end {
            TaskEnd::Finished => write!(f, "task {} ended early", self.name),
            TaskEnd::Failed(_) => write!(f, "task {} failed", self.name),
            TaskEnd::Panicked(text) => write!(f, "task {} panicked: {text}", self.name),
        }
    }
}

impl std::error::Error for EndedTask {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.end {
            TaskEnd::Failed(error) => Some(error.as_ref()),
            TaskEnd::Finished | TaskEnd::Panicked(_) => None,
        }
    }
}

/// Why [`TaskGroup::wait_or_signal`] returned.
#[derive(Debug)]
pub enum Outcome {
    /// The group was asked to stop.
    Stopped,
    /// A task ended although nobody asked; the others have been told to stop.
    EndedEarly(EndedTask),
}

impl Outcome {
    /// The early end as an error, for the owner to end with after it has drained.
    pub fn into_result(self) -> Result<(), EndedTask> {
        match self {
            Self::Stopped => Ok(()),
            Self::EndedEarly(task) => Err(task),
        }
    }
}

/// What draining left behind.
#[derive(Debug, Default)]
#[must_use]
pub struct DrainReport {
    /// Tasks that had not ended within the budget, by name; they were aborted.
    pub laggards: Vec<String>,
    /// Tasks that ended with an error or a panic while stopping.
    pub failures: Vec<EndedTask>,
}

impl DrainReport {
    /// Whether every task ended in time and without an error.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.laggards.is_empty() && self.failures.is_empty()
    }

    /// Names what did not stop as it should, once, in the log.
    pub fn log_laggards(&self) {
        if !self.laggards.is_empty() {
            tracing::warn!(tasks = self.laggards.join(", "), "did not stop within the budget");
        }
        for failure in &self.failures {
            tracing::warn!(error = error_chain(failure), "failed while stopping");
        }
    }
}

/// A set of named tasks under one stop signal. Dropping it aborts them.
#[derive(Debug)]
pub struct TaskGroup {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), BoxError>>,
    running: HashMap<Id, Running>,
}

#[derive(Debug)]
struct Running {
    name: String,
    may_finish: bool,
}

impl TaskGroup {
    /// A group that stops when `shutdown` does, or by itself when one of its tasks ends early.
    #[must_use]
    pub fn new(shutdown: &CancellationToken) -> Self {
        Self { stop: shutdown.child_token(), tasks: JoinSet::new(), running: HashMap::new() }
    }

    /// The group's stop signal: cancel it to stop this group only.
    #[must_use]
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task that runs until it is told to stop.
    pub fn spawn<F, Fut>(&mut self, name: impl Into<String>, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: TaskResult + Send,
    {
        self.start(name.into(), false, task(self.stop.clone()));
    }

    /// Starts a task that may finish before it is told to stop. An error of it is still a fault.
    pub fn spawn_finite<F, Fut>(&mut self, name: impl Into<String>, task: F)
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: TaskResult + Send,
    {
        self.start(name.into(), true, task(self.stop.clone()));
    }

    /// Starts a thread of its own that the group watches like a task. It has to look at the token
    /// it is given: a thread cannot be aborted, only named as a laggard.
    pub fn spawn_thread<F, R>(
        &mut self,
        name: impl Into<String>,
        stack_bytes: usize,
        body: F,
    ) -> io::Result<()>
    where
        F: FnOnce(CancellationToken) -> R + Send + 'static,
        R: TaskResult,
    {
        let name = name.into();
        let stop = self.stop.clone();
        let (ended, end) = oneshot::channel();
        let thread = NamedThread::spawn(name.clone(), stack_bytes, move || {
            // Nobody listens any more when the group was dropped; the thread ends all the same.
            let _ = ended.send(body(stop).into_task_result());
        })?;
        self.start(name, false, async move {
            match end.await {
                Ok(result) => result,
                // The sender went without a word: the thread is unwinding, so this does not block.
                Err(_) => thread.join().map_err(BoxError::from),
            }
        });
        Ok(())
    }

    fn start<Fut>(&mut self, name: String, may_finish: bool, task: Fut)
    where
        Fut: Future + Send + 'static,
        Fut::Output: TaskResult + Send,
    {
        let span = tracing::error_span!(parent: None, "task", name = name.as_str());
        let handle =
            self.tasks.spawn(async move { task.await.into_task_result() }.instrument(span));
        self.running.insert(handle.id(), Running { name, may_finish });
    }

    /// Names of the tasks that have not ended, sorted.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        let mut names: Vec<String> = self.running.values().map(|task| task.name.clone()).collect();
        names.sort();
        names
    }

    /// Waits until the group is asked to stop or a task ends early. An early end cancels the
    /// group's own token, so the other tasks begin to stop; [`TaskGroup::drain`] waits for them.
    ///
    /// Cancel safe: no task's end is lost.
    pub async fn wait_or_signal(&mut self) -> Outcome {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Outcome::Stopped,
                Some(joined) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    let (task, end) = self.take_ended(joined);
                    if task.may_finish && matches!(end, TaskEnd::Finished) {
                        continue;
                    }
                    self.stop.cancel();
                    return Outcome::EndedEarly(EndedTask { name: task.name, end });
                }
            }
        }
    }

    /// Tells all tasks to stop and waits for them, at most `budget`; then aborts the rest.
    pub async fn drain(mut self, budget: Duration) -> DrainReport {
        self.stop.cancel();
        let mut report = DrainReport::default();
        if self.join_until(Instant::now() + budget, &mut report.failures).await {
            return report;
        }
        report.laggards = self.running();
        self.tasks.abort_all();
        // What an aborted task says at its end is of no interest: it is already named.
        self.join_until(Instant::now() + ABORT_GRACE, &mut Vec::new()).await;
        report
    }

    /// Joins tasks until none is left (true) or the time is up (false).
    async fn join_until(&mut self, end: Instant, failures: &mut Vec<EndedTask>) -> bool {
        while !self.tasks.is_empty() {
            let Ok(joined) = tokio::time::timeout_at(end, self.tasks.join_next_with_id()).await
            else {
                return false;
            };
            let Some(joined) = joined else { break };
            let (task, end) = self.take_ended(joined);
            if !matches!(end, TaskEnd::Finished) {
                failures.push(EndedTask { name: task.name, end });
            }
        }
        true
    }

    fn take_ended(
        &mut self,
        joined: Result<(Id, Result<(), BoxError>), JoinError>,
    ) -> (Running, TaskEnd) {
        let (id, end) = match joined {
            Ok((id, Ok(()))) => (id, TaskEnd::Finished),
            Ok((id, Err(error))) => (id, TaskEnd::Failed(error)),
            Err(error) => {
                let id = error.id();
                let text = match error.try_into_panic() {
                    Ok(panic) => panic_message(panic.as_ref()),
                    Err(_) => "aborted".to_owned(),
                };
                (id, TaskEnd::Panicked(text))
            }
        };
        let unnamed = || Running { name: "unnamed".to_owned(), may_finish: false };
        (self.running.remove(&id).unwrap_or_else(unnamed), end)
    }
}
