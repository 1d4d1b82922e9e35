//! Makes a partition anew up to one offset, apart from the one that serves, and says what it holds.
//!
//! ```text
//! snapshot at or below the last agreement, or nothing ─► log up to the offset ─► digests
//! ```

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nautilus_analysis::Analyzer;
use nautilus_engine::{Depth, Digests, EngineError, Partition, SkippedRecord};
use nautilus_index_repository::RepositoryError;
use nautilus_mutation_log::{LogError, Record, Watermarks};
use nautilus_registry::layout::BuildRef;
use nautilus_service::{CancellationToken, PoolError};
use nautilus_types::Offset;
use tokio::runtime::Handle;

use crate::applier::{Applier, ApplyError, FlushRule, Turned};
use crate::builds::{UnknownAnalyzer, analyzer_of};
use crate::convert::attributes_of;
use crate::feed::{READ_BYTES, until_answered};
use crate::folders::{Folders, remove_if_there};
use crate::metrics::LeafMetrics;
use crate::partition::Served;
use crate::pulse::Pulses;
use crate::record::Decoder;
use crate::recovery::wanted;
use crate::scrubber::share;
use crate::shared::Shared;

/// After each turn, so that remaking takes a part of a core and of the disk and searches keep the rest.
const PAUSE: Duration = Duration::from_millis(20);

/// What is to be made.
pub(crate) struct Remake {
    pub(crate) shared: Arc<Shared>,
    pub(crate) served: Arc<Served>,
    /// Snapshots up to here can be built on.
    pub(crate) agreed: Offset,
    /// Every record below it counts.
    pub(crate) until: Offset,
    /// What the serving one passed over by decision.
    pub(crate) skipped: Vec<SkippedRecord>,
}

