//! Finding the newest snapshot that is sound and fits, and saying why the others do not.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use nautilus_types::{LogGeneration, Offset, PartitionId};

use super::{FileName, Manifest, SlotRange, SnapshotName, Snapshots, TRANSFERS_MAX, envelope};
use crate::{ObjectMeta, ObjectName, RepositoryError};

/// What a snapshot must be to be of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The log that is replayed after it.
    pub log_generation: LogGeneration,
    /// The slots the partition holds.
    pub slots: Vec<SlotRange>,
    /// The newest format this engine reads.
    pub format_version_max: u32,
    /// The analyzer's version.
    pub analyzer_version: u32,
    /// The build it descends from; none = whichever.
    pub build: Option<String>,
    /// The first offset the log still has.
    pub log_low: Offset,
    /// The offset the log's next record will get.
    pub log_high: Offset,
    /// Snapshots that are known to be of no use.
    pub except: BTreeSet<SnapshotName>,
}

/// Why a snapshot is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its manifest is not what was written.
    #[error("its manifest cannot be read: {problem}")]
    Unreadable {
        /// What is wrong.
        problem: String,
    },
    /// Its manifest is for newer readers.
    #[error("its manifest needs a reader of version {found}, this one is of version {supported}")]
    NewerLayout {
        /// The version it needs.
        found: u32,
        /// The version there is.
        supported: u32,
    },
    /// Its manifest says that it is another snapshot, of this or another partition or cluster.
    #[error("its manifest is that of another snapshot, {found}")]
    Misplaced {
        /// The name by what it says.
        found: SnapshotName,
    },
    /// A file is not in the repository.
    #[error("its file {file} is missing")]
    MissingFile {
        /// Which.
        file: FileName,
    },
    /// A file has another length or another content than its manifest says.
    #[error("its file {file} is damaged: {problem}")]
    DamagedFile {
        /// Which.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// It was deleted while it was looked at.
    #[error("it was just deleted")]
    Gone,
    /// Its offset belongs to another log.
    #[error("it is of log generation {found}")]
    OtherGeneration {
        /// Its generation.
        found: LogGeneration,
    },
    /// It holds other slots.
    #[error("it holds other slots, those of map version {map_version}")]
    OtherSlots {
        /// The map by which it was made.
        map_version: u64,
    },
    /// Its rows are of a newer format.
    #[error("it is of format version {found}")]
    NewerFormat {
        /// Its version.
        found: u32,
    },
    /// Its tokens are of another analyzer.
    #[error("it is of analyzer version {found}")]
    OtherAnalyzer {
        /// Its version.
        found: u32,
    },
    /// It descends from another build.
    #[error("it is of build {found}")]
    OtherBuild {
        /// Its build.
        found: String,
    },
    /// The log no longer has the records after it.
    #[error("it ends at offset {next_offset}, the log begins at {log_low}")]
    BelowLog {
        /// Where it ends.
        next_offset: Offset,
        /// Where the log begins.
        log_low: Offset,
    },
    /// The log does not reach to it: records were lost, or the log is not the one it was made from.
    #[error("it ends at offset {next_offset}, the log at {log_high}")]
    AboveLog {
        /// Where it ends.
        next_offset: Offset,
        /// Where the log ends.
        log_high: Offset,
    },
}

impl Unusable {
    /// The file that is at fault, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::MissingFile { file } => Some(file.as_str()),
            Self::DamagedFile { file, .. } => Some(file),
            Self::Unreadable { .. }
            | Self::NewerLayout { .. }
            | Self::Misplaced { .. }
            | Self::Gone
            | Self::OtherGeneration { .. }
            | Self::OtherSlots { .. }
            | Self::NewerFormat { .. }
            | Self::OtherAnalyzer { .. }
            | Self::OtherBuild { .. }
            | Self::BelowLog { .. }
            | Self::AboveLog { .. } => None,
        }
    }
}

/// A snapshot that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Which.
    pub name: SnapshotName,
    /// Why.
    pub reason: Unusable,
}

/// The newest snapshot of use, if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// By offset the highest that is sound and fits.
    pub manifest: Option<Manifest>,
    /// Those that were tried and not used, newest first: all newer ones, all there are where there
    /// is no manifest.
    pub passed_over: Vec<PassedOver>,
}

