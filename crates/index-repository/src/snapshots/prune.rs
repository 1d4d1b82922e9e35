//! Removing snapshots that newer ones replaced, and files that belong to none.

use std::collections::BTreeMap;

use nautilus_types::PartitionId;

use super::layout::{PartitionFolder, upload_of};
use super::{SlotRange, SnapshotDraft, SnapshotName, Snapshots, Unusable};
use crate::{ObjectName, RepositoryError};

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Manifests.
    pub manifests: u64,
    /// Files.
    pub files: u64,
}

impl Snapshots {
    /// Removes the snapshots of a partition that are older than the `keep` newest sound ones of
    /// their build and slots; `keep` 0 counts as 1, so the newest always stays. An unsound one goes
    /// once `keep` sound ones are newer, except where its manifest is for newer readers: those know
    /// what it is worth. Manifests go before their files, so what is left after an interruption is
    /// orphans.
    pub async fn prune(
        &self,
        partition: PartitionId,
        keep: usize,
    ) -> Result<Removed, RepositoryError> {
        let keep = keep.max(1);
        let folder = self.folder(partition)?;
        let mut sound_of: BTreeMap<(String, Vec<SlotRange>), usize> = BTreeMap::new();
        let mut sound: usize = 0;
        let mut removed = Removed::default();
        for name in self.names(partition).await? {
            let outcome = match self.read_manifest(partition, &name).await? {
                Ok(manifest) => self.check_files(&manifest).await?.map(|()| manifest),
                Err(reason) => Err(reason),
            };
            let is_replaced = match outcome {
                Ok(manifest) => {
                    let newer = sound_of.entry((manifest.draft.build, manifest.draft.slots));
                    let newer = newer.or_default();
                    let is_replaced = *newer >= keep;
                    *newer = newer.saturating_add(1);
                    sound = sound.saturating_add(1);
                    is_replaced
                }
                Err(Unusable::NewerLayout { .. } | Unusable::Gone) => false,
                Err(_) => sound >= keep,
            };
            if is_replaced {
                self.repository.delete(&folder.manifest(&name)?).await?;
                removed.manifests = removed.manifests.saturating_add(1);
                let files = self.remove_all(&folder.uploads(&name)?).await?;
                removed.files = removed.files.saturating_add(files);
            }
        }
        Ok(removed)
    }

    /// Removes the snapshots of a partition whose content turned out to be wrong, and returns their names. Those whose
    /// manifests cannot be read are of no use to anybody and stay. Manifests go before their files.
    pub async fn withdraw(
        &self,
        partition: PartitionId,
        is_wrong: impl Fn(&SnapshotDraft) -> bool,
    ) -> Result<Vec<SnapshotName>, RepositoryError> {
        let folder = self.folder(partition)?;
        let mut withdrawn = Vec::new();
        for name in self.names(partition).await? {
            let Ok(manifest) = self.read_manifest(partition, &name).await? else { continue };
            if is_wrong(&manifest.draft) {
                self.repository.delete(&folder.manifest(&name)?).await?;
                self.remove_all(&folder.uploads(&name)?).await?;
                withdrawn.push(name);
            }
        }
        Ok(withdrawn)
    }

    /// Removes files that no manifest names, of uploads that got no new file since
    /// `older_than_unix_ms` by the repository's clock; returns how many. Leave much more time than
    /// the upload of one file ever takes, for instance a day: an upload that is still going on
    /// would fail. Files of a manifest that cannot be read stay. Also frees what uploads hold that
    /// never became objects ([`abort_stale_uploads`](crate::IndexRepository::abort_stale_uploads)).
    pub async fn collect_orphans(
        &self,
        partition: PartitionId,
        older_than_unix_ms: u64,
    ) -> Result<u64, RepositoryError> {
        let folder = self.folder(partition)?;
        let files = folder.files()?;
        // Files are listed before manifests are looked at: one published meanwhile is seen.
        let mut latest_of: BTreeMap<(SnapshotName, String), u64> = BTreeMap::new();
        for object in self.repository.list_all(&files).await? {
            let Some((name, upload)) = object.name.beneath(&files).and_then(upload_of) else {
                continue;
            };
            let latest = latest_of.entry((name, upload.to_owned())).or_default();
            *latest = object.stored_unix_ms.max(*latest);
        }
        self.repository.abort_stale_uploads(Some(&files), older_than_unix_ms).await?;
        let mut removed: u64 = 0;
        for ((name, upload), latest) in latest_of {
            if latest < older_than_unix_ms && self.is_orphan(partition, &name, &upload).await? {
                let count = self.remove_all(&upload_folder(&folder, &name, &upload)?).await?;
                removed = removed.saturating_add(count);
            }
        }
        Ok(removed)
    }

    async fn is_orphan(
        &self,
        partition: PartitionId,
        name: &SnapshotName,
        upload: &str,
    ) -> Result<bool, RepositoryError> {
        Ok(match self.read_manifest(partition, name).await? {
            Ok(manifest) => manifest.upload.to_string() != upload,
            Err(Unusable::Gone) => true,
            Err(_) => false,
        })
    }

    async fn remove_all(&self, folder: &ObjectName) -> Result<u64, RepositoryError> {
        let mut removed: u64 = 0;
        for object in self.repository.list_all(folder).await? {
            self.repository.delete(&object.name).await?;
            removed = removed.saturating_add(1);
        }
        Ok(removed)
    }
}

fn upload_folder(
    folder: &PartitionFolder,
    name: &SnapshotName,
    upload: &str,
) -> Result<ObjectName, RepositoryError> {
    folder.uploads(name)?.join(upload)
}
