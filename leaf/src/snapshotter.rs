//! Publishes snapshots of the serving partitions on a schedule, one after the other.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nautilus_engine::{Checkpoint, EngineError, FORMAT_VERSION};
use nautilus_index_repository::{LOG_BUILD, RepositoryError, SlotRange, SnapshotDraft};
use nautilus_mutation_log::{LogError, fingerprint_before};
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::{Offset, PartitionId, sooner};

use crate::folders::{Folders, remove_if_there};
use crate::lease::Lease;
use crate::partition::{KnownSnapshot, Served};
use crate::recovery::{known, wanted};
use crate::shared::Shared;
use crate::state::State;

/// How many stay: the newest, and one more for whoever is downloading it.
const KEEP: usize = 2;
/// Between two looks at what is due.
const LOOK: Duration = Duration::from_millis(500);

/// When a snapshot is due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    interval: Duration,
    /// 0 = by time only.
    records: u64,
}

impl Schedule {
    /// `records` were applied since the newest snapshot, `since` has passed since the last try.
    fn is_due(self, last: &Last, records: u64, since: Duration) -> bool {
        let by_count = self.records > 0 && records >= self.records && !last.has_failed;
        records > 0 && (by_count || since >= last.interval)
    }
}

/// What is remembered of a partition from one look to the next.
#[derive(Debug, Clone, Copy)]
struct Last {
    next_offset: Offset,
    tried_at: Instant,
    /// How long after that the next one is due.
    interval: Duration,
    /// After a failure the count alone is no reason to try again before the interval is over.
    has_failed: bool,
}

/// The schedule's driver.
pub(crate) struct Snapshotter {
    pub(crate) shared: Arc<Shared>,
    pub(crate) lease: Lease,
}

