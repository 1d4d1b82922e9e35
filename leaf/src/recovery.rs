//! Getting a partition's files from the index repository, and checking that they belong to this log.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nautilus_engine::FORMAT_VERSION;
use nautilus_index_repository::{
    Found, LOG_BUILD, Manifest, RepositoryError, SlotRange, Unusable, Wanted,
};
use nautilus_mutation_log::{LogError, Watermarks, fingerprint_before};
use nautilus_registry::layout::BuildRef;
use nautilus_service::status::error_chain;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::{Class, Offset, PartitionId};
use tokio::runtime::Handle;

use crate::builds::analyzer_of;
use crate::feed::until_answered;
use crate::folders::{Folders, remove_if_there};
use crate::metrics::Phase;
use crate::partition::{KnownSnapshot, Served};
use crate::shared::Shared;
use crate::state::Event;

/// Between tries while the repository does not answer.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);
/// Tries of a repository that does not answer before the whole log is applied instead, where it is all there.
const TRIES_BEFORE_REPLAY: u32 = 5;

/// One partition's recovery.
pub(crate) struct Recovery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) served: Arc<Served>,
    pub(crate) folders: Folders,
}

/// Why there are no files.
#[derive(Debug, thiserror::Error)]
enum RecoveryError {
    #[error("ask the log for its range")]
    Log(#[source] LogError),
    #[error("use the leaf's folder")]
    Folder(#[source] std::io::Error),
    #[error("download a snapshot")]
    Repository(#[from] RepositoryError),
    #[error("download a snapshot")]
    Pool(#[from] PoolError),
    #[error(
        "snapshot {name} ends at offset {next_offset} and the log at {log_high}: restore the log, or remove the \
         newer snapshots to go back to what the log holds"
    )]
    AboveLog { name: String, next_offset: Offset, log_high: Offset },
    #[error(
        "snapshot {name} was made from another log than this one: remove it, or give the leaf the right log"
    )]
    OtherLog { name: String },
    #[error(
        "the index repository has no usable snapshot of build {build}: make the build again, or give the group another"
    )]
    NoBuild { build: String },
}

impl RecoveryError {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Log(error) => error.class() == Class::Unavailable,
            // Rights are given back, and credentials renewed, while the partition waits.
            Self::Repository(error) => {
                matches!(error.class(), Class::Unavailable | Class::Denied)
            }
            Self::Pool(_) | Self::Folder(_) | Self::AboveLog { .. } => false,
            Self::OtherLog { .. } | Self::NoBuild { .. } => false,
        }
    }
}

