//! A build of another analyzer, made of the documents that the snapshots of an older build hold.
//!
//! ```text
//! newest sound snapshot of the source ─► its folder, read through ─► rebuilt with the wanted analyzer
//!        ─► read through again: the same documents, postings as their texts say ─► published at the same offset
//! ```
//!
//! Nobody is asked but the repository, and the log for its range: the leaves notice nothing. Whoever starts from the
//! new snapshots applies the log from their offsets on, as from any other. A partition that is there already is passed
//! over, so a build that was interrupted goes on where it was, and many machines may share one without knowing of each
//! other: the same partition made twice is published once.

mod error;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nautilus_analysis::Analyzer;
use nautilus_engine::{
    Attributes, Checkpoint, Depth, Digests, FORMAT_VERSION, Partition, PartitionIdentity, Resources,
};
use nautilus_index_repository::{
    LOG_BUILD, Manifest, RepositoryError, SlotRange, SnapshotDraft, Snapshots, Unusable, Wanted,
};
use nautilus_mutation_log::{MutationLog, Watermarks};
use nautilus_service::worker_pool::PoolSettings;
use nautilus_service::{Clock, WorkerPool};
use nautilus_types::{Epoch, Offset, PartitionId, PartitionMap};

pub use error::RebuildError;

/// Who uploads, as manifests say.
pub(crate) const UPLOADER: &str = "indexbuilder";
/// Of the one partition that is open at a time. Its rows are read once, in order.
const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// Larger ones make fewer files to compact.
const WRITE_BUFFERS_BYTES: usize = 128 << 20;

/// What is made of what.
#[derive(Debug, Clone)]
pub struct RebuildSettings {
    /// The new build.
    pub build: String,
    /// The build whose documents are taken; [`LOG_BUILD`] for what leaves publish who were fed from the log.
    pub source: String,
    /// Of the new build.
    pub analyzer_version: u32,
    /// Which partition holds what.
    pub map: PartitionMap,
    /// For one partition at a time; removed after each.
    pub folder: PathBuf,
}

/// What a build stands on.
#[derive(Clone)]
pub struct RebuildParts {
    /// Where snapshots come from and go to.
    pub snapshots: Snapshots,
    /// Whose records follow them.
    pub log: Arc<dyn MutationLog>,
    /// For the time in manifests.
    pub clock: Clock,
}

/// What became of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rebuilt {
    /// It was published.
    Published(Box<Manifest>),
    /// The build has it already.
    There(Box<Manifest>),
}

/// Makes partitions of a build, one after the other.
pub struct Rebuild {
    settings: RebuildSettings,
    analyzer: Analyzer,
    parts: RebuildParts,
    pool: WorkerPool,
    /// Attributes in stored metadata of formats that kept none.
    attributes_of: fn(&[u8]) -> Attributes,
}

impl Rebuild {
    /// `attributes_of` as for [`Partition::open`].
    pub fn new(
        settings: RebuildSettings,
        parts: RebuildParts,
        attributes_of: fn(&[u8]) -> Attributes,
    ) -> Result<Self, RebuildError> {
        if settings.build == LOG_BUILD {
            return Err(RebuildError::Name);
        }
        let version = settings.analyzer_version;
        let analyzer = Analyzer::of(version).ok_or(RebuildError::NoAnalyzer { version })?;
        let pool =
            WorkerPool::new(PoolSettings::new("rebuild", 1)).map_err(RebuildError::Thread)?;
        Ok(Self { settings, analyzer, parts, pool, attributes_of })
    }

