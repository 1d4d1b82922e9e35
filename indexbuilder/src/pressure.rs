//! Back-pressure: writes are taken only as fast as the slowest replica group makes them searchable.
//!
//! A log takes writes many times faster than replicas apply them. Without a bound the backlog, and with
//! it the time until a write is found, would grow for as long as a client keeps sending.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nautilus_proto::root::v1::Replica;
use nautilus_service::RpcError;
use nautilus_types::{Class, Offset, PartitionId};

/// The shortest and the longest time a client is told to wait.
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Weight of the newest observation in the rate at which a group applies.
const RATE_WEIGHT: f64 = 0.2;
/// State of a replica that answers searches (`ReplicaStatus.state`).
const SERVING: &str = "SERVING";

/// When a partition takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LagBounds {
    /// Records not yet applied.
    pub(crate) records_max: u64,
    /// Age of the oldest of them.
    pub(crate) age_max: Duration,
    /// Older news says nothing any more: then writes are taken, for they are safe in the log.
    pub(crate) news_age_max: Duration,
}

/// How far the slowest group is in one partition.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Progress {
    applied: Offset,
    age: Duration,
    /// Records applied per second while there are some to apply; 0 = not seen yet.
    rate: f64,
    /// The end of the log as far as it is known here.
    end: Offset,
}

/// What is known of all partitions.
#[derive(Debug, Default)]
struct News {
    heard_at: Option<Instant>,
    partitions: BTreeMap<PartitionId, Progress>,
}

/// Follows the replicas and decides which writes may come in.
#[derive(Debug)]
pub(crate) struct Pressure {
    bounds: LagBounds,
    news: Mutex<News>,
}

impl Pressure {
    pub(crate) fn new(bounds: LagBounds) -> Self {
        Self { bounds, news: Mutex::new(News::default()) }
    }

    /// Takes the news that came at `now`.
    pub(crate) fn hear(&self, replicas: &[Replica], now: Instant) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let since = news.heard_at.map(|heard_at| now.saturating_duration_since(heard_at));
        let mut partitions = slowest(replicas);
        for (partition, progress) in &mut partitions {
            if let Some(before) = news.partitions.get(partition) {
                progress.end = progress.end.max(before.end);
                progress.rate = before.rate;
                let applied = progress.applied.0.saturating_sub(before.applied.0);
                if let Some(since) = since.filter(|since| !since.is_zero())
                    && applied > 0
                {
                    let rate = to_f64(applied) / since.as_secs_f64();
                    progress.rate = if before.rate > 0.0 {
                        before.rate.mul_add(1.0 - RATE_WEIGHT, rate * RATE_WEIGHT)
                    } else {
                        rate
                    };
                }
            }
        }
        *news = News { heard_at: Some(now), partitions };
    }

    /// Notes that the log of `partition` now ends at `end`.
    pub(crate) fn appended(&self, partition: PartitionId, end: Offset) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = news.partitions.get_mut(&partition) {
            progress.end = progress.end.max(end);
        }
    }

    /// Whether writes to `partition` may come in now. The refusal says when to try again.
    pub(crate) fn admit(&self, partition: PartitionId, now: Instant) -> Result<(), RpcError> {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = news.heard_at.is_some_and(|heard_at| {
            now.saturating_duration_since(heard_at) <= self.bounds.news_age_max
        });
        let Some(progress) = news.partitions.get(&partition).filter(|_| is_fresh) else {
            return Ok(());
        };
        let Some(wait) = wait(&self.bounds, progress) else { return Ok(()) };
        let bound = format!(
            "at most {} records, the oldest at most {} ms old, may wait to become searchable",
            self.bounds.records_max,
            self.bounds.age_max.as_millis()
        );
        let message = "writes come faster than they become searchable; nothing was written";
        Err(RpcError::new(Class::Overloaded, "REPLICAS_LAG", message)
            .quota("records waiting to become searchable", bound)
            .retry_after(wait))
    }

    /// Records waiting, of the partition where most do.
    pub(crate) fn lag_records_max(&self) -> u64 {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.partitions.values().map(lag).max().unwrap_or(0)
    }
}

/// Of each partition the group that is furthest behind. A group is as far as its best serving replica; one
/// that serves nothing at the moment holds nobody up, for it recovers from snapshot and log.
fn slowest(replicas: &[Replica]) -> BTreeMap<PartitionId, Progress> {
    let mut groups = BTreeMap::<(PartitionId, &str), Progress>::new();
    for replica in replicas.iter().filter(|replica| replica.is_reachable) {
        let Some(status) = replica.status.as_ref().filter(|status| status.state == SERVING) else {
            continue;
        };
        let applied = Offset(status.applied_offset);
        let progress = Progress {
            applied,
            age: Duration::from_millis(status.lag_ms),
            rate: 0.0,
            end: Offset(status.applied_offset.saturating_add(status.lag_records)),
        };
        let key = (PartitionId(status.partition), replica.replica_group.as_str());
        let best = groups.entry(key).or_insert(progress);
        if applied > best.applied {
            *best = progress;
        }
    }
    let mut slowest = BTreeMap::<PartitionId, Progress>::new();
    for ((partition, _), progress) in groups {
        let worst = slowest.entry(partition).or_insert(progress);
        let end = worst.end.max(progress.end);
        if progress.applied < worst.applied {
            *worst = progress;
        }
        worst.end = end;
    }
    slowest
}

