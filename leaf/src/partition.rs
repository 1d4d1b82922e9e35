//! One partition on this leaf as everybody sees it: its life, its offsets, its database while open.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nautilus_engine::Partition;
use nautilus_registry::Revision;
use nautilus_registry::layout::{BuildRef, ReplicaState};
use nautilus_types::{Epoch, Offset, PartitionId};
use tokio::sync::{Notify, OwnedRwLockReadGuard, RwLock, watch};

use crate::LeafError;
use crate::progress::Progress;
use crate::pulse::Pulses;
use crate::state::{Action, Event, Life, State};

/// Shared by its driver and applier, which move it, and the requests, which look.
pub(crate) struct Served {
    pub(crate) id: PartitionId,
    inner: Mutex<Inner>,
    /// Rings when there are actions to perform.
    nudge: Notify,
    pulses: Pulses,
    applied: watch::Sender<Offset>,
    /// Requests read it for as long as they need the database; whoever closes it waits for them.
    database: Arc<RwLock<Option<Partition>>>,
    lag: Lag,
    snapshot: Mutex<Option<KnownSnapshot>>,
    /// How far its recovery is, for people.
    pub(crate) progress: Progress,
    /// Records that are to be passed over and were not, with why: until the files are made anew without them.
    skips: Mutex<BTreeMap<Offset, String>>,
}

struct Inner {
    life: Life,
    actions: VecDeque<Action>,
    assigned_at: Revision,
    /// Of the present files; empty = fed from the log alone.
    build: String,
}

/// The database for as long as a request needs it.
pub(crate) type Database = OwnedRwLockReadGuard<Option<Partition>, Partition>;

/// The newest snapshot the leaf knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSnapshot {
    pub(crate) next_offset: Offset,
    pub(crate) created_unix_ms: u64,
}

/// What is known of the log's end.
#[derive(Default)]
struct Lag {
    log_high: AtomicU64,
    /// When the oldest record that is not applied came; 0 = there is none.
    waiting_since_unix_ms: AtomicU64,
}

/// What the registry should say of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) epoch: Epoch,
    pub(crate) state: ReplicaState,
    pub(crate) build: String,
}

impl Served {
    pub(crate) fn new(id: PartitionId, grace: Duration, pulses: Pulses) -> Self {
        let life = Life::new(grace);
        let (actions, assigned_at) = (VecDeque::new(), Revision::default());
        Self {
            id,
            inner: Mutex::new(Inner { life, actions, assigned_at, build: String::new() }),
            nudge: Notify::new(),
            pulses,
            applied: watch::Sender::new(Offset(0)),
            database: Arc::new(RwLock::new(None)),
            lag: Lag::default(),
            snapshot: Mutex::new(None),
            progress: Progress::default(),
            skips: Mutex::default(),
        }
    }

