//! The stream of a leaf's status: at once, and again whenever it has changed, at most every 50 ms and at least every
//! half second, so that a leaf that stands still is told from one with nothing to tell.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, stream};
use nautilus_proto::leaf::v1::{LeafStatus, ReplicaStatus};
use nautilus_service::CancellationToken;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::partition::Served;
use crate::state::{Next, State};
use crate::{Leaf, LeafError};

/// Between two messages: offsets move with every record and requests come and go, and nobody needs each of them. At
/// 20 ms they were two of five messages of a cluster with eight leaves and 100 searches a second.
const INTERVAL: Duration = Duration::from_millis(50);
/// Without a change it is sent again within this; lag grows with time alone.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What a listener has heard.
struct Told {
    last: Option<LeafStatus>,
    /// When a status is sent that is like the last one.
    heartbeat: Instant,
}

impl Told {
    /// Whether this is to be sent now; then it counts as sent.
    fn is_news(&mut self, status: &LeafStatus, now: Instant) -> bool {
        // Requests that come and go between two looks beat and change nothing: the heartbeat is due by its own time,
        // or a busy leaf would seem to stand still.
        if now < self.heartbeat && self.last.as_ref() == Some(status) {
            return false;
        }
        self.last = Some(status.clone());
        self.heartbeat = now + HEARTBEAT - INTERVAL;
        true
    }
}

/// One listener.
struct Listener {
    leaf: Arc<Leaf>,
    beats: watch::Receiver<()>,
    stop: CancellationToken,
    told: Told,
    _permit: OwnedSemaphorePermit,
}

impl Leaf {
    /// The leaf's status as it changes, until the leaf stops. What comes faster than it is taken is left out.
    pub(crate) fn watch_status(
        self: Arc<Self>,
    ) -> Result<impl Stream<Item = LeafStatus> + Send + 'static, LeafError> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        let permit = permit
            .map_err(|_| LeafError::TooManyStreams { streams: crate::leaf::STATUS_STREAMS_MAX })?;
        let mut beats = self.shared.pulses.load.listen();
        beats.mark_changed();
        let stop = self.stop_token();
        let told = Told { last: None, heartbeat: Instant::now() };
        let listener = Listener { leaf: self, beats, stop, told, _permit: permit };
        Ok(stream::unfold(listener, |mut listener| async move {
            let status = listener.next().await?;
            Some((status, listener))
        }))
    }

    fn leaf_status(&self) -> LeafStatus {
        let now_unix_ms = self.shared.clock.unix_ms();
        let partitions = self.shared.partitions.all();
        let work = self.work();
        LeafStatus {
            leaf: self.shared.config.name.to_string(),
            replica_group: self.shared.config.replica_group.to_string(),
            replicas: partitions.iter().map(|served| replica_status(served, now_unix_ms)).collect(),
            in_flight: u32::try_from(work.queued + work.running).unwrap_or(u32::MAX),
            heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
        }
    }
}

impl Listener {
    /// The next status that differs from the last one, or is due without that; `None` once the leaf stops.
    async fn next(&mut self) -> Option<LeafStatus> {
        let is_first = self.told.last.is_none();
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            if !is_first {
                self.pause().await?;
            }
            self.beats.mark_unchanged();
            let status = self.leaf.leaf_status();
            if self.told.is_news(&status, Instant::now()) {
                return Some(status);
            }
        }
    }

    /// Until something has changed and the interval has passed, or the next heartbeat is due; `None` once the leaf stops.
    async fn pause(&mut self) -> Option<()> {
        let stopped = self.stop.clone().cancelled_owned();
        let changed = async {
            tokio::time::sleep(INTERVAL).await;
            // The sender is the leaf's own.
            let _ = tokio::time::timeout_at(self.told.heartbeat, self.beats.changed()).await;
        };
        tokio::select! {
            biased;
            () = stopped => None,
            () = changed => Some(()),
        }
    }
}

fn replica_status(served: &Served, now_unix_ms: u64) -> ReplicaStatus {
    let applied = served.applied();
    // Nothing is durable where nothing is open; while it is being closed nobody asks.
    let durable = served.database().map_or(0, |database| database.durable_offset().0);
    ReplicaStatus {
        partition: served.id.0,
        epoch: served.epoch().0,
        state: wire_name(&served.state()).to_owned(),
        applied_offset: applied.0,
        durable_offset: durable,
        lag_records: served.lag_records(),
        lag_ms: served.lag_ms(now_unix_ms),
        build: served.build(),
    }
}

/// The states roots know: opening is the beginning of replaying to them.
fn wire_name(state: &State) -> &'static str {
    match state {
        State::Idle | State::Gone => "IDLE",
        State::Downloading | State::Closing { next: Next::Recover | Next::Restart } => {
            "DOWNLOADING"
        }
        State::Opening { .. } | State::Replaying { .. } => "REPLAYING",
        State::Serving => "SERVING",
        State::Draining { .. } | State::Closing { next: Next::Gone } => "DRAINING",
        State::Failed { .. } => "FAILED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy_with(requests: u32) -> LeafStatus {
        LeafStatus { in_flight: requests, ..LeafStatus::default() }
    }

    #[test]
    fn a_leaf_that_changes_nothing_all_the_time_is_heard_of_in_time() {
        let began = Instant::now();
        let mut told = Told { last: None, heartbeat: began };
        let sent: Vec<Duration> = (0..100)
            .map(|look| INTERVAL * look)
            .filter(|after| told.is_news(&busy_with(1), began + *after))
            .collect();
        assert_eq!(sent[0], Duration::ZERO);
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] <= HEARTBEAT), "{sent:?}");
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] > INTERVAL), "{sent:?}");
    }

    #[test]
    fn what_changed_is_told_and_begins_the_time_anew() {
        let began = Instant::now();
        let mut told = Told { last: None, heartbeat: began };
        let at = |ms| began + Duration::from_millis(ms);
        assert!(told.is_news(&busy_with(0), at(0)));
        assert!(told.is_news(&busy_with(1), at(400)));
        assert!(!told.is_news(&busy_with(1), at(800)));
        assert!(told.is_news(&busy_with(1), at(900)));
    }
}