impl Recovery {
    /// Downloads the newest sound snapshot that fits the log; tries until it knows, or is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut pause = RETRY_FIRST;
        let mut tries = 0;
        self.served.progress.begin_download(self.shared.clock.now());
        let Some(build) = self.shared.wanted_build.get(&stop).await else { return };
        if let Err(unknown) = analyzer_of(&build) {
            let reason = error_chain(&unknown);
            return self.served.step(self.shared.clock.now(), Event::Broke { reason });
        }
        loop {
            let error = match self.try_once(&build, &stop).await {
                Ok(Some(event)) => return self.served.step(self.shared.clock.now(), event),
                Ok(None) => return,
                Err(error) => error,
            };
            let reason = error_chain(&error);
            if !error.is_retryable() {
                return self.served.step(self.shared.clock.now(), Event::Broke { reason });
            }
            tries += 1;
            let partition = self.served.id.0;
            tracing::warn!(partition, error = reason, "no snapshot yet, trying again");
            if tries >= TRIES_BEFORE_REPLAY
                && build.name.is_none()
                && let Ok(Some(marks)) = self.watermarks(&stop).await
                && marks.low == Offset(0)
            {
                tracing::warn!(partition, "the repository stays away, applying the whole log");
                self.discard_download().await;
                let event = Event::NoSnapshot { log_low: marks.low };
                return self.served.step(self.shared.clock.now(), event);
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    /// What was fetched so far is of no use once the folder is made from the log.
    async fn discard_download(&self) {
        let into = self.folders.fresh(self.served.epoch());
        if let Err(error) = self.shared.snapshots.discard_download(&into).await {
            let (partition, error) = (self.served.id.0, error_chain(&error));
            tracing::warn!(partition, error, "what was downloaded stays");
        }
    }

    async fn watermarks(&self, stop: &CancellationToken) -> Result<Option<Watermarks>, LogError> {
        until_answered(&self.served, stop, || self.shared.log.watermarks(self.served.id)).await
    }

    async fn try_once(
        &self,
        build: &BuildRef,
        stop: &CancellationToken,
    ) -> Result<Option<Event>, RecoveryError> {
        let partition = self.served.id;
        let marks = self.watermarks(stop).await.map_err(RecoveryError::Log)?;
        let Some(marks) = marks else { return Ok(None) };
        std::fs::create_dir_all(&self.shared.config.data_dir).map_err(RecoveryError::Folder)?;
        let into = self.folders.fresh(self.served.epoch());
        let began = self.shared.clock.now();
        // A snapshot that holds a record which is to be passed over is of no use.
        let high = self.served.first_skip().map_or(marks.high, |skip| skip.min(marks.high));
        let wanted = wanted(&self.shared, partition, build, Watermarks { high, ..marks });
        let Some(found) = self.restore(wanted, into.clone(), stop).await? else { return Ok(None) };
        self.served.progress.end_download(self.shared.clock.now());
        self.tell_passed_over(&found, marks).await?;
        let Some(manifest) = found.manifest else {
            // It may hold what the log does not.
            if let Some(build) = &build.name {
                return Err(RecoveryError::NoBuild { build: build.clone() });
            }
            self.served.set_build("");
            return Ok(Some(Event::NoSnapshot { log_low: marks.low }));
        };
        if let Err(error) = self.check_log(&manifest, marks).await {
            remove_if_there(&into).map_err(RecoveryError::Folder)?;
            return Err(error);
        }
        let took = self.shared.clock.now().saturating_duration_since(began);
        self.shared.metrics.recovered(Phase::Download, took);
        let draft = &manifest.draft;
        let (offset, epoch) = (draft.next_offset.0, self.served.epoch().0);
        let bytes = manifest.size_bytes();
        tracing::info!(partition = partition.0, epoch, offset, bytes, "snapshot downloaded");
        self.served.set_build(if draft.build == LOG_BUILD { "" } else { &draft.build });
        self.served.note_snapshot(known(&manifest));
        Ok(Some(Event::Downloaded))
    }

    /// Downloads on a thread for files: so a few at a time do, and their hashing holds up no request.
    async fn restore(
        &self,
        wanted: Wanted,
        into: PathBuf,
        stop: &CancellationToken,
    ) -> Result<Option<Found>, RecoveryError> {
        let (snapshots, partition) = (self.shared.snapshots.clone(), self.served.id);
        let (runtime, stop) = (Handle::current(), stop.clone());
        let served = Arc::clone(&self.served);
        let job = move || {
            let progress = |manifest: &Manifest, bytes| {
                served.progress.downloading(manifest.size_bytes(), bytes);
            };
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = stop.cancelled() => None,
                    found = snapshots.restore(partition, &wanted, &into, &progress) => Some(found),
                }
            })
        };
        Ok(self.shared.disk_pool.run(job).await?.transpose()?)
    }

    /// Says which newer snapshots were of no use; one beyond the log's end means that the log lost records, and
    /// nothing may be built on it.
    async fn tell_passed_over(
        &self,
        found: &Found,
        marks: Watermarks,
    ) -> Result<(), RecoveryError> {
        for passed_over in &found.passed_over {
            let name = passed_over.name.to_string();
            if let Unusable::AboveLog { next_offset, .. } = passed_over.reason {
                // It may be newer than what was known of the log.
                let now = self.shared.log.watermarks(self.served.id).await;
                let log_high = now.map_err(RecoveryError::Log)?.high.max(marks.high);
                if next_offset > log_high {
                    return Err(RecoveryError::AboveLog { name, next_offset, log_high });
                }
                continue;
            }
            if let Unusable::OtherBuild { .. } = passed_over.reason {
                continue;
            }
            let (partition, reason) = (self.served.id.0, passed_over.reason.to_string());
            tracing::warn!(partition, snapshot = name, reason, "snapshot not used");
        }
        Ok(())
    }

    /// Whether the snapshot's last record is that of this log, as far as the log still has it.
    async fn check_log(&self, manifest: &Manifest, marks: Watermarks) -> Result<(), RecoveryError> {
        let (next, expected) = (manifest.draft.next_offset, manifest.draft.last_record_fingerprint);
        let (log, partition) = (self.shared.log.as_ref(), self.served.id);
        let found = fingerprint_before(log, partition, next, marks.low).await;
        match (found.map_err(RecoveryError::Log)?, expected) {
            (Some(found), Some(expected)) if found != expected => {
                Err(RecoveryError::OtherLog { name: manifest.name().to_string() })
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// What a snapshot of the partition must be to be of use with the log as it is.
pub(crate) fn wanted(
    shared: &Shared,
    partition: PartitionId,
    build: &BuildRef,
    marks: Watermarks,
) -> Wanted {
    Wanted {
        log_generation: shared.log.identity().generation,
        slots: SlotRange::all_of(&shared.config.map, partition),
        format_version_max: FORMAT_VERSION,
        analyzer_version: build.analyzer_version,
        build: Some(build.name.clone().unwrap_or_else(|| LOG_BUILD.to_owned())),
        log_low: marks.low,
        log_high: marks.high,
        except: BTreeSet::new(),
    }
}

/// What is remembered of a snapshot.
pub(crate) fn known(manifest: &Manifest) -> KnownSnapshot {
    KnownSnapshot {
        next_offset: manifest.draft.next_offset,
        created_unix_ms: manifest.draft.created_unix_ms,
    }
}
