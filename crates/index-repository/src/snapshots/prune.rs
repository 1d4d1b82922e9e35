//! Removing snapshots that newer ones replaced.

use std::collections::BTreeMap;

use nautilus_types::PartitionId;

use super::retire::GRACE;
use super::{SlotRange, SnapshotDraft, SnapshotName, Snapshots, Unusable};
use crate::RepositoryError;

/// What was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Removed {
    /// Manifests.
    pub manifests: u64,
    /// Files that nothing has named for a day.
    pub files: u64,
}

/// Which snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// So many of each build and slots, the newest sound ones; 0 counts as 1.
    pub keep: usize,
    /// And those stored since, by the repository's clock; none = only so many.
    pub since_unix_ms: Option<u64>,
}

impl Snapshots {
    /// Removes the snapshots of a partition that are older than the `keep` newest sound ones of
    /// their build and slots; `keep` 0 counts as 1, so the newest always stays. An unsound one goes
    /// once `keep` sound ones are newer, except where its manifest is for newer readers: those know
    /// what it is worth. Their files stay for [`GRACE`], which other snapshots may be about to name; those
    /// whose time is over are collected now and then on this occasion.
    pub async fn prune(
        &self,
        partition: PartitionId,
        keep: usize,
    ) -> Result<Removed, RepositoryError> {
        let retention = Retention { keep, since_unix_ms: None };
        let retired = self.retire_replaced(partition, &retention).await?;
        let manifests = u64::try_from(retired.len()).unwrap_or(u64::MAX);
        let mut removed = Removed { manifests, files: 0 };
        if manifests == 0 {
            return Ok(removed);
        }
        // The marks that were just stored say what time it is in the repository.
        let stored = self.marks(partition).await?.into_iter().map(|(_, mark)| mark.stored_unix_ms);
        let (oldest, now) =
            stored.fold((u64::MAX, 0), |(oldest, now), at| (at.min(oldest), at.max(now)));
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        // Not at every snapshot: each time reads every manifest and mark there is.
        if now.saturating_sub(oldest) > grace.saturating_add(grace / 4) {
            removed.files = self.collect_orphans(partition, now.saturating_sub(grace)).await?;
        }
        Ok(removed)
    }

    /// Removes the manifests of what is not retained, and returns their names. Their files stay until
    /// [`collect`](Self::collect).
    pub async fn retire_replaced(
        &self,
        partition: PartitionId,
        retention: &Retention,
    ) -> Result<Vec<SnapshotName>, RepositoryError> {
        let replaced = self.replaced(partition, retention).await?;
        for name in &replaced {
            self.retire(partition, name).await?;
        }
        Ok(replaced)
    }

    /// The snapshots of a partition that are not retained, the newest first.
    pub async fn replaced(
        &self,
        partition: PartitionId,
        retention: &Retention,
    ) -> Result<Vec<SnapshotName>, RepositoryError> {
        let keep = retention.keep.max(1);
        let mut sound_of: BTreeMap<(String, Vec<SlotRange>), usize> = BTreeMap::new();
        let mut sound: usize = 0;
        let mut all_replaced = Vec::new();
        for (name, object) in self.manifest_objects(partition).await? {
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
            let is_recent =
                retention.since_unix_ms.is_some_and(|since| object.stored_unix_ms >= since);
            if is_replaced && !is_recent {
                all_replaced.push(name);
            }
        }
        Ok(all_replaced)
    }

    /// Removes the snapshots of a partition whose content turned out to be wrong, and returns their names. Those whose
    /// manifests cannot be read are of no use to anybody and stay. Their files stay until they are collected: a
    /// file is what its hash says, and others may name it.
    pub async fn withdraw(
        &self,
        partition: PartitionId,
        is_wrong: impl Fn(&SnapshotDraft) -> bool,
    ) -> Result<Vec<SnapshotName>, RepositoryError> {
        let mut withdrawn = Vec::new();
        for name in self.names(partition).await? {
            let Ok(manifest) = self.read_manifest(partition, &name).await? else { continue };
            if is_wrong(&manifest.draft) {
                self.retire(partition, &name).await?;
                withdrawn.push(name);
            }
        }
        Ok(withdrawn)
    }
}
