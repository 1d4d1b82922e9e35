//! A sized pool of threads for CPU-heavy work, so that it never runs on the IO runtime.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nautilus_types::Class;
use tokio::sync::oneshot;

use crate::threads::{BACKGROUND_NICER, NamedThread, STACK_BYTES, give_way, panic_message};

#[cfg(test)]
mod tests;

/// Shape of a pool.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Prefix of the threads' names; at most 12 bytes of it show in the system's tools.
    pub name: String,
    /// Threads; at least one is started.
    pub threads: usize,
    /// Jobs that may wait beside the ones that run; more are refused.
    pub queue_bound: usize,
    /// Stack of each thread, in bytes.
    pub stack_bytes: usize,
    /// How its threads give way to others, as in [`give_way`]; none = they are scheduled as others are.
    pub nicer: Option<u8>,
}

impl PoolSettings {
    /// `threads` threads, 16 waiting jobs for each, 8 MiB of stack.
    #[must_use]
    pub fn new(name: impl Into<String>, threads: usize) -> Self {
        let queue_bound = threads.max(1).saturating_mul(16);
        Self { name: name.into(), threads, queue_bound, stack_bytes: STACK_BYTES, nicer: None }
    }

    /// The same for work that nobody waits for while a request is under way.
    #[must_use]
    pub fn in_background(self) -> Self {
        Self { nicer: Some(BACKGROUND_NICER), ..self }
    }

    /// The same for long work that matters as much as requests do: the weight of others, and others go on at once.
    #[must_use]
    pub fn in_short_slices(self) -> Self {
        Self { nicer: Some(0), ..self }
    }
}

/// Why a job gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The queue is full; nothing of the job was run.
    #[error("queue of pool {pool} is full at {bound} jobs")]
    Full {
        /// Name of the pool.
        pool: String,
        /// Its queue bound.
        bound: usize,
    },
    /// The pool is closed; nothing of the job was run.
    #[error("pool {pool} is closed")]
    Closed {
        /// Name of the pool.
        pool: String,
    },
    /// The job panicked; the pool goes on.
    #[error("job on pool {pool} panicked: {message}")]
    Panicked {
        /// Name of the pool.
        pool: String,
        /// What the panic said.
        message: String,
    },
}

impl PoolError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Full { .. } => Class::Overloaded,
            Self::Closed { .. } => Class::Unavailable,
            Self::Panicked { .. } => Class::Bug,
        }
    }
}

/// What a pool has done and is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStats {
    /// Jobs waiting.
    pub queued: usize,
    /// Jobs running.
    pub running: usize,
    /// Jobs refused because the queue was full.
    pub refused: u64,
    /// Jobs whose caller had gone before they started; they were not run.
    pub abandoned: u64,
    /// Jobs that panicked.
    pub panicked: u64,
}

/// The pool. Dropping it closes it and blocks until the running jobs have ended: give jobs a
/// time budget.
#[derive(Debug)]
pub struct WorkerPool {
    shared: Arc<Shared>,
    threads: Vec<NamedThread>,
}

type Job = Box<dyn FnOnce(&Shared) + Send>;

struct Shared {
    name: String,
    queue_bound: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    running: AtomicUsize,
    refused: AtomicU64,
    abandoned: AtomicU64,
    panicked: AtomicU64,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Shared {
    /// No job runs under this lock, so a poisoned one still guards a sound queue.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_job(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) {
        while let Some(job) = self.next_job() {
            job(self);
        }
    }
}

impl WorkerPool {
    /// Starts the threads.
    pub fn new(settings: PoolSettings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            name: settings.name,
            queue_bound: settings.queue_bound,
            queue: Mutex::default(),
            changed: Condvar::new(),
            running: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            panicked: AtomicU64::new(0),
        });
        // Built before the threads, so that a failed start closes the pool for those that run.
        let mut pool = Self { shared, threads: Vec::new() };
        for number in 0..settings.threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let name = format!("{}-{number}", shared.name);
            let work = move || {
                if let Some(nicer) = settings.nicer {
                    give_way(nicer);
                }
                shared.work();
            };
            pool.threads.push(NamedThread::spawn(name, settings.stack_bytes, work)?);
        }
        Ok(pool)
    }

    /// Runs `job` on the pool and waits for its result, in order of arrival.
    ///
    /// Cancel safe: a caller that goes away before its job has started takes it out of the
    /// running order; a started job runs to its end and its result is dropped.
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (answer, result) = oneshot::channel();
        self.submit(Box::new(move |shared| {
            if answer.is_closed() {
                shared.abandoned.fetch_add(1, Ordering::Relaxed);
                return;
            }
            shared.running.fetch_add(1, Ordering::Relaxed);
            let ended = catch_unwind(AssertUnwindSafe(job));
            shared.running.fetch_sub(1, Ordering::Relaxed);
            if ended.is_err() {
                shared.panicked.fetch_add(1, Ordering::Relaxed);
            }
            // A caller that went away meanwhile wants no answer.
            let _ = answer.send(ended.map_err(|panic| panic_message(panic.as_ref())));
        }))?;
        match result.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(message)) => {
                Err(PoolError::Panicked { pool: self.shared.name.clone(), message })
            }
            Err(_) => Err(PoolError::Closed { pool: self.shared.name.clone() }),
        }
    }

    fn submit(&self, job: Job) -> Result<(), PoolError> {
        let mut queue = self.shared.queue();
        if queue.is_closed {
            return Err(PoolError::Closed { pool: self.shared.name.clone() });
        }
        if queue.jobs.len() >= self.shared.queue_bound {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
            let (pool, bound) = (self.shared.name.clone(), self.shared.queue_bound);
            return Err(PoolError::Full { pool, bound });
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Refuses new jobs and drops the waiting ones, whose callers get [`PoolError::Closed`].
    pub fn close(&self) {
        let waiting = {
            let mut queue = self.shared.queue();
            queue.is_closed = true;
            std::mem::take(&mut queue.jobs)
        };
        self.shared.changed.notify_all();
        drop(waiting);
    }

    /// What the pool has done and is doing.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        PoolStats {
            queued: self.shared.queue().jobs.len(),
            running: self.shared.running.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            abandoned: self.shared.abandoned.load(Ordering::Relaxed),
            panicked: self.shared.panicked.load(Ordering::Relaxed),
        }
    }
}

impl Drop for WorkerPool {
    fn drop(&mut self) {
        self.close();
        for thread in self.threads.drain(..) {
            // The last owner may be a job on the pool itself: a thread cannot wait for its own end.
            if thread.is_current() {
                continue;
            }
            if let Err(error) = thread.join() {
                tracing::error!(error = %error, "pool thread ended by a panic");
            }
        }
    }
}
