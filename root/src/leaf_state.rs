//! What this root knows of one leaf between requests: its last status, its record, whether it is there.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nautilus_proto::leaf::v1::{LeafStatus, ReplicaStatus};
use nautilus_types::PartitionId;

use crate::choice::{Availability, Probation, Prospect, ReplicaRecord};
use crate::routing::Standing;

/// A leaf that was silent for this many of its heartbeats is not asked while another is: it stands still, or nothing
/// comes through. Its lease ends only seconds later.
const HEARTBEATS_MISSED_MAX: u32 = 3;
/// A replica whose offset rose within this time, and whose oldest waiting record was no older than [`LAG_MAX`] then, keeps
/// up: it will show in a moment what it was not yet known to have reached. Leaves tell how far they are every 50 ms, and
/// whoever fetches what a search found asks for what another replica reached since.
const RISE_MAX: Duration = Duration::from_millis(200);
/// See [`RISE_MAX`].
const LAG_MAX: Duration = Duration::from_millis(20);

/// How a request to a leaf ended, as far as the leaf is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It answered.
    Answered,
    /// Nobody waited any more.
    Abandoned,
    /// The replica failed in a way that the next request would meet too.
    ReplicaFailed,
    /// The connection failed.
    ConnectionFailed,
    /// It said something that tells nothing of its health.
    Refused,
}

/// A leaf's state; every access is short and holds no other lock.
#[derive(Debug, Default)]
pub(crate) struct LeafState {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: BTreeMap<PartitionId, ReplicaRecord>,
    in_flight: u32,
    connection: Probation,
    replicas: BTreeMap<PartitionId, Known>,
    reported_in_flight: u32,
    /// None = it was never heard of.
    is_reachable: Option<bool>,
    /// When anything came from it, and how often something should; none = it does not say.
    heard: Option<Instant>,
    heartbeat: Option<Duration>,
}

/// What is known of a replica's progress.
#[derive(Debug, Default)]
struct Known {
    status: ReplicaStatus,
    /// When its offset was last seen to have risen; none = it was seen at one only.
    risen: Option<Instant>,
}

impl Known {
    fn reached(&mut self, next_offset: u64, now: Instant) {
        if next_offset > self.status.applied_offset {
            self.status.applied_offset = next_offset;
            self.risen = Some(now);
        }
    }

    /// Whether a request that must see `min_next_offset` would wait there longer than a moment.
    fn is_behind(&self, min_next_offset: u64, now: Instant) -> bool {
        let rose_lately =
            self.risen.is_some_and(|risen| now.saturating_duration_since(risen) <= RISE_MAX);
        let keeps_up = rose_lately && Duration::from_millis(self.status.lag_ms) <= LAG_MAX;
        self.status.applied_offset < min_next_offset && !keeps_up
    }
}

impl Inner {
    fn is_silent(&self, now: Instant) -> bool {
        self.heard.zip(self.heartbeat).is_some_and(|(heard, heartbeat)| {
            now.saturating_duration_since(heard) > heartbeat.saturating_mul(HEARTBEATS_MISSED_MAX)
        })
    }
}

impl LeafState {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its replica of `partition` as it looks at `now` to a request that must see `min_next_offset`.
    pub(crate) fn prospect(
        &self,
        partition: PartitionId,
        standing: Standing,
        min_next_offset: u64,
        now: Instant,
    ) -> Prospect {
        let inner = self.inner();
        let record = inner.records.get(&partition).copied().unwrap_or_default();
        let known = inner.replicas.get(&partition);
        let is_stopped = known.is_some_and(|known| !answers_searches(&known.status.state));
        let is_away = inner.is_reachable == Some(false) || inner.is_silent(now);
        let availability = if is_away || is_stopped {
            Availability::Unavailable
        } else {
            record.availability(now).max(inner.connection.availability(now))
        };
        Prospect {
            availability,
            standing,
            is_behind: known.is_some_and(|known| known.is_behind(min_next_offset, now)),
            latency: record.latency(),
            in_flight: inner.in_flight.max(inner.reported_in_flight),
        }
    }

