//! One served partition as requests see it: its state, its applied offset, its database once open.

use std::sync::{Mutex, OnceLock, PoisonError};

use nautilus_engine::Partition;
use nautilus_types::{Offset, PartitionId};
use tokio::sync::watch;

use crate::LeafError;
use crate::state::{Event, State};

/// Shared by the applier, which moves it, and the requests, which look.
pub(crate) struct Served {
    pub(crate) id: PartitionId,
    state: Mutex<State>,
    applied: watch::Sender<Offset>,
    database: OnceLock<Partition>,
}

impl Served {
    pub(crate) fn new(id: PartitionId) -> Self {
        let state = Mutex::new(State::Opening);
        Self { id, state, applied: watch::Sender::new(Offset(0)), database: OnceLock::new() }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Moves the state and says what it was before.
    pub(crate) fn step(&self, event: Event) -> (State, State) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.clone();
        *state = before.clone().step(event);
        (before, state.clone())
    }

    pub(crate) fn set_database(&self, database: Partition) {
        // Opened once in the applier's life; a second one would be a second writer.
        let _: Result<(), Partition> = self.database.set(database);
    }

    /// The database, whatever the state.
    pub(crate) fn database(&self) -> Option<&Partition> {
        self.database.get()
    }

    pub(crate) fn set_applied(&self, next: Offset) {
        self.applied.send_replace(next);
    }

    pub(crate) fn applied(&self) -> Offset {
        *self.applied.borrow()
    }

    /// Sees every later applied offset.
    pub(crate) fn watch_applied(&self) -> watch::Receiver<Offset> {
        self.applied.subscribe()
    }

    /// The database, if the partition may answer.
    pub(crate) fn serving(&self) -> Result<Partition, LeafError> {
        let state = self.state();
        match (&state, self.database.get()) {
            // While draining, roots that have not noticed yet are still served.
            (State::Serving | State::Draining, Some(database)) => Ok(database.clone()),
            (State::Failed { .. }, _) => Err(LeafError::PartitionFailed { partition: self.id }),
            (State::Opening | State::Replaying { .. } | State::Serving | State::Draining, _) => {
                Err(LeafError::NotReady { partition: self.id, state: state.name() })
            }
        }
    }
}