impl Wanted {
    /// Why a sound snapshot does not fit.
    fn objection(&self, manifest: &Manifest) -> Option<Unusable> {
        let draft = &manifest.draft;
        let (next_offset, log_low, log_high) = (draft.next_offset, self.log_low, self.log_high);
        Some(if draft.log_generation != self.log_generation {
            Unusable::OtherGeneration { found: draft.log_generation }
        } else if draft.slots != self.slots {
            Unusable::OtherSlots { map_version: draft.map_version }
        } else if draft.format_version > self.format_version_max {
            Unusable::NewerFormat { found: draft.format_version }
        } else if next_offset > log_high {
            // Whichever build it is of: the log lost records.
            Unusable::AboveLog { next_offset, log_high }
        } else if self.build.as_ref().is_some_and(|build| *build != draft.build) {
            Unusable::OtherBuild { found: draft.build.clone() }
        } else if draft.analyzer_version != self.analyzer_version {
            Unusable::OtherAnalyzer { found: draft.analyzer_version }
        } else if next_offset < log_low {
            Unusable::BelowLog { next_offset, log_low }
        } else {
            return None;
        })
    }
}

impl Snapshots {
    /// The newest snapshot of a partition whose manifest is sound, whose files are there in their
    /// lengths, and that is as `wanted`. Contents of files are checked by
    /// [`download`](Self::download) only; [`restore`](Self::restore) does both. An error says that the
    /// repository could not be asked, not that there is no snapshot.
    pub async fn newest(
        &self,
        partition: PartitionId,
        wanted: &Wanted,
    ) -> Result<Found, RepositoryError> {
        let mut found = Found::default();
        for name in self.names(partition).await? {
            if wanted.except.contains(&name) {
                continue;
            }
            let outcome = match self.read_manifest(partition, &name).await? {
                Ok(manifest) => match wanted.objection(&manifest) {
                    None => self.check_files(&manifest).await?.map(|()| manifest),
                    Some(objection) => Err(objection),
                },
                Err(reason) => Err(reason),
            };
            match outcome {
                Ok(manifest) => {
                    found.manifest = Some(manifest);
                    break;
                }
                Err(reason) => found.passed_over.push(PassedOver { name, reason }),
            }
        }
        Ok(found)
    }

    /// A manifest that is what its name says.
    pub(super) async fn read_manifest(
        &self,
        partition: PartitionId,
        name: &SnapshotName,
    ) -> Result<Result<Manifest, Unusable>, RepositoryError> {
        let object = self.folder(partition)?.manifest(name)?;
        let bytes = match self.repository.get(&object, envelope::ENVELOPE_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(RepositoryError::NotFound { .. }) => return Ok(Err(Unusable::Gone)),
            Err(error @ (RepositoryError::TooLarge { .. } | RepositoryError::Corrupt { .. })) => {
                return Ok(Err(Unusable::Unreadable { problem: error.to_string() }));
            }
            Err(error) => return Err(error),
        };
        Ok(envelope::decode(&bytes).and_then(|manifest| {
            let found = manifest.name();
            let is_at_home = manifest.cluster_id == self.cluster_id
                && manifest.draft.partition == partition
                && found == *name;
            if is_at_home { Ok(manifest) } else { Err(Unusable::Misplaced { found }) }
        }))
    }

    /// Whether all files are there in their lengths.
    pub(super) async fn check_files(
        &self,
        manifest: &Manifest,
    ) -> Result<Result<(), Unusable>, RepositoryError> {
        let folder = self.folder(manifest.draft.partition)?;
        let own = manifest.own();
        let uploads: BTreeSet<_> =
            manifest.files.iter().map(|file| file.stored_in.as_ref().unwrap_or(&own)).collect();
        let folders: Result<Vec<_>, _> =
            uploads.into_iter().map(|upload| folder.upload(upload)).collect();
        let listings = folders?.into_iter().map(|folder| self.list_folder(folder));
        let mut listings = stream::iter(listings).buffered(TRANSFERS_MAX);
        let mut sizes = BTreeMap::new();
        while let Some(listed) = listings.try_next().await? {
            sizes.extend(listed.into_iter().map(|object| (object.name, object.size_bytes)));
        }
        for (object, file) in folder.objects(manifest)? {
            match sizes.get(&object) {
                None => return Ok(Err(Unusable::MissingFile { file: file.name })),
                Some(size_bytes) if *size_bytes != file.size_bytes => {
                    let problem = format!("{size_bytes} bytes instead of {}", file.size_bytes);
                    let file = file.name.to_string();
                    return Ok(Err(Unusable::DamagedFile { file, problem }));
                }
                Some(_) => {}
            }
        }
        Ok(Ok(()))
    }

    async fn list_folder(&self, folder: ObjectName) -> Result<Vec<ObjectMeta>, RepositoryError> {
        self.repository.list_all(&folder).await
    }
}