/// Why a snapshot was not published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("make a checkpoint")]
    Checkpoint(#[source] EngineError),
    #[error("make a checkpoint")]
    Pool(#[from] PoolError),
    #[error("use the leaf's folder")]
    Folder(#[source] std::io::Error),
    #[error("read the checkpoint's last record from the log")]
    Log(#[from] LogError),
    #[error("publish the snapshot")]
    Repository(#[from] RepositoryError),
    #[error("the partition is being closed")]
    Closing,
}

impl Snapshotter {
    /// Runs until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (interval, records) =
            (self.shared.config.snapshot_interval, self.shared.config.snapshot_records);
        let schedule = Schedule { interval, records };
        let mut remembered = BTreeMap::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.look(schedule, &mut remembered) => {}
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK.min(schedule.interval)) => {}
            }
        }
    }

    async fn look(&self, schedule: Schedule, remembered: &mut BTreeMap<PartitionId, Last>) {
        let partitions = self.shared.partitions.all();
        remembered.retain(|id, _| partitions.iter().any(|served| served.id == *id));
        for served in partitions {
            let now = self.shared.clock.now();
            // An old epoch or a lapsed lease publishes nothing.
            if served.state() != State::Serving || self.lease.is_uncertain(now) {
                continue;
            }
            let last = match remembered.entry(served.id) {
                Entry::Occupied(last) => last.into_mut(),
                Entry::Vacant(place) => place.insert(self.first_look(schedule, &served).await),
            };
            let records = served.applied().0.saturating_sub(last.next_offset.0);
            let since = now.saturating_duration_since(last.tried_at);
            if !schedule.is_due(last, records, since) {
                continue;
            }
            (last.tried_at, last.interval) = (now, sooner(schedule.interval, rand::random()));
            match self.publish(&served).await {
                Ok(snapshot) => {
                    (last.next_offset, last.has_failed) = (snapshot.next_offset, false);
                }
                Err(error) => {
                    last.has_failed = true;
                    self.shared.metrics.snapshot_failed();
                    let (partition, error) = (served.id.0, error_chain(&error));
                    tracing::warn!(partition, error, "snapshot not published");
                }
            }
        }
    }

    /// What the repository has already, whoever published it.
    async fn first_look(&self, schedule: Schedule, served: &Served) -> Last {
        let newest = async {
            let marks = self.shared.log.watermarks(served.id).await?;
            let build = served.database().map(|database| served.build_ref(&database));
            let build = build.ok_or(PublishError::Closing)?;
            let wanted = wanted(&self.shared, served.id, &build, marks);
            Ok::<_, PublishError>(self.shared.snapshots.newest(served.id, &wanted).await?.manifest)
        };
        let newest = newest.await;
        let has_failed = newest.is_err();
        match newest {
            Ok(Some(manifest)) => served.note_snapshot(known(&manifest)),
            Ok(None) => {}
            Err(error) => {
                let (partition, error) = (served.id.0, error_chain(&error));
                tracing::warn!(partition, error, "what snapshots there are is not known");
            }
        }
        let next_offset = served.snapshot().map_or(Offset(0), |known| known.next_offset);
        let interval = sooner(schedule.interval, rand::random());
        Last { next_offset, tried_at: self.shared.clock.now(), interval, has_failed }
    }

    async fn publish(&self, served: &Served) -> Result<KnownSnapshot, PublishError> {
        let folders = Folders::new(&self.shared.config.data_dir, served.id);
        let dir = folders.checkpoint(served.epoch());
        let published = self.publish_from(served, &dir).await;
        remove_if_there(&dir).map_err(PublishError::Folder)?;
        let snapshot = published?;
        served.note_snapshot(snapshot);
        // What is not pruned now the next snapshot prunes.
        if let Err(error) = self.shared.snapshots.prune(served.id, KEEP).await {
            let (partition, error) = (served.id.0, error_chain(&error));
            tracing::warn!(partition, error, "older snapshots stay");
        }
        Ok(snapshot)
    }

    async fn publish_from(
        &self,
        served: &Served,
        dir: &Path,
    ) -> Result<KnownSnapshot, PublishError> {
        let database = served.database().ok_or(PublishError::Closing)?;
        let build = served.build_ref(&database);
        let into = dir.to_owned();
        let made = self.shared.disk_pool.run(move || {
            remove_if_there(&into).map_err(PublishError::Folder)?;
            database.checkpoint(&into).map_err(PublishError::Checkpoint)
        });
        let Checkpoint { next_offset, documents } = made.await??;
        let log = self.shared.log.as_ref();
        let log_low = log.watermarks(served.id).await?.low;
        let created_unix_ms = self.shared.clock.unix_ms();
        let draft = SnapshotDraft {
            log_generation: log.identity().generation,
            partition: served.id,
            slots: SlotRange::all_of(&self.shared.config.map, served.id),
            map_version: self.shared.config.map.version,
            build: build.name.unwrap_or_else(|| LOG_BUILD.to_owned()),
            epoch: served.epoch(),
            uploader: format!("{}/{}", self.shared.config.replica_group, self.shared.config.name),
            created_unix_ms,
            next_offset,
            last_record_fingerprint: fingerprint_before(log, served.id, next_offset, log_low)
                .await?,
            format_version: FORMAT_VERSION,
            analyzer_version: build.analyzer_version,
            documents,
            document_digest: Vec::new(),
            posting_digest: Vec::new(),
        };
        let (epoch, offset) = (draft.epoch.0, next_offset.0);
        match self.shared.snapshots.publish(draft, dir, &|_| {}).await {
            Ok(manifest) => {
                let (partition, bytes) = (served.id.0, manifest.size_bytes());
                tracing::info!(partition, epoch, offset, bytes, "snapshot published");
                Ok(known(&manifest))
            }
            // An earlier try whose answer was lost.
            Err(RepositoryError::Exists { .. }) => {
                Ok(KnownSnapshot { next_offset, created_unix_ms })
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_by_count_or_by_time_but_never_without_records() {
        let seconds = Duration::from_secs;
        let schedule = Schedule { interval: seconds(600), records: 100 };
        let (next_offset, tried_at) = (Offset(0), nautilus_service::Clock::system().now());
        let last = Last { next_offset, tried_at, interval: seconds(500), has_failed: false };
        assert!(!schedule.is_due(&last, 0, seconds(9_999)));
        assert!(!schedule.is_due(&last, 99, seconds(499)));
        assert!(schedule.is_due(&last, 100, Duration::ZERO));
        assert!(schedule.is_due(&last, 1, seconds(500)));
        let by_time = Schedule { records: 0, ..schedule };
        assert!(!by_time.is_due(&last, u64::MAX, seconds(499)));
        assert!(by_time.is_due(&last, 1, seconds(500)));
        let failed = Last { has_failed: true, ..last };
        assert!(!schedule.is_due(&failed, 100, seconds(499)));
        assert!(schedule.is_due(&failed, 1, seconds(500)));
    }
}
