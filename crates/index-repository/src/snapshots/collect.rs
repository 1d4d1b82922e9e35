//! Removing files that no snapshot names.

use std::collections::BTreeMap;

use nautilus_types::PartitionId;

use super::layout::upload_of;
use super::retire::GRACE;
use super::{Manifest, SnapshotName, Snapshots, Unusable, envelope};
use crate::{ObjectMeta, ObjectName, RepositoryError};

/// What is, or would be, collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Files.
    pub files: u64,
    /// Their length together.
    pub bytes: u64,
}

/// What may go: files first, then the marks that kept them.
struct Orphans {
    files: BTreeMap<ObjectName, ObjectMeta>,
    marks: Vec<ObjectName>,
}

impl Snapshots {
    /// Removes files that no manifest names, nor one that was removed since `older_than_unix_ms` by the
    /// repository's clock, of uploads that got no new file since then; returns how many. Leave
    /// [`GRACE`]: an upload that is still going on would fail, and a publisher that is
    /// about to use a file again would find it gone. Where a manifest cannot be read, all files that it may name stay.
    /// Also frees what uploads hold that never became objects
    /// ([`abort_stale_uploads`](crate::IndexRepository::abort_stale_uploads)).
    pub async fn collect_orphans(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        Ok(self.collect(partition, older_than_unix_ms).await?.files)
    }

    /// As [`collect_orphans`](Self::collect_orphans), also saying how many bytes.
    pub async fn collect(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<Collected, RepositoryError> {
        let orphans = self.orphans(partition, older_than_unix_ms).await?;
        let files = self.folder(partition)?.files()?;
        self.repository.abort_stale_uploads(Some(&files), older_than_unix_ms).await?;
        for object in orphans.files.keys().chain(&orphans.marks) {
            self.repository.delete(object).await?;
        }
        Ok(orphans.collected())
    }

    /// What [`collect`](Self::collect) would remove now.
    pub async fn collectable(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<Collected, RepositoryError> {
        Ok(self.orphans(partition, older_than_unix_ms).await?.collected())
    }

    /// Files are listed before manifests: one published meanwhile is seen. Manifests are listed before marks: one
    /// removed meanwhile is seen as its mark.
    async fn orphans(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<Orphans, RepositoryError> {
        let mut orphans = Orphans {
            files: self.settled_files(partition, older_than_unix_ms).await?,
            marks: Vec::new(),
        };
        for (name, object) in self.manifest_objects(partition).await? {
            match self.read_manifest(partition, &name).await? {
                Ok(manifest) => self.keep_named(&mut orphans, &manifest)?,
                // Its mark is there, if anything may still name its files.
                Err(Unusable::Gone) => {}
                Err(_) => self.keep_all_of(&mut orphans, partition, &name, &object)?,
            }
        }
        for (name, object) in self.marks(partition).await? {
            if object.stored_unix_ms < older_than_unix_ms {
                orphans.marks.push(object.name);
                continue;
            }
            let bytes = match self.repository.get(&object.name, envelope::ENVELOPE_BYTES_MAX).await
            {
                Ok(bytes) => envelope::decode(&bytes).ok(),
                // Another collector thinks it old enough.
                Err(RepositoryError::NotFound { .. }) => continue,
                Err(RepositoryError::TooLarge { .. } | RepositoryError::Corrupt { .. }) => None,
                Err(error) => return Err(error),
            };
            match bytes {
                Some(manifest) if manifest.draft.partition == partition => {
                    self.keep_named(&mut orphans, &manifest)?;
                }
                _ => self.keep_all_of(&mut orphans, partition, &name, &object)?,
            }
        }
        Ok(orphans)
    }

    /// The files of uploads that got no new one for long.
    async fn settled_files(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<BTreeMap<ObjectName, ObjectMeta>, RepositoryError> {
        let folder = self.folder(partition)?.files()?;
        let listed = self.repository.list_all(&folder).await?;
        let mut latest_of: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for object in &listed {
            if let Some(upload) = object.name.beneath(&folder).and_then(upload_of) {
                let latest = latest_of.entry(upload).or_default();
                *latest = object.stored_unix_ms.max(*latest);
            }
        }
        let is_settled = |object: &&ObjectMeta| {
            let upload = object.name.beneath(&folder).and_then(upload_of);
            let latest = upload.and_then(|upload| latest_of.get(&upload));
            latest.is_some_and(|latest| *latest < older_than_unix_ms)
        };
        let settled = listed.iter().filter(is_settled);
        Ok(settled.map(|object| (object.name.clone(), object.clone())).collect())
    }

    fn keep_named(
        &self,
        orphans: &mut Orphans,
        manifest: &Manifest,
    ) -> Result<(), RepositoryError> {
        for (object, _) in self.folder(manifest.draft.partition)?.objects(manifest)? {
            orphans.files.remove(&object);
        }
        Ok(())
    }

    /// A manifest that cannot be read names files that were there before it, or are of its own uploads. Clocks
    /// of a repository are trusted to the day.
    fn keep_all_of(
        &self,
        orphans: &mut Orphans,
        partition: PartitionId,
        name: &SnapshotName,
        unread: &ObjectMeta,
    ) -> Result<(), RepositoryError> {
        let slack_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        let until_unix_ms = unread.stored_unix_ms.saturating_add(slack_ms);
        let own = self.folder(partition)?.files()?.join(name.as_str())?;
        orphans.files.retain(|object, meta| {
            meta.stored_unix_ms > until_unix_ms && object.beneath(&own).is_none()
        });
        Ok(())
    }
}

impl Orphans {
    fn collected(&self) -> Collected {
        let add = |sum: Collected, object: &ObjectMeta| Collected {
            files: sum.files.saturating_add(1),
            bytes: sum.bytes.saturating_add(object.size_bytes),
        };
        self.files.values().fold(Collected::default(), add)
    }
}