    /// A request goes to `partition`.
    pub(crate) fn started(&self, partition: PartitionId) {
        let mut inner = self.inner();
        inner.in_flight = inner.in_flight.saturating_add(1);
        inner.records.entry(partition).or_default().started();
    }

    /// That request ended.
    pub(crate) fn ended(&self, partition: PartitionId, end: End, elapsed: Duration, now: Instant) {
        let mut inner = self.inner();
        inner.in_flight = inner.in_flight.saturating_sub(1);
        let record = inner.records.entry(partition).or_default();
        match end {
            End::Answered => {
                record.succeeded(elapsed);
                inner.connection.succeeded();
                inner.heard = inner.heard.max(Some(now));
            }
            End::Abandoned => record.abandoned(elapsed),
            End::ReplicaFailed => record.failed(now),
            End::ConnectionFailed => {
                record.ended();
                inner.connection.failed(now);
            }
            End::Refused => record.ended(),
        }
    }

    /// An answer showed every record of `partition` below `next_offset`.
    pub(crate) fn showed(&self, partition: PartitionId, next_offset: u64, now: Instant) {
        if let Some(known) = self.inner().replicas.get_mut(&partition) {
            known.reached(next_offset, now);
        }
    }

    /// The leaf said how it is.
    pub(crate) fn reported(&self, status: LeafStatus, now: Instant) {
        let mut inner = self.inner();
        inner.heard = Some(now);
        let heartbeat = Duration::from_millis(u64::from(status.heartbeat_ms));
        inner.heartbeat = Some(heartbeat).filter(|heartbeat| !heartbeat.is_zero());
        if inner.is_reachable != Some(true) {
            inner.is_reachable = Some(true);
            inner.connection.succeeded();
        }
        inner.reported_in_flight = status.in_flight;
        let mut before = std::mem::take(&mut inner.replicas);
        let by_partition = |status: ReplicaStatus| {
            let partition = PartitionId(status.partition);
            let known = before.remove(&partition);
            let rises =
                known.as_ref().is_some_and(|it| it.status.applied_offset < status.applied_offset);
            let risen = if rises { Some(now) } else { known.and_then(|it| it.risen) };
            (partition, Known { status, risen })
        };
        inner.replicas = status.replicas.into_iter().map(by_partition).collect();
    }

    /// The connection to the leaf is gone. Returns whether that is new.
    pub(crate) fn lost(&self) -> bool {
        let mut inner = self.inner();
        inner.reported_in_flight = 0;
        inner.is_reachable.replace(false) != Some(false)
    }

    /// Whether the leaf is heard of.
    pub(crate) fn is_reachable(&self) -> bool {
        self.inner().is_reachable == Some(true)
    }

    /// What it last said of its replicas.
    pub(crate) fn replicas(&self) -> BTreeMap<PartitionId, ReplicaStatus> {
        let inner = self.inner();
        inner.replicas.iter().map(|(&partition, known)| (partition, known.status.clone())).collect()
    }

    /// Requests of this root that it has to finish.
    #[cfg(test)]
    pub(crate) fn in_flight(&self) -> u32 {
        self.inner().in_flight
    }
}

fn answers_searches(state: &str) -> bool {
    matches!(state, "SERVING" | "DRAINING")
}

#[cfg(test)]
mod tests {
    use nautilus_service::Clock;

    use super::*;

    const P: PartitionId = PartitionId(3);
    const MS: Duration = Duration::from_millis(1);

    fn status(state: &str, applied_offset: u64) -> LeafStatus {
        let replica = ReplicaStatus {
            partition: P.0,
            state: state.into(),
            applied_offset,
            ..ReplicaStatus::default()
        };
        LeafStatus { replicas: vec![replica], in_flight: 7, ..LeafStatus::default() }
    }