    /// Makes one partition. `progress` learns the bytes downloaded and those of the whole snapshot.
    pub async fn partition(
        &self,
        partition: PartitionId,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Rebuilt, RebuildError> {
        let RebuildSettings { build, source, analyzer_version, folder, .. } = &self.settings;
        let snapshots = &self.parts.snapshots;
        let marks = self.parts.log.watermarks(partition).await?;
        let wanted = self.wanted(partition, marks, build, *analyzer_version);
        if let Some(there) = snapshots.newest(partition, &wanted).await?.manifest {
            return Ok(Rebuilt::There(Box::new(there)));
        }
        let dir = folder.join(format!("p{:04}", partition.0));
        let from = match self.source(partition, marks, &dir, progress).await? {
            Some(manifest) => manifest.draft,
            // Nobody publishes a partition that nothing was written to.
            None if marks.high == Offset(0) => self.empty(partition),
            None => {
                return Err(RebuildError::NoSource { partition, source_build: source.clone() });
            }
        };
        let made = self.make(partition, dir.clone()).await?;
        if made.checkpoint.next_offset != from.next_offset {
            return Err(RebuildError::Differs { partition, what: "offset" });
        }
        let draft = SnapshotDraft {
            build: build.clone(),
            uploader: UPLOADER.to_owned(),
            created_unix_ms: self.parts.clock.unix_ms(),
            format_version: FORMAT_VERSION,
            analyzer_version: *analyzer_version,
            documents: made.checkpoint.documents,
            document_digest: made.digests.documents.to_bytes().to_vec(),
            posting_digest: made.digests.postings.to_bytes().to_vec(),
            ..from
        };
        let published = snapshots.publish(draft, &made.dir, &|_| {}).await;
        remove(&made.dir)?;
        match published {
            Ok(manifest) => Ok(Rebuilt::Published(Box::new(manifest))),
            // Somebody who shares the build was faster.
            Err(RepositoryError::Exists { name }) => {
                let there = snapshots.newest(partition, &wanted).await?.manifest;
                let there = there.ok_or(RepositoryError::Exists { name })?;
                Ok(Rebuilt::There(Box::new(there)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A partition before its first record.
    fn empty(&self, partition: PartitionId) -> SnapshotDraft {
        SnapshotDraft {
            log_generation: self.parts.log.identity().generation,
            partition,
            slots: SlotRange::all_of(&self.settings.map, partition),
            map_version: self.settings.map.version,
            build: String::new(),
            // Of no assignment.
            epoch: Epoch(0),
            uploader: String::new(),
            created_unix_ms: 0,
            next_offset: Offset(0),
            last_record_fingerprint: None,
            format_version: FORMAT_VERSION,
            analyzer_version: self.settings.analyzer_version,
            documents: 0,
            document_digest: Vec::new(),
            posting_digest: Vec::new(),
        }
    }

    fn wanted(
        &self,
        partition: PartitionId,
        marks: Watermarks,
        build: &str,
        analyzer_version: u32,
    ) -> Wanted {
        Wanted {
            log_generation: self.parts.log.identity().generation,
            slots: SlotRange::all_of(&self.settings.map, partition),
            format_version_max: FORMAT_VERSION,
            analyzer_version,
            build: Some(build.to_owned()),
            log_low: marks.low,
            log_high: marks.high,
            except: BTreeSet::new(),
        }
    }

    /// Downloads the newest snapshot of the source that is sound, whichever analyzer it has.
    async fn source(
        &self,
        partition: PartitionId,
        marks: Watermarks,
        dir: &Path,
        progress: &(dyn Fn(u64, u64) + Send + Sync),
    ) -> Result<Option<Manifest>, RebuildError> {
        let snapshots = &self.parts.snapshots;
        remove(dir)?;
        std::fs::create_dir_all(&self.settings.folder).map_err(RebuildError::folder(dir))?;
        let mut analyzers = Vec::new();
        for manifest in snapshots.manifests(partition).await? {
            let draft = manifest.draft;
            if draft.build == self.settings.source && !analyzers.contains(&draft.analyzer_version) {
                analyzers.push(draft.analyzer_version);
            }
        }
        for analyzer in analyzers {
            let wanted = self.wanted(partition, marks, &self.settings.source, analyzer);
            let told = |manifest: &Manifest, bytes| progress(bytes, manifest.size_bytes());
            let found = snapshots.restore(partition, &wanted, dir, &told).await?;
            for passed_over in found.passed_over {
                let (name, reason) = (passed_over.name, passed_over.reason);
                tracing::debug!(partition = partition.0, %name, %reason, "snapshot not used");
            }
            if found.manifest.is_some() {
                return Ok(found.manifest);
            }
        }
        Ok(None)
    }

    /// Rebuilds the folder, and holds what comes of it against what it was.
    async fn make(&self, partition: PartitionId, dir: PathBuf) -> Result<Made, RebuildError> {
        let log = self.parts.log.identity();
        let (cluster_id, log_generation) = (log.cluster_id, log.generation);
        let identity = PartitionIdentity { cluster_id, log_generation, partition };
        let (analyzer, build) = (self.analyzer, self.settings.build.clone());
        let attributes_of = self.attributes_of;
        let job = move || {
            let resources = Resources::new(BLOCK_CACHE_BYTES, WRITE_BUFFERS_BYTES);
            let (source, writer) = Partition::open(&dir, &identity, &resources, attributes_of)?;
            let before = digests(&source, Depth::Read)?;
            drop((source, writer));
            let (made, writer) =
                Partition::open_with(&dir, &identity, analyzer, &resources, attributes_of)?;
            made.compact()?;
            // Derived again from the texts: what was written is what they say.
            let after = digests(&made, Depth::Derive)?;
            for (is_same, what) in [
                (before.documents == after.documents, "documents"),
                (before.document_count == after.document_count, "number of documents"),
                (before.next_offset == after.next_offset, "offset"),
            ] {
                if !is_same {
                    return Err(RebuildError::Differs { partition, what });
                }
            }
            made.set_build(&build)?;
            let checkpoint_dir = dir.with_extension("checkpoint");
            remove(&checkpoint_dir)?;
            let checkpoint = made.checkpoint(&checkpoint_dir)?;
            drop((made, writer));
            remove(&dir)?;
            Ok(Made { dir: checkpoint_dir, checkpoint, digests: after })
        };
        self.pool.run(job).await?
    }
}

/// A partition that is ready to be published.
struct Made {
    dir: PathBuf,
    checkpoint: Checkpoint,
    digests: Digests,
}

fn digests(partition: &Partition, depth: Depth) -> Result<Digests, RebuildError> {
    let read = partition.searcher().digests(depth, &mut |_| true)?;
    read.ok_or(RebuildError::Interrupted)
}

fn remove(dir: &Path) -> Result<(), RebuildError> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RebuildError::folder(dir)(error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Where a build stands in one partition: its newest sound snapshot that the log goes on from, or why there is none.
pub async fn newest_of(
    parts: &RebuildParts,
    map: &PartitionMap,
    partition: PartitionId,
    (build, analyzer_version): (&str, u32),
) -> Result<Result<(Manifest, Offset), String>, RebuildError> {
    let marks = parts.log.watermarks(partition).await?;
    let wanted = Wanted {
        log_generation: parts.log.identity().generation,
        slots: SlotRange::all_of(map, partition),
        format_version_max: FORMAT_VERSION,
        analyzer_version,
        build: Some(build.to_owned()),
        log_low: marks.low,
        log_high: marks.high,
        except: BTreeSet::new(),
    };
    let found = parts.snapshots.newest(partition, &wanted).await?;
    let sound = found.manifest.map(|manifest| (manifest, marks.high));
    // The newest of the build itself says most.
    let of_build = found.passed_over.into_iter().map(|it| it.reason);
    let mut reasons = of_build.filter(|reason| !matches!(reason, Unusable::OtherBuild { .. }));
    let why = || {
        let newest = reasons.next().map(|reason| reason.to_string());
        newest.unwrap_or_else(|| "it has no snapshot".to_owned())
    };
    Ok(sound.ok_or_else(why))
}
