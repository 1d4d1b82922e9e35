//! A partition's life on this leaf, as a pure state machine: time comes in as data, IO goes out as actions.
//!
//! ```text
//! Idle ─► Downloading ─► Opening ─► Replaying ─► Serving ─► Draining ─► Closing ─► Gone
//!  └─(folder here)──────────▲           │           │
//!            ▲              │           ▼           ▼
//!            └── Closing ◄──┴──── damage, or too old          any ─► Failed
//! ```

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use nautilus_registry::layout::ReplicaState;
use nautilus_types::{Epoch, Offset};

/// Files that are found damaged again so soon after they were replaced point at something that
/// replacing them does not mend.
const DAMAGE_PAUSE: Duration = Duration::from_secs(600);

/// Where a partition's files come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// They were on this disk.
    Local,
    /// A snapshot was downloaded.
    Snapshot,
    /// There were none: the whole log is applied.
    Nothing,
}

/// What comes after a database is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the partition is served elsewhere.
    Gone,
    /// New files, from a snapshot and the log.
    Recover,
    /// The life begins anew, under the present epoch.
    Restart,
}

/// What is to become of a folder when its database is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// It stays.
    Keep,
    /// It goes.
    Remove,
    /// It is renamed, for a person to look at.
    SetAside,
    /// The one that was made anew beside it takes its place; it is set aside.
    Exchange,
}

/// Where a partition is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not assigned.
    Idle,
    /// The newest snapshot is being looked for and downloaded.
    Downloading,
    /// Its folder is being opened, and rebuilt if its format is old.
    Opening {
        /// Where the folder comes from.
        source: Source,
    },
    /// It applies the log up to the end seen when it was opened.
    Replaying {
        /// That end.
        until: Offset,
    },
    /// It answers.
    Serving,
    /// It still answers those who have not noticed that it is served elsewhere, or that the leaf stops.
    Draining {
        /// Until then; none = until the leaf has stopped.
        until: Option<Instant>,
    },
    /// Its database is being closed.
    Closing {
        /// And then?
        next: Next,
    },
    /// It stopped and waits for a person, a new epoch, or a restart.
    Failed {
        /// Why.
        reason: String,
    },
    /// Nothing is left of it.
    Gone,
}

/// What happens to a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This leaf is to serve it, as owner or until the owner does.
    Assigned {
        /// Under this epoch.
        epoch: Epoch,
        /// A folder of it is on this disk.
        has_folder: bool,
    },
    /// Others serve it now.
    Unassigned,
    /// A snapshot is in its folder.
    Downloaded,
    /// There is no snapshot that can be used.
    NoSnapshot {
        /// The first record the log still has.
        log_low: Offset,
    },
    /// The folder is open, at this offset, and the log reaches from here to there.
    Opened {
        /// Next offset to apply.
        next: Offset,
        /// The first record the log still has.
        log_low: Offset,
        /// The log's end.
        log_high: Offset,
    },
    /// Everything below this offset is applied.
    Applied {
        /// Next offset to apply.
        next: Offset,
    },
    /// Its files are not what was written.
    Damaged {
        /// What is wrong with them.
        reason: String,
    },
    /// A decision in the log says that a record which was applied here counts for nothing.
    Overruled {
        /// Which, and where that stands.
        reason: String,
    },
    /// The group is to serve another build than that of its files.
    OtherBuild,
    /// What was made anew from the log holds something else than its files, and what the other group holds.
    Refuted,
    /// It cannot go on.
    Broke {
        /// Why.
        reason: String,
    },
    /// Time has passed.
    Tick,
    /// The database is closed and the folder dealt with.
    Closed {
        /// A folder is left to begin with.
        has_folder: bool,
    },
    /// The leaf is told to stop.
    Stop,
}

/// What the driver is to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look for the newest sound snapshot and download it.
    Download,
    /// Open the folder.
    Open,
    /// Apply the log from where the folder ends.
    Feed,
    /// Close the database.
    Close(Folder),
    /// Say [`Event::Tick`] then.
    WakeAt(Instant),
    /// End.
    Forget,
}

/// One partition's life.
#[derive(Debug, Clone)]
pub struct Life {
    state: State,
    epoch: Epoch,
    grace: Duration,
    damaged_at: Option<Instant>,
    is_stopping: bool,
}

impl Life {
    /// A life that has not begun. `grace` is how long it answers after others have taken over.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        let (state, epoch) = (State::Idle, Epoch(0));
        Self { state, epoch, grace, damaged_at: None, is_stopping: false }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The newest epoch it was assigned under; only grows.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the registry should say of it; none = nothing.
    #[must_use]
    pub fn announcement(&self) -> Option<ReplicaState> {
        if self.is_stopping {
            return None;
        }
        match self.state {
            State::Downloading => Some(ReplicaState::Downloading),
            State::Opening { .. } | State::Replaying { .. } => Some(ReplicaState::Replaying),
            State::Serving => Some(ReplicaState::Serving),
            State::Failed { .. } => Some(ReplicaState::Failed),
            State::Closing { next: Next::Recover | Next::Restart } => {
                Some(ReplicaState::Downloading)
            }
            State::Idle | State::Draining { .. } | State::Gone => None,
            State::Closing { next: Next::Gone } => None,
        }
    }

