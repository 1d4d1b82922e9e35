//! Where snapshots are in a repository, and the names that are never used twice.

use std::fmt;

use nautilus_types::PartitionId;

use super::manifest::SnapshotDraft;
use super::{FileName, Snapshots};
use crate::source::sha256;
use crate::{ObjectName, RepositoryError};

/// Begins what is hashed into a snapshot's name.
const NAME_MAGIC: &[u8] = b"nautilus-snapshot-name-1";

/// Name of a snapshot: `<log generation>-<next offset>-<epoch>-<hash>`, numbers of 20 digits, so
/// that later ones sort higher. The hash is over everything that tells two snapshots apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SnapshotName(String);

impl SnapshotName {
    /// The one name of what `draft` describes: of its cluster, log generation, partition, slots,
    /// map version, build, epoch, uploader and offset, and of nothing else.
    pub(super) fn of(cluster_id: [u8; 16], draft: &SnapshotDraft) -> Self {
        let SnapshotDraft { log_generation, partition, next_offset, epoch, .. } = draft;
        let mut identity = Vec::from(NAME_MAGIC);
        identity.extend_from_slice(&cluster_id);
        let mut number = |number: u64| identity.extend_from_slice(&number.to_be_bytes());
        number(log_generation.0);
        number(u64::from(partition.0));
        number(next_offset.0);
        number(epoch.0);
        number(draft.map_version);
        number(length(draft.slots.len()));
        for slots in &draft.slots {
            number(u64::from(slots.first.0));
            number(u64::from(slots.last.0));
        }
        for text in [&draft.build, &draft.uploader] {
            identity.extend_from_slice(&length(text.len()).to_be_bytes());
            identity.extend_from_slice(text.as_bytes());
        }
        let hash: String =
            sha256(&identity).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{:020}-{:020}-{:020}-{hash}", log_generation.0, next_offset.0, epoch.0))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Drawn at random for every attempt to publish, so that the files of two never meet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub [u8; 16]);

impl UploadId {
    pub(super) fn draw() -> Result<Self, RepositoryError> {
        let mut id = [0; 16];
        match aws_lc_rs::rand::fill(&mut id) {
            Ok(()) => Ok(Self(id)),
            Err(_) => Err(RepositoryError::unavailable("no randomness for an upload id")),
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where the objects of one partition are.
#[derive(Debug)]
pub(super) struct PartitionFolder(ObjectName);

impl PartitionFolder {
    pub(super) fn manifests(&self) -> Result<ObjectName, RepositoryError> {
        self.0.join("manifests")
    }

    pub(super) fn manifest(&self, name: &SnapshotName) -> Result<ObjectName, RepositoryError> {
        self.0.join(&format!("manifests/{name}"))
    }

    /// Files of every upload of every snapshot.
    pub(super) fn files(&self) -> Result<ObjectName, RepositoryError> {
        self.0.join("files")
    }

    /// Files of every upload of one snapshot.
    pub(super) fn uploads(&self, name: &SnapshotName) -> Result<ObjectName, RepositoryError> {
        self.0.join(&format!("files/{name}"))
    }

    /// Files of one upload.
    pub(super) fn upload(
        &self,
        name: &SnapshotName,
        upload: UploadId,
    ) -> Result<ObjectName, RepositoryError> {
        self.0.join(&format!("files/{name}/{upload}"))
    }
}

/// One file of an upload.
pub(super) fn file(upload: &ObjectName, name: &FileName) -> Result<ObjectName, RepositoryError> {
    upload.join(name.as_str())
}

impl Snapshots {
    pub(super) fn folder(
        &self,
        partition: PartitionId,
    ) -> Result<PartitionFolder, RepositoryError> {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        ObjectName::new(format!("{cluster_id:032x}/{:010}", partition.0)).map(PartitionFolder)
    }

    /// The names of all manifests of a partition, the newest first.
    pub(super) async fn names(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<SnapshotName>, RepositoryError> {
        let folder = self.folder(partition)?.manifests()?;
        let listed = self.repository.list_all(&folder).await?;
        let names = listed.iter().rev().filter_map(|object| object.name.beneath(&folder));
        // A manifest is right beneath the folder; what is deeper is none of ours.
        Ok(names
            .filter(|name| !name.contains('/'))
            .map(|name| SnapshotName(name.to_owned()))
            .collect())
    }
}

/// `<snapshot>/<upload>` of a file beneath the files' folder.
pub(super) fn upload_of(beneath_files: &str) -> Option<(SnapshotName, &str)> {
    let (snapshot, rest) = beneath_files.split_once('/')?;
    let (upload, _) = rest.split_once('/')?;
    Some((SnapshotName(snapshot.to_owned()), upload))
}

fn length(length: usize) -> u64 {
    // No length in memory is beyond 64 bits.
    u64::try_from(length).unwrap_or(u64::MAX)
}
