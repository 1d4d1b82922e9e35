//! What calls, watches and the writer share.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use super::batch::Batch;
use super::config::MonotonicClock;
use super::state::{Phase, State};
use crate::RegistryError;

/// The state, and how to hear that it changed.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
    clock: MonotonicClock,
}

impl Shared {
    pub(super) fn new(state: State, clock: MonotonicClock) -> Self {
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), clock }
    }

    pub(super) fn now(&self) -> Instant {
        (self.clock)()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, where it may be shown.
    pub(super) fn lock_to_read(&self) -> Result<MutexGuard<'_, State>, RegistryError> {
        let state = self.lock_open()?;
        if state.phase == Phase::Doubtful {
            let problem = "a commit failed and is being looked into";
            return Err(RegistryError::Unavailable(problem.into()));
        }
        Ok(state)
    }

    /// The state, unless it is closed.
    pub(super) fn lock_open(&self) -> Result<MutexGuard<'_, State>, RegistryError> {
        let state = self.lock();
        if state.phase == Phase::Closed {
            return Err(RegistryError::Closed);
        }
        Ok(state)
    }

    /// Makes a committed batch true, shows it to readers and wakes watches.
    pub(super) fn apply(&self, batch: Batch) {
        self.lock().apply(batch);
        self.changed.send_replace(());
    }

    /// Goes to another phase; a closed registry stays closed.
    pub(super) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase != Phase::Closed {
            state.phase = phase;
        }
        drop(state);
        self.changed.send_replace(());
    }

    /// Hears of everything that happens from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}