    /// Applies one event; the driver performs the returned actions in order. What makes no sense in a state
    /// changes nothing, and neither does an older epoch.
    pub fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        if self.is_stopping && !matches!(event, Event::Broke { .. }) {
            return Vec::new();
        }
        match event {
            Event::Assigned { epoch, has_folder } => self.assigned(epoch, has_folder),
            Event::Unassigned => self.unassigned(now),
            Event::Downloaded => self.downloaded(),
            Event::NoSnapshot { log_low } => self.no_snapshot(log_low),
            Event::Opened { next, log_low, log_high } => self.opened(next, log_low, log_high),
            Event::Applied { next } => self.applied(next),
            Event::Damaged { reason } => self.damaged(now, reason),
            Event::Overruled { .. } => self.overruled(),
            Event::OtherBuild => self.other_build(),
            Event::Refuted => self.refuted(),
            Event::Broke { reason } => self.broke(reason),
            Event::Tick => self.tick(now),
            Event::Closed { has_folder } => self.closed(has_folder),
            Event::Stop => self.stop(),
        }
    }

    fn assigned(&mut self, epoch: Epoch, has_folder: bool) -> Vec<Action> {
        if epoch < self.epoch {
            return Vec::new();
        }
        let is_newer = epoch > self.epoch;
        self.epoch = epoch;
        match self.state {
            State::Idle => return self.begin(has_folder),
            State::Draining { .. } => self.state = State::Serving,
            State::Closing { next: Next::Gone } => {
                self.state = State::Closing { next: Next::Restart };
            }
            State::Failed { .. } if is_newer => return self.close(Next::Restart, Folder::Keep),
            State::Failed { .. } | State::Serving | State::Gone => {}
            State::Downloading | State::Opening { .. } | State::Replaying { .. } => {}
            State::Closing { next: Next::Recover | Next::Restart } => {}
        }
        Vec::new()
    }

    fn begin(&mut self, has_folder: bool) -> Vec<Action> {
        if has_folder {
            self.open(Source::Local)
        } else {
            self.state = State::Downloading;
            vec![Action::Download]
        }
    }

    fn open(&mut self, source: Source) -> Vec<Action> {
        self.state = State::Opening { source };
        vec![Action::Open]
    }

    fn close(&mut self, next: Next, folder: Folder) -> Vec<Action> {
        self.state = State::Closing { next };
        vec![Action::Close(folder)]
    }

    fn fail(&mut self, reason: String) -> Vec<Action> {
        self.state = State::Failed { reason };
        Vec::new()
    }

    fn unassigned(&mut self, now: Instant) -> Vec<Action> {
        match self.state {
            State::Idle => {
                self.state = State::Gone;
                vec![Action::Forget]
            }
            State::Serving => {
                let until = now + self.grace;
                self.state = State::Draining { until: Some(until) };
                vec![Action::WakeAt(until)]
            }
            // Others have the partition, so nothing is lost with the folder; a failed one is evidence.
            State::Downloading | State::Opening { .. } | State::Replaying { .. } => {
                self.close(Next::Gone, Folder::Remove)
            }
            State::Failed { .. } => self.close(Next::Gone, Folder::Keep),
            State::Closing { .. } => {
                self.state = State::Closing { next: Next::Gone };
                Vec::new()
            }
            State::Draining { .. } | State::Gone => Vec::new(),
        }
    }

    fn downloaded(&mut self) -> Vec<Action> {
        if self.state == State::Downloading { self.open(Source::Snapshot) } else { Vec::new() }
    }

    fn no_snapshot(&mut self, log_low: Offset) -> Vec<Action> {
        if self.state != State::Downloading {
            return Vec::new();
        }
        if log_low == Offset(0) {
            return self.open(Source::Nothing);
        }
        self.fail(format!(
            "the index repository has no usable snapshot and the log begins at offset {log_low}: restore a \
             snapshot at or above that offset to the repository, then assign the partition again"
        ))
    }

    fn opened(&mut self, next: Offset, log_low: Offset, log_high: Offset) -> Vec<Action> {
        let State::Opening { source } = self.state else { return Vec::new() };
        if next > log_high {
            // The log lost records that these files have: going on would mix two histories.
            return self.fail(format!(
                "the files reach offset {next} and the log only {log_high}: restore the log, or move this \
                 folder and the newer snapshots away to go back to what the log holds"
            ));
        }
        if next < log_low {
            return match source {
                Source::Local => self.close(Next::Recover, Folder::Remove),
                Source::Snapshot | Source::Nothing => self.fail(format!(
                    "the files end at offset {next} and the log begins at {log_low}: restore a snapshot at or \
                     above that offset to the repository, then assign the partition again"
                )),
            };
        }
        self.state =
            if next == log_high { State::Serving } else { State::Replaying { until: log_high } };
        vec![Action::Feed]
    }

    fn applied(&mut self, next: Offset) -> Vec<Action> {
        if matches!(self.state, State::Replaying { until } if next >= until) {
            self.state = State::Serving;
        }
        Vec::new()
    }

    fn damaged(&mut self, now: Instant, reason: String) -> Vec<Action> {
        match self.state {
            State::Opening { .. } | State::Replaying { .. } | State::Serving => {
                let last = self.damaged_at.replace(now);
                if last.is_some_and(|last| now.saturating_duration_since(last) < DAMAGE_PAUSE) {
                    return self.fail(format!("damaged again soon after new files: {reason}"));
                }
                self.close(Next::Recover, Folder::SetAside)
            }
            State::Draining { .. } => self.close(Next::Gone, Folder::SetAside),
            State::Idle | State::Downloading | State::Closing { .. } => Vec::new(),
            State::Failed { .. } | State::Gone => Vec::new(),
        }
    }

    /// Files of the wanted build take the place of those there are, or of those that are on their way; what failed may
    /// have failed for the build.
    fn other_build(&mut self) -> Vec<Action> {
        match self.state {
            State::Downloading
            | State::Opening { .. }
            | State::Replaying { .. }
            | State::Serving => self.close(Next::Recover, Folder::Remove),
            State::Failed { .. } => self.close(Next::Restart, Folder::Keep),
            State::Idle | State::Draining { .. } | State::Closing { .. } | State::Gone => {
                Vec::new()
            }
        }
    }

    /// The files are sound but hold too much: others are made without it.
    fn overruled(&mut self) -> Vec<Action> {
        match self.state {
            State::Opening { .. } | State::Replaying { .. } | State::Serving => {
                self.close(Next::Recover, Folder::Remove)
            }
            State::Draining { .. } => self.close(Next::Gone, Folder::Remove),
            State::Idle | State::Downloading | State::Closing { .. } => Vec::new(),
            State::Failed { .. } | State::Gone => Vec::new(),
        }
    }

    /// Only where it serves: anything else has other files coming, or none.
    fn refuted(&mut self) -> Vec<Action> {
        if self.state == State::Serving {
            self.close(Next::Restart, Folder::Exchange)
        } else {
            Vec::new()
        }
    }

    fn broke(&mut self, reason: String) -> Vec<Action> {
        match self.state {
            State::Idle | State::Closing { .. } | State::Gone | State::Failed { .. } => Vec::new(),
            State::Downloading | State::Opening { .. } | State::Replaying { .. } => {
                self.fail(reason)
            }
            State::Serving | State::Draining { .. } => self.fail(reason),
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Action> {
        match self.state {
            State::Draining { until: Some(until) } if now >= until => {
                self.close(Next::Gone, Folder::Remove)
            }
            State::Draining { until: Some(until) } => vec![Action::WakeAt(until)],
            State::Draining { until: None } | State::Idle | State::Downloading => Vec::new(),
            State::Opening { .. } | State::Replaying { .. } | State::Serving => Vec::new(),
            State::Closing { .. } | State::Failed { .. } | State::Gone => Vec::new(),
        }
    }

    fn closed(&mut self, has_folder: bool) -> Vec<Action> {
        let State::Closing { next } = self.state else { return Vec::new() };
        match next {
            Next::Gone => {
                self.state = State::Gone;
                vec![Action::Forget]
            }
            Next::Recover => self.begin(false),
            Next::Restart => self.begin(has_folder),
        }
    }

    fn stop(&mut self) -> Vec<Action> {
        self.is_stopping = true;
        if self.state == State::Serving {
            self.state = State::Draining { until: None };
        }
        Vec::new()
    }
}

impl State {
    /// The name status answers use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Idle | Self::Gone => "IDLE",
            Self::Downloading => "DOWNLOADING",
            Self::Closing { next: Next::Recover | Next::Restart } => "DOWNLOADING",
            Self::Opening { .. } => "OPENING",
            Self::Replaying { .. } => "REPLAYING",
            Self::Serving => "SERVING",
            Self::Draining { .. } | Self::Closing { next: Next::Gone } => "DRAINING",
            Self::Failed { .. } => "FAILED",
        }
    }

    /// Whether requests are answered in it.
    #[must_use]
    pub fn answers(&self) -> bool {
        matches!(self, Self::Serving | Self::Draining { .. })
    }
}