fn lag(progress: &Progress) -> u64 {
    progress.end.0.saturating_sub(progress.applied.0)
}

/// How long until half of what may wait is waiting; none where more may come in now.
fn wait(bounds: &LagBounds, progress: &Progress) -> Option<Duration> {
    let records = lag(progress);
    let is_over = records > 0 && progress.age > bounds.age_max;
    if records <= bounds.records_max && !is_over {
        return None;
    }
    let target = if is_over { records / 2 } else { bounds.records_max / 2 };
    let excess = to_f64(records.saturating_sub(target));
    let wait = if progress.rate > 0.0 {
        Duration::try_from_secs_f64(excess / progress.rate).unwrap_or(RETRY_MAX)
    } else {
        RETRY_MIN * 4
    };
    Some(wait.clamp(RETRY_MIN, RETRY_MAX))
}

fn to_f64(count: u64) -> f64 {
    // Saturates far above any backlog, and exact below 2^32.
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use nautilus_proto::leaf::v1::ReplicaStatus;

    use super::*;

    const BOUNDS: LagBounds = LagBounds {
        records_max: 100,
        age_max: Duration::from_secs(1),
        news_age_max: Duration::from_secs(5),
    };
    const P: PartitionId = PartitionId(3);

    fn replica(group: &str, applied: u64, lag: u64, lag_ms: u64) -> Replica {
        Replica {
            replica_group: group.to_owned(),
            leaf: format!("{group}-1"),
            is_reachable: true,
            status: Some(ReplicaStatus {
                partition: P.0,
                state: SERVING.to_owned(),
                applied_offset: applied,
                lag_records: lag,
                lag_ms,
                ..ReplicaStatus::default()
            }),
        }
    }

    fn now() -> Instant {
        nautilus_service::Clock::system().now()
    }

    #[test]
    fn the_slowest_group_decides() {
        let (pressure, now) = (Pressure::new(BOUNDS), now());
        assert!(pressure.admit(P, now).is_ok(), "nothing is known yet");
        pressure.hear(&[replica("a", 1_000, 0, 0), replica("b", 901, 99, 500)], now);
        assert!(pressure.admit(P, now).is_ok());
        pressure.appended(P, Offset(1_002));
        let refusal = pressure.admit(P, now).expect_err("101 records wait");
        assert_eq!((refusal.class(), refusal.reason()), (Class::Overloaded, "REPLICAS_LAG"));
        assert!(pressure.admit(PartitionId(0), now).is_ok(), "other partitions go on");
        assert_eq!(pressure.lag_records_max(), 101);
        pressure.hear(&[replica("a", 1_002, 0, 0), replica("b", 950, 50, 1_001)], now);
        assert!(pressure.admit(P, now).is_err(), "few, but too old");
        pressure.hear(&[replica("a", 1_002, 0, 0), replica("b", 1_000, 2, 3)], now);
        assert!(pressure.admit(P, now).is_ok());
    }

    #[test]
    fn who_does_not_serve_or_is_not_heard_of_holds_nobody_up() {
        let (pressure, start) = (Pressure::new(BOUNDS), now());
        let behind = || replica("b", 0, 1_000, 60_000);
        let mut recovering = behind();
        if let Some(status) = &mut recovering.status {
            status.state = "REPLAYING".to_owned();
        }
        let gone = Replica { is_reachable: false, ..behind() };
        // A second replica of the group that is further counts for it.
        let moved = Replica { leaf: "b-2".to_owned(), ..replica("b", 990, 10, 5) };
        for replicas in [vec![recovering], vec![gone], vec![behind(), moved]] {
            pressure.hear(&replicas, start);
            assert!(pressure.admit(P, start).is_ok(), "{replicas:?}");
        }
        pressure.hear(&[behind()], start);
        assert!(pressure.admit(P, start).is_err());
        let later = start + BOUNDS.news_age_max + Duration::from_millis(1);
        assert!(pressure.admit(P, later).is_ok(), "old news");
    }

    #[test]
    fn the_wait_follows_the_rate() {
        let progress =
            Progress { applied: Offset(0), age: Duration::ZERO, rate: 100.0, end: Offset(250) };
        // From 250 to 50 at 100 a second.
        assert_eq!(wait(&BOUNDS, &progress), Some(Duration::from_secs(2)));
        let fast = Progress { rate: 1e9, ..progress };
        assert_eq!(wait(&BOUNDS, &fast), Some(RETRY_MIN));
        let slow = Progress { rate: 1e-9, ..progress };
        assert_eq!(wait(&BOUNDS, &slow), Some(RETRY_MAX));
        let unknown = Progress { rate: 0.0, ..progress };
        assert_eq!(wait(&BOUNDS, &unknown), Some(RETRY_MIN * 4));
    }

    #[test]
    fn the_rate_is_learnt_from_progress() {
        let (pressure, start) = (Pressure::new(BOUNDS), now());
        for n in 0..20_u32 {
            let at = start + Duration::from_millis(100) * n;
            pressure.hear(&[replica("a", u64::from(n) * 50, 5_000, 0)], at);
        }
        let news = pressure.news.lock().expect("no panic");
        let rate = news.partitions[&P].rate;
        assert!((rate - 500.0).abs() < 1.0, "{rate}");
    }
}
