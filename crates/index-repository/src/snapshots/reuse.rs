//! Finding out which local files the repository holds already.
//!
//! What is decided here holds for [`REUSE_TIME_MAX`]: whoever removes a snapshot marks it first, and its files
//! stay for a day after that (`retire.rs`). A base that bears no mark when it is chosen keeps its files at
//! least that long, so the manifest that names them must be created before. `docs/formats/snapshot.md` has the argument.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::stored::UPLOADS_MAX;
use super::{FileName, SnapshotDraft, SnapshotFile, Snapshots, StoredIn, TRANSFERS_MAX};
use crate::{ObjectSource, RepositoryError, Sha256};

/// Snapshots that are looked through, the newest included, whose files are not used again.
const BASES_MAX: usize = 4;
/// Manifests that are read to find them.
const MANIFESTS_MAX: usize = 16;
/// How long after choosing its bases a publisher may create its manifest: a quarter of [`super::GRACE`], so that clocks, a slow collector and a slow request have the rest.
pub(super) const REUSE_TIME_MAX: Duration = Duration::from_secs(6 * 3_600);

/// Files that are named where they lie.
pub(super) struct Reuse {
    pub(super) files: Vec<SnapshotFile>,
    chosen_at: Instant,
}

/// Objects of the same name and length, by their hashes.
type Held = BTreeMap<(FileName, u64), Vec<(Sha256, StoredIn)>>;

impl Snapshots {
    /// Parts the local files of a snapshot into those there are and those to upload.
    pub(super) async fn reuse(
        &self,
        draft: &SnapshotDraft,
        local: Vec<(FileName, PathBuf)>,
    ) -> Result<(Reuse, Vec<(FileName, PathBuf)>), RepositoryError> {
        let chosen_at = Instant::now();
        let held = self.held(draft).await?;
        if held.is_empty() {
            return Ok((Reuse { files: Vec::new(), chosen_at }, local));
        }
        let looks = local.into_iter().map(|(name, path)| look(&held, name, path));
        let looked: Vec<_> = stream::iter(looks).buffered(TRANSFERS_MAX).try_collect().await?;
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        let uploads = worthwhile(looked.iter().filter_map(|(_, _, file)| file.as_ref()));
        for (name, path, file) in looked {
            match file {
                Some(file) if file.stored_in.as_ref().is_some_and(|s| uploads.contains(s)) => {
                    files.push(file);
                }
                _ => missing.push((name, path)),
            }
        }
        Ok((Reuse { files, chosen_at }, missing))
    }

    /// What the newest snapshots of the build and slots hold, without what the very newest names.
    async fn held(&self, draft: &SnapshotDraft) -> Result<Held, RepositoryError> {
        let mut bases = Vec::new();
        for name in self.names(draft.partition).await?.into_iter().take(MANIFESTS_MAX) {
            // One that is damaged or for newer readers is no base.
            if let Ok(manifest) = self.read_manifest(draft.partition, &name).await?
                && manifest.draft.build == draft.build
                && manifest.draft.slots == draft.slots
            {
                bases.push(manifest);
                if bases.len() == BASES_MAX {
                    break;
                }
            }
        }
        let Some((newest, older)) = bases.split_first() else { return Ok(Held::new()) };
        if older.is_empty() {
            return Ok(Held::new());
        }
        let folder = self.folder(draft.partition)?;
        let of_newest: BTreeSet<_> =
            folder.objects(newest)?.into_iter().map(|(object, _)| object).collect();
        // Marks after manifests: one that is not there now was not there when its manifest was.
        let marks = self.marks(draft.partition).await?;
        let retired: BTreeSet<_> = marks.into_iter().map(|(name, _)| name).collect();
        let mut held = Held::new();
        for base in older.iter().filter(|base| !retired.contains(&base.name())) {
            // One that lost files would have every snapshot after it lose them.
            if self.check_files(base).await?.is_err() {
                continue;
            }
            let own = base.own();
            for (object, file) in folder.objects(base)? {
                if !of_newest.contains(&object) {
                    let stored = file.stored_in.unwrap_or_else(|| own.clone());
                    let of_size = held.entry((file.name, file.size_bytes)).or_default();
                    of_size.push((file.sha256, stored));
                }
            }
        }
        Ok(held)
    }
}

impl Reuse {
    /// Whether what was decided still holds.
    pub(super) fn check_time(&self) -> Result<(), RepositoryError> {
        if !self.files.is_empty() && self.chosen_at.elapsed() > REUSE_TIME_MAX {
            let reason = "publishing took so long that files it uses again may be gone";
            return Err(RepositoryError::unavailable(reason));
        }
        Ok(())
    }
}

/// A local file, and where its bytes lie already. It is read only where one of its length does.
async fn look(
    held: &Held,
    name: FileName,
    path: PathBuf,
) -> Result<(FileName, PathBuf, Option<SnapshotFile>), RepositoryError> {
    let mut source = ObjectSource::from_file(&path).await?;
    let size_bytes = source.size_bytes();
    let key = (name, size_bytes);
    let candidates = held.get(&key);
    let name = key.0;
    let Some(candidates) = candidates else { return Ok((name, path, None)) };
    while source.next_chunk().await?.is_some() {}
    let found = candidates.iter().find(|(sha256, _)| source.sha256() == Some(*sha256));
    let file = found.map(|(sha256, stored)| SnapshotFile {
        name: name.clone(),
        size_bytes,
        sha256: *sha256,
        stored_in: Some(stored.clone()),
    });
    Ok((name, path, file))
}

/// The uploads that save most; what lies with others is uploaded again.
fn worthwhile<'a>(files: impl Iterator<Item = &'a SnapshotFile>) -> BTreeSet<StoredIn> {
    let mut bytes_of: BTreeMap<&StoredIn, u64> = BTreeMap::new();
    for file in files {
        if let Some(stored) = &file.stored_in {
            let bytes = bytes_of.entry(stored).or_default();
            *bytes = bytes.saturating_add(file.size_bytes);
        }
    }
    let mut uploads: Vec<_> = bytes_of.into_iter().collect();
    uploads.sort_by_key(|(stored, bytes)| (Reverse(*bytes), *stored));
    uploads.into_iter().take(UPLOADS_MAX).map(|(stored, _)| stored.clone()).collect()
}