    /// Nothing panics under this lock but a broken invariant of the life, which changes nothing halfway.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> State {
        self.inner().life.state().clone()
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.inner().life.epoch()
    }

    pub(crate) fn build(&self) -> String {
        self.inner().build.clone()
    }

    /// The build of the files that `database` is of, while a request holds it.
    pub(crate) fn build_ref(&self, database: &Partition) -> BuildRef {
        let name = Some(self.build()).filter(|name| !name.is_empty());
        BuildRef { name, analyzer_version: database.analyzer().version() }
    }

    pub(crate) fn set_build(&self, build: &str) {
        build.clone_into(&mut self.inner().build);
    }

    /// Moves the life; its driver performs what follows.
    pub(crate) fn step(&self, now: Instant, event: Event) {
        let (before, after, epoch) = {
            let mut inner = self.inner();
            let before = inner.life.state().clone();
            let actions = inner.life.step(now, event);
            inner.actions.extend(actions);
            (before, inner.life.state().clone(), inner.life.epoch())
        };
        self.nudge.notify_one();
        if before == after {
            return;
        }
        self.pulses.life.beat();
        self.pulses.load.beat();
        let (partition, epoch, offset) = (self.id.0, epoch.0, self.applied().0);
        let (from, to) = (before.name(), after.name());
        match after {
            State::Failed { reason } => {
                tracing::error!(
                    partition,
                    epoch,
                    offset,
                    from,
                    error = reason,
                    "partition stopped"
                );
            }
            State::Idle | State::Downloading | State::Opening { .. } | State::Replaying { .. } => {
                tracing::info!(partition, epoch, offset, from, to, "partition state");
            }
            State::Serving | State::Draining { .. } | State::Closing { .. } | State::Gone => {
                tracing::info!(partition, epoch, offset, from, to, "partition state");
            }
        }
    }

    /// The next action, once there is one. Cancel safe.
    pub(crate) async fn next_action(&self) -> Action {
        loop {
            // Registered first: a step between looking and waiting is not missed.
            let nudged = self.nudge.notified();
            if let Some(action) = self.inner().actions.pop_front() {
                return action;
            }
            nudged.await;
        }
    }

    /// The assignment this life goes by was written then.
    pub(crate) fn set_assigned_at(&self, revision: Revision) {
        self.inner().assigned_at = revision;
        self.pulses.life.beat();
        self.pulses.load.beat();
    }

    /// What the registry should say, and the revision of the assignment that permits it.
    pub(crate) fn announcement(&self) -> (Option<Announcement>, Revision) {
        let inner = self.inner();
        let announcement = inner.life.announcement().map(|state| Announcement {
            epoch: inner.life.epoch(),
            state,
            build: inner.build.clone(),
        });
        (announcement, inner.assigned_at)
    }

    pub(crate) async fn set_database(&self, database: Partition) {
        *self.database.write().await = Some(database);
    }

    /// Takes the database away once nobody uses it any more; dropping what this returns closes it, if the
    /// writer is gone too.
    pub(crate) async fn take_database(&self) -> Option<Partition> {
        self.database.write().await.take()
    }

    /// The database, whatever the state; `None` where it is closed or being closed.
    pub(crate) fn database(&self) -> Option<Database> {
        let guard = Arc::clone(&self.database).try_read_owned().ok()?;
        OwnedRwLockReadGuard::try_map(guard, Option::as_ref).ok()
    }

    /// The database, if the partition may answer.
    pub(crate) fn serving(&self) -> Result<Database, LeafError> {
        let state = self.state();
        if let State::Failed { .. } = state {
            return Err(LeafError::PartitionFailed { partition: self.id });
        }
        let database = if state.answers() { self.database() } else { None };
        database.ok_or(LeafError::NotReady { partition: self.id, state: state.name() })
    }

    pub(crate) fn set_applied(&self, next: Offset) {
        self.applied.send_replace(next);
        self.pulses.load.beat();
    }

    pub(crate) fn applied(&self) -> Offset {
        *self.applied.borrow()
    }

    /// Whether every record below `until` is visible at `give_up` at the latest: as soon as that is so.
    pub(crate) async fn will_have_applied(&self, until: Offset, give_up: Instant) -> bool {
        if self.applied() >= until {
            return true;
        }
        let mut applied = self.applied.subscribe();
        let waited = tokio::time::timeout_at(give_up.into(), applied.wait_for(|at| *at >= until));
        matches!(waited.await, Ok(Ok(_)))
    }

    /// The log was seen to end here.
    pub(crate) fn note_log_high(&self, high: Offset, now_unix_ms: u64) {
        let before = self.lag.log_high.fetch_max(high.0, Ordering::Relaxed);
        if high > self.applied() {
            // The record itself says better once it is read.
            let since = &self.lag.waiting_since_unix_ms;
            let _ = since.compare_exchange(0, now_unix_ms, Ordering::Relaxed, Ordering::Relaxed);
        }
        if before < high.0 {
            self.pulses.load.beat();
        }
    }

    /// The oldest record that is not applied came then; `None` = all are.
    pub(crate) fn note_waiting(&self, since_unix_ms: Option<u64>) {
        self.lag.waiting_since_unix_ms.store(since_unix_ms.unwrap_or(0), Ordering::Relaxed);
    }

    /// Records of the log that are not applied, as far as is known.
    pub(crate) fn lag_records(&self) -> u64 {
        self.lag.log_high.load(Ordering::Relaxed).saturating_sub(self.applied().0)
    }

    /// Age of the oldest of them in milliseconds, 0 where there is none.
    pub(crate) fn lag_ms(&self, now_unix_ms: u64) -> u64 {
        let since = self.lag.waiting_since_unix_ms.load(Ordering::Relaxed);
        if since == 0 || self.lag_records() == 0 { 0 } else { now_unix_ms.saturating_sub(since) }
    }

    fn skips(&self) -> MutexGuard<'_, BTreeMap<Offset, String>> {
        self.skips.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record at `offset` was applied here and must not be.
    pub(crate) fn note_skip(&self, offset: Offset, reason: &str) {
        self.skips().insert(offset, reason.to_owned());
    }

    /// The decision about `offset` is followed here.
    pub(crate) fn forget_skip(&self, offset: Offset) {
        self.skips().remove(&offset);
    }

    /// Why the record at `offset` must not be applied; `None` where it may be.
    pub(crate) fn skip_reason(&self, offset: Offset) -> Option<String> {
        self.skips().get(&offset).cloned()
    }

    /// The first such record: files that reach beyond it are of no use.
    pub(crate) fn first_skip(&self) -> Option<Offset> {
        self.skips().keys().next().copied()
    }

    pub(crate) fn snapshot(&self) -> Option<KnownSnapshot> {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_snapshot(&self, snapshot: KnownSnapshot) {
        let mut known = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.next_offset <= snapshot.next_offset) {
            *known = Some(snapshot);
        }
    }
}
