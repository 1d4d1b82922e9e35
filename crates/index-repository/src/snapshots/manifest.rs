//! What a snapshot is: the record that names and checks its files, and its protobuf form.

use std::collections::BTreeSet;

use nautilus_proto::snapshot::v1 as proto;
use nautilus_types::{Epoch, LogGeneration, Offset, PartitionId, SLOT_COUNT, Slot};

use super::stored::{self, StoredIn, Uploads};
use super::{FileName, SlotRange, SnapshotName, UploadId};
use crate::{OBJECT_BYTES_MAX, RepositoryError, Sha256};

/// The newest version of the manifest's fields, and the newest this reader may use. What needs nothing of
/// it is written as version 1.
pub const MANIFEST_VERSION: u32 = 2;
/// Most files of a snapshot.
pub const FILES_MAX: usize = 10_000;
/// The build of partitions that were fed from the log alone.
pub const LOG_BUILD: &str = "log";
/// Longest name of a build, in bytes.
pub const BUILD_BYTES_MAX: usize = 128;
/// Longest name of an uploader, in bytes.
pub const UPLOADER_BYTES_MAX: usize = 256;
/// Longest digest, in bytes.
pub const DIGEST_BYTES_MAX: usize = 64;

/// What a snapshot is of: everything its manifest says but the cluster, which [`super::Snapshots`]
/// knows, and the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotDraft {
    /// The log the offset belongs to.
    pub log_generation: LogGeneration,
    /// Which partition.
    pub partition: PartitionId,
    /// The slots held: at least one range, ascending, apart.
    pub slots: Vec<SlotRange>,
    /// The map by which these are the partition's slots.
    pub map_version: u64,
    /// The build this descends from: 1 to [`BUILD_BYTES_MAX`] bytes.
    pub build: String,
    /// The uploader's assignment.
    pub epoch: Epoch,
    /// Who uploads: 1 to [`UPLOADER_BYTES_MAX`] bytes.
    pub uploader: String,
    /// When it was made, in milliseconds since the Unix epoch; for people.
    pub created_unix_ms: u64,
    /// Every record below is in the files, none at or above.
    pub next_offset: Offset,
    /// xxh3-128 of the payload of the record before `next_offset`, big endian; none at offset 0.
    pub last_record_fingerprint: Option<[u8; 16]>,
    /// Of the partition's rows.
    pub format_version: u32,
    /// Of the partition's tokens.
    pub analyzer_version: u32,
    /// How many documents there are.
    pub documents: u64,
    /// Order-independent digest of the documents: up to [`DIGEST_BYTES_MAX`] bytes.
    pub document_digest: Vec<u8>,
    /// Order-independent digest of the postings: up to [`DIGEST_BYTES_MAX`] bytes.
    pub posting_digest: Vec<u8>,
}

/// A file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Its name in the partition's folder.
    pub name: FileName,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Of its content.
    pub sha256: Sha256,
    /// The earlier upload it lies with; none = with this one.
    pub stored_in: Option<StoredIn>,
}

/// The record that names and checks one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The cluster it belongs to.
    pub cluster_id: [u8; 16],
    /// What it is of.
    pub draft: SnapshotDraft,
    /// Its files, ascending by name: 1 to [`FILES_MAX`].
    pub files: Vec<SnapshotFile>,
    /// Under which those of its files are stored that no earlier upload has.
    pub upload: UploadId,
}

impl Manifest {
    /// The snapshot's name.
    #[must_use]
    pub fn name(&self) -> SnapshotName {
        SnapshotName::of(self.cluster_id, &self.draft)
    }

    /// The length of all files together, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }

    /// The length of those files together that were uploaded with it, in bytes.
    #[must_use]
    pub fn uploaded_bytes(&self) -> u64 {
        let own = self.files.iter().filter(|file| file.stored_in.is_none());
        own.fold(0, |sum, file| sum.saturating_add(file.size_bytes))
    }

    /// Its own upload.
    pub(super) fn own(&self) -> StoredIn {
        StoredIn { snapshot: self.name(), upload: self.upload }
    }

    /// The protobuf form; bounds are checked on the way back too.
    pub(super) fn to_proto(&self) -> Result<proto::Manifest, RepositoryError> {
        let draft = &self.draft;
        let (files, uploads) = stored::to_proto(&self.files);
        let version = if uploads.is_empty() { 1 } else { 2 };
        let manifest = proto::Manifest {
            manifest_version: version,
            min_reader_version: version,
            cluster_id: self.cluster_id.to_vec(),
            log_generation: draft.log_generation.0,
            partition: draft.partition.0,
            slots: draft.slots.iter().map(slots_to_proto).collect(),
            map_version: draft.map_version,
            build: draft.build.clone(),
            epoch: draft.epoch.0,
            uploader: draft.uploader.clone(),
            created_unix_ms: i64::try_from(draft.created_unix_ms)
                .map_err(|_| invalid("its time is beyond all calendars"))?,
            next_offset: draft.next_offset.0,
            last_record_fingerprint: draft
                .last_record_fingerprint
                .map(|fingerprint| fingerprint.to_vec())
                .unwrap_or_default(),
            format_version: draft.format_version,
            analyzer_version: draft.analyzer_version,
            documents: draft.documents,
            document_digest: draft.document_digest.clone(),
            posting_digest: draft.posting_digest.clone(),
            files,
            uploads,
        };
        Self::from_proto(manifest.clone(), self.upload)?;
        Ok(manifest)
    }

