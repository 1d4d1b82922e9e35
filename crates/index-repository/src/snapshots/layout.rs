//! Where snapshots are in a repository, and the names that are never used twice.

use std::fmt;

use nautilus_types::PartitionId;

use super::manifest::SnapshotDraft;
use super::{FileName, Manifest, SnapshotFile, Snapshots, StoredIn};
use crate::source::sha256;
use crate::{ObjectMeta, ObjectName, ObjectSource, RepositoryError};

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

    /// A text of that form, as a manifest names earlier snapshots.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let is_number =
            |part: &str| part.len() == 20 && part.bytes().all(|byte| byte.is_ascii_digit());
        let has_numbers = parts.by_ref().take(3).filter(|part| is_number(part)).count() == 3;
        let is_hash = parts.next().is_some_and(|hash| {
            hash.len() == 32 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        });
        (has_numbers && is_hash && parts.next().is_none()).then(|| Self(name.to_owned()))
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

    /// Marks of the snapshots that are removed.
    pub(super) fn retired(&self) -> Result<ObjectName, RepositoryError> {
        self.0.join("retired")
    }

    /// One mark of one snapshot: of each attempt to remove it another.
    pub(super) fn mark(
        &self,
        name: &SnapshotName,
        attempt: UploadId,
    ) -> Result<ObjectName, RepositoryError> {
        self.0.join(&format!("retired/{name}/{attempt}"))
    }

    /// Files of one upload.
    pub(super) fn upload(&self, stored: &StoredIn) -> Result<ObjectName, RepositoryError> {
        let StoredIn { snapshot, upload } = stored;
        self.0.join(&format!("files/{snapshot}/{upload}"))
    }

    /// One file of an upload.
    pub(super) fn file(
        &self,
        stored: &StoredIn,
        name: &FileName,
    ) -> Result<ObjectName, RepositoryError> {
        let StoredIn { snapshot, upload } = stored;
        self.0.join(&format!("files/{snapshot}/{upload}/{name}"))
    }

    /// Where each file of a manifest lies.
    pub(super) fn objects(
        &self,
        manifest: &Manifest,
    ) -> Result<Vec<(ObjectName, SnapshotFile)>, RepositoryError> {
        let own = manifest.own();
        let of = |file: &SnapshotFile| {
            let object = self.file(file.stored_in.as_ref().unwrap_or(&own), &file.name)?;
            Ok((object, file.clone()))
        };
        manifest.files.iter().map(of).collect()
    }
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
        Ok(self.manifest_objects(partition).await?.into_iter().map(|(name, _)| name).collect())
    }

    /// All manifests of a partition, the newest first.
    pub(super) async fn manifest_objects(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(SnapshotName, ObjectMeta)>, RepositoryError> {
        let folder = self.folder(partition)?.manifests()?;
        let listed = self.repository.list_all(&folder).await?;
        let named = listed.into_iter().rev().filter_map(|object| {
            let name = object.name.beneath(&folder)?.to_owned();
            // A manifest is right beneath the folder; what is deeper is none of ours.
            if name.contains('/') { None } else { Some((SnapshotName(name), object)) }
        });
        Ok(named.collect())
    }

    /// The marks of snapshots that are removed.
    pub(super) async fn marks(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<(SnapshotName, ObjectMeta)>, RepositoryError> {
        let folder = self.folder(partition)?.retired()?;
        let listed = self.repository.list_all(&folder).await?;
        let named = listed.into_iter().filter_map(|object| {
            let (name, _) = object.name.beneath(&folder)?.split_once('/')?;
            Some((SnapshotName(name.to_owned()), object))
        });
        Ok(named.collect())
    }

    /// What time it is in the repository, by whose clock ages are: an object is stored, looked at and removed.
    pub async fn repository_unix_ms(&self) -> Result<u64, RepositoryError> {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        let name = ObjectName::new(format!("{cluster_id:032x}/clock/{}", UploadId::draw()?))?;
        let mut source = ObjectSource::from_bytes(bytes::Bytes::new());
        self.repository.put_new(&name, &mut source).await?;
        let stored = self.repository.head(&name).await;
        self.repository.delete(&name).await?;
        Ok(stored?.stored_unix_ms)
    }

    /// The partitions of this cluster of which there is anything, ascending.
    pub async fn partitions(&self) -> Result<Vec<PartitionId>, RepositoryError> {
        let cluster_id = u128::from_be_bytes(self.cluster_id);
        let cluster = ObjectName::new(format!("{cluster_id:032x}"))?;
        let mut partitions = Vec::new();
        let mut after = None;
        loop {
            let page = self.repository.list(Some(&cluster), after.as_ref(), 1).await?;
            let Some(object) = page.objects.first() else { return Ok(partitions) };
            let folder = object.name.beneath(&cluster).unwrap_or_default();
            let folder = folder.split('/').next().unwrap_or_default();
            match folder.parse() {
                Ok(partition) if folder.len() == 10 => partitions.push(PartitionId(partition)),
                // None of ours.
                _ => {}
            }
            // Above every name of that folder that is ours, below the next partition.
            after = Some(object.name.clone().max(cluster.join(&format!("{folder}/zzz"))?));
        }
    }
}

/// `<snapshot>` and `<upload>` of a file beneath the files' folder.
pub(super) fn upload_of(beneath_files: &str) -> Option<(&str, &str)> {
    let (snapshot, rest) = beneath_files.split_once('/')?;
    let (upload, _) = rest.split_once('/')?;
    Some((snapshot, upload))
}

fn length(length: usize) -> u64 {
    // No length in memory is beyond 64 bits.
    u64::try_from(length).unwrap_or(u64::MAX)
}