/// Why it was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RemakeError {
    #[error("use the leaf's folder")]
    Folder(#[source] std::io::Error),
    #[error("download a snapshot")]
    Repository(#[from] RepositoryError),
    #[error("make the partition anew")]
    Pool(#[from] PoolError),
    #[error("make the partition anew")]
    Engine(#[from] EngineError),
    #[error("make the partition anew")]
    Apply(#[from] ApplyError),
    #[error("make the partition anew")]
    Analyzer(#[from] UnknownAnalyzer),
    #[error("read the log")]
    Log(#[from] LogError),
    #[error(
        "no snapshot up to offset {agreed} is left and the log begins at offset {log_low}: there is nothing to build on"
    )]
    NothingToBuildOn { agreed: Offset, log_low: Offset },
    #[error("the log has no record between offset {from} and {until}")]
    Missing { from: Offset, until: Offset },
    #[error("the record at offset {offset} fails: {reason}")]
    Poison { offset: Offset, reason: String },
}

impl Remake {
    /// Makes it in the folder for that, which stays; `None` to stop, also where the partition no longer serves.
    pub(crate) async fn run(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<Digests>, RemakeError> {
        let folders = Folders::new(&self.shared.config.data_dir, self.served.id);
        let dir = folders.remade();
        let old = dir.clone();
        let removed = self.shared.digest_pool.run(move || remove_if_there(&old)).await?;
        removed.map_err(RemakeError::Folder)?;
        let ask = || self.shared.log.watermarks(self.served.id);
        let Some(marks) = until_answered(&self.served, stop, ask).await? else { return Ok(None) };
        // Closed since: there is nothing to compare with.
        let build = self.served.database().map(|database| self.served.build_ref(&database));
        let Some(build) = build else { return Ok(None) };
        let analyzer = analyzer_of(&build)?;
        self.build_on(&dir, &build, marks, stop).await?;
        let applier = self.open(&dir, analyzer, marks).await?;
        applier.0.set_build(build.label())?;
        let Some((database, applier)) = self.replay(applier, stop).await? else { return Ok(None) };
        let digests = self.digest(database, applier, stop).await?;
        Ok(digests)
    }

    /// The newest snapshot that both groups held, where there is one. Downloaded on the pool: hashing holds up no request.
    async fn build_on(
        &self,
        dir: &Path,
        build: &BuildRef,
        marks: Watermarks,
        stop: &CancellationToken,
    ) -> Result<(), RemakeError> {
        if self.agreed == Offset(0) {
            return Ok(());
        }
        let wanted =
            wanted(&self.shared, self.served.id, build, Watermarks { high: self.agreed, ..marks });
        let (snapshots, partition) = (self.shared.snapshots.clone(), self.served.id);
        let (runtime, dir, stop) = (Handle::current(), dir.to_owned(), stop.clone());
        let job = move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    // The folder is removed when the leaf starts again.
                    () = stop.cancelled() => Ok(()),
                    found = snapshots.restore(partition, &wanted, &dir, &|_, _| {}) => {
                        found.map(|_| ())
                    }
                }
            })
        };
        Ok(self.shared.digest_pool.run(job).await??)
    }

    async fn open(
        &self,
        dir: &Path,
        analyzer: Analyzer,
        marks: Watermarks,
    ) -> Result<(Partition, Applier), RemakeError> {
        let (dir, resources) = (PathBuf::from(dir), self.shared.resources.clone());
        let identity = self.shared.identity(self.served.id);
        let open =
            move || Partition::open_with(&dir, &identity, analyzer, &resources, attributes_of);
        let (database, writer) = self.shared.digest_pool.run(open).await??;
        if writer.next_offset() < marks.low {
            let (agreed, log_low) = (self.agreed, marks.low);
            return Err(RemakeError::NothingToBuildOn { agreed, log_low });
        }
        // Nobody sees its state, and what it applies counts as nobody's.
        let apart = Served::new(self.served.id, Duration::ZERO, Pulses::new());
        for record in &self.skipped {
            apart.note_skip(record.offset, &record.reason);
        }
        let config = &self.shared.config;
        let applier = Applier::new(
            Arc::new(apart),
            writer,
            Decoder {
                log: self.shared.log.identity().clone(),
                map: config.map,
                partition: self.served.id,
            },
            self.shared.clock.clone(),
            FlushRule { interval: config.flush_interval, records: config.flush_records },
            LeafMetrics::new("", "").partition(self.served.id),
        );
        Ok((database, applier))
    }

    async fn replay(
        &self,
        (database, mut applier): (Partition, Applier),
        stop: &CancellationToken,
    ) -> Result<Option<(Partition, Applier)>, RemakeError> {
        while applier.next_offset() < self.until {
            let from = applier.next_offset();
            let read = || self.shared.log.read(self.served.id, from, READ_BYTES);
            let Some(records) = until_answered(&self.served, stop, read).await? else {
                return Ok(None);
            };
            let below = |record: &Record| record.offset < self.until;
            let mut records: VecDeque<Record> = records.into_iter().filter(below).collect();
            if records.is_empty() {
                return Err(RemakeError::Missing { from, until: self.until });
            }
            while !records.is_empty() {
                if stop.is_cancelled() || !self.goes_on() {
                    return Ok(None);
                }
                let stop_turn = stop.clone();
                let turn = move || {
                    let turned = applier.turn(&mut records, &stop_turn)?;
                    Ok::<_, ApplyError>((applier, records, turned))
                };
                let turned;
                (applier, records, turned) = self.shared.digest_pool.run(turn).await??;
                match turned {
                    Turned::Ended | Turned::AtPoint => {}
                    Turned::Stuck(poison) => {
                        let (offset, reason) = (poison.offset, poison.reason);
                        return Err(RemakeError::Poison { offset, reason });
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(Some((database, applier)))
    }

    /// Puts all on disk, reads it, and closes it.
    async fn digest(
        &self,
        database: Partition,
        mut applier: Applier,
        stop: &CancellationToken,
    ) -> Result<Option<Digests>, RemakeError> {
        let (served, stop) = (Arc::clone(&self.served), stop.clone());
        let bytes_per_second = self.shared.config.scrub_bytes_per_second;
        let job = move || {
            applier.flush()?;
            let read = database.searcher().digests(Depth::Read, &mut |bytes| {
                std::thread::sleep(share(bytes, bytes_per_second));
                !stop.is_cancelled() && served.state().answers()
            })?;
            Ok::<_, RemakeError>(read)
        };
        self.shared.digest_pool.run(job).await?
    }

    fn goes_on(&self) -> bool {
        self.served.state().answers()
    }
}