    /// [`RepositoryError::Invalid`] where anything is out of bounds. Versions are the caller's.
    pub(super) fn from_proto(
        manifest: proto::Manifest,
        upload: UploadId,
    ) -> Result<Self, RepositoryError> {
        let fingerprint = manifest.last_record_fingerprint;
        let draft = SnapshotDraft {
            log_generation: LogGeneration(manifest.log_generation),
            partition: PartitionId(manifest.partition),
            slots: slots_from_proto(&manifest.slots)?,
            map_version: manifest.map_version,
            build: text("build", manifest.build, BUILD_BYTES_MAX)?,
            epoch: Epoch(manifest.epoch),
            uploader: text("uploader", manifest.uploader, UPLOADER_BYTES_MAX)?,
            created_unix_ms: u64::try_from(manifest.created_unix_ms)
                .map_err(|_| invalid("its time is before 1970"))?,
            next_offset: Offset(manifest.next_offset),
            last_record_fingerprint: match fingerprint.len() {
                0 => None,
                _ => Some(exactly("fingerprint", &fingerprint)?),
            },
            format_version: manifest.format_version,
            analyzer_version: manifest.analyzer_version,
            documents: manifest.documents,
            document_digest: digest(manifest.document_digest)?,
            posting_digest: digest(manifest.posting_digest)?,
        };
        let cluster_id = exactly("cluster id", &manifest.cluster_id)?;
        if manifest.min_reader_version < 2 && !manifest.uploads.is_empty() {
            return Err(invalid("it names uploads, which its readers may not know"));
        }
        let mut uploads = Uploads::from_proto(manifest.uploads)?;
        let files = files_from_proto(manifest.files, &mut uploads)?;
        let manifest = Self { cluster_id, draft, files, upload };
        uploads.finish(&manifest.own())?;
        Ok(manifest)
    }
}

impl SnapshotDraft {
    /// Checks all bounds, so that a draft is refused before its files are moved.
    pub(super) fn check(&self, cluster_id: [u8; 16]) -> Result<(), RepositoryError> {
        let name = FileName::new("CURRENT")?;
        let files = vec![SnapshotFile { name, size_bytes: 0, sha256: [0; 32], stored_in: None }];
        let manifest =
            Manifest { cluster_id, draft: self.clone(), files, upload: UploadId([0; 16]) };
        manifest.to_proto().map(|_| ())
    }
}

fn slots_to_proto(slots: &SlotRange) -> proto::SlotRange {
    proto::SlotRange { first: slots.first.0.into(), last: slots.last.0.into() }
}

fn slots_from_proto(slots: &[proto::SlotRange]) -> Result<Vec<SlotRange>, RepositoryError> {
    if slots.is_empty() {
        return Err(invalid("it holds no slots"));
    }
    let mut next = 0;
    let mut ranges = Vec::new();
    for &proto::SlotRange { first, last } in slots {
        let (Ok(first), Ok(last)) = (u16::try_from(first), u16::try_from(last)) else {
            return Err(invalid("a slot is beyond the last one"));
        };
        if first < next || last < first || last >= SLOT_COUNT {
            return Err(invalid("its slots are not ascending ranges"));
        }
        next = last + 1;
        ranges.push(SlotRange { first: Slot(first), last: Slot(last) });
    }
    Ok(ranges)
}

fn files_from_proto(
    files: Vec<proto::SnapshotFile>,
    uploads: &mut Uploads,
) -> Result<Vec<SnapshotFile>, RepositoryError> {
    check_file_count(files.len())?;
    let mut seen = BTreeSet::new();
    let mut checked = Vec::with_capacity(files.len());
    for file in files {
        let sha256 = exactly("SHA-256", &file.sha256)?;
        let stored_in = uploads.of(file.stored_in)?;
        let (name, size_bytes) = (FileName::new(file.name)?, file.size_bytes);
        if size_bytes > OBJECT_BYTES_MAX {
            return Err(invalid(format!("file {name} is of {size_bytes} bytes, too many")));
        }
        if !seen.insert(name.clone()) {
            return Err(invalid(format!("file {name} is in it twice")));
        }
        checked.push(SnapshotFile { name, size_bytes, sha256, stored_in });
    }
    checked.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(checked)
}

pub(super) fn check_file_count(files: usize) -> Result<(), RepositoryError> {
    match files {
        0 => Err(invalid("it has no files")),
        1..=FILES_MAX => Ok(()),
        _ => Err(invalid(format!("it has {files} files, at most {FILES_MAX} are allowed"))),
    }
}

fn text(what: &str, text: String, bytes_max: usize) -> Result<String, RepositoryError> {
    match text.len() {
        0 => Err(invalid(format!("its {what} is empty"))),
        length if length > bytes_max => Err(invalid(format!("its {what} is too long"))),
        _ => Ok(text),
    }
}

fn digest(digest: Vec<u8>) -> Result<Vec<u8>, RepositoryError> {
    if digest.len() > DIGEST_BYTES_MAX {
        return Err(invalid("a digest is too long"));
    }
    Ok(digest)
}

pub(super) fn exactly<const LENGTH: usize>(
    what: &str,
    bytes: &[u8],
) -> Result<[u8; LENGTH], RepositoryError> {
    bytes.try_into().map_err(|_| invalid(format!("its {what} is not of {LENGTH} bytes")))
}

pub(super) fn invalid(problem: impl Into<String>) -> RepositoryError {
    RepositoryError::Invalid { what: "snapshot", problem: problem.into() }
}