    #[test]
    fn what_the_leaf_reports_counts() {
        let (state, now) = (LeafState::default(), Clock::system().now());
        let prospect = |min| state.prospect(P, Standing::Serving, min, now);
        assert_eq!(prospect(9).availability, Availability::Available, "nothing is known");
        state.reported(status("SERVING", 5), now);
        assert_eq!((prospect(5).is_behind, prospect(6).is_behind), (false, true));
        assert_eq!(prospect(0).in_flight, 7);
        state.showed(P, 6, now);
        assert!(!prospect(6).is_behind);
        state.reported(status("FAILED", 6), now);
        assert_eq!(prospect(0).availability, Availability::Unavailable);
        state.reported(status("DRAINING", 6), now);
        assert!(state.lost() && !state.lost());
        assert_eq!(prospect(0).availability, Availability::Unavailable);
        assert_eq!(prospect(0).in_flight, 0);
    }

    #[test]
    fn a_replica_that_keeps_up_is_not_behind_for_what_it_has_not_told_yet() {
        let (state, began) = (LeafState::default(), Clock::system().now());
        let report = |applied_offset, lag_ms, ms| {
            let mut status = status("SERVING", applied_offset);
            status.replicas[0].lag_ms = lag_ms;
            state.reported(status, began + MS * ms);
        };
        let is_behind =
            |ms: u32| state.prospect(P, Standing::Serving, 9, began + MS * ms).is_behind;
        report(5, 0, 0);
        assert!(is_behind(1), "nothing says that it gets on");
        report(7, 0, 50);
        assert!(!is_behind(51));
        report(7, 0, 100);
        assert!(!is_behind(250));
        assert!(is_behind(251), "it stands still");
        report(8, 300, 260);
        assert!(is_behind(261), "it gets on, long after the others");
        report(8, 20, 310);
        assert!(!is_behind(311));
        state.showed(P, 9, began + MS * 600);
        assert!(!is_behind(9_000), "it is there");
    }

    #[test]
    fn a_leaf_that_stands_still_is_not_asked_until_it_is_heard_of() {
        let (state, began) = (LeafState::default(), Clock::system().now());
        let at = |ms: u32| began + MS * ms;
        let availability = |ms| state.prospect(P, Standing::Serving, 0, at(ms)).availability;
        state.reported(status("SERVING", 5), began);
        assert_eq!(availability(60_000), Availability::Available, "it did not promise to be heard");
        state.reported(LeafStatus { heartbeat_ms: 500, ..status("SERVING", 5) }, began);
        assert_eq!(availability(1_500), Availability::Available);
        assert_eq!(availability(1_501), Availability::Unavailable);
        state.started(P);
        state.ended(P, End::Answered, MS, at(1_600));
        assert_eq!(availability(3_100), Availability::Available, "an answer is a sign of life");
        assert_eq!(availability(3_101), Availability::Unavailable);
        state.reported(LeafStatus { heartbeat_ms: 500, ..status("SERVING", 5) }, at(9_000));
        assert_eq!(availability(9_001), Availability::Available);
    }

    #[test]
    fn a_broken_connection_concerns_all_partitions_and_a_failure_one() {
        let (state, now) = (LeafState::default(), Clock::system().now());
        let availability = |partition| {
            state.prospect(PartitionId(partition), Standing::Serving, 0, now).availability
        };
        state.started(P);
        state.ended(P, End::ReplicaFailed, MS, now);
        assert_eq!(availability(3), Availability::Unavailable);
        assert_eq!(availability(4), Availability::Available);
        state.started(P);
        state.ended(P, End::ConnectionFailed, MS, now);
        assert_eq!(availability(4), Availability::Unavailable);
        state.reported(status("SERVING", 5), now);
        assert_eq!(availability(4), Availability::Available, "it is back");
        assert_eq!(state.in_flight(), 0);
    }
}
