//! Publishing: files first, manifest last.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::manifest::check_file_count;
use super::{
    FILES_MAX, FileName, Manifest, Progress, SnapshotDraft, SnapshotFile, SnapshotName, Snapshots,
    StoredIn, TRANSFERS_MAX, UploadId, corrupt, envelope,
};
use crate::blocking::blocking;
use crate::{ObjectName, ObjectSource, RepositoryError};

impl Snapshots {
    /// Uploads the files of `dir`, a checkpoint nobody writes to, and then the manifest. A file that an
    /// earlier snapshot of the same build and slots holds, in the same length and with the same hash, is
    /// named where it lies instead, except those of the newest: so damage to one object never reaches
    /// two neighbouring snapshots. `progress` counts such a file as moved.
    ///
    /// [`RepositoryError::Exists`] where this snapshot (by build, partition, slots, offset, uploader
    /// and epoch) is published already; nothing is changed then.
    /// [`RepositoryError::Invalid`] where `dir` holds anything but files a snapshot may have, or the
    /// draft is out of bounds. After any other error the snapshot is not published, except that
    /// [`RepositoryError::Unavailable`] may have come after the last step: publishing again tells.
    /// What a failed attempt uploaded is invisible and goes with
    /// [`collect_orphans`](Self::collect_orphans): uploaders need no right to delete.
    pub async fn publish(
        &self,
        draft: SnapshotDraft,
        dir: &Path,
        progress: &Progress<'_>,
    ) -> Result<Manifest, RepositoryError> {
        draft.check(self.cluster_id)?;
        let local = local_files(dir.to_owned()).await?;
        let (folder, name) =
            (self.folder(draft.partition)?, SnapshotName::of(self.cluster_id, &draft));
        let manifest_object = folder.manifest(&name)?;
        // Saves the upload; what decides is the create at the end.
        match self.repository.head(&manifest_object).await {
            Ok(_) => return Err(RepositoryError::Exists { name: manifest_object.to_string() }),
            Err(RepositoryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let (reuse, local) = self.reuse(&draft, local).await?;
        let stored_in = StoredIn { snapshot: name, upload: UploadId::draw()? };
        let sent_bytes = AtomicU64::new(0);
        let observer = |length| {
            let before = sent_bytes.fetch_add(length, Ordering::Relaxed);
            progress(before.saturating_add(length));
        };
        let mut uploads = Vec::with_capacity(local.len());
        for (name, path) in local {
            let object = folder.file(&stored_in, &name)?;
            uploads.push(upload_file(self, object, name, path, &observer));
        }
        let mut files: Vec<SnapshotFile> =
            stream::iter(uploads).buffer_unordered(TRANSFERS_MAX).try_collect().await?;
        for file in &reuse.files {
            observer(file.size_bytes);
        }
        files.extend(reuse.files.iter().cloned());
        files.sort_by(|left, right| left.name.cmp(&right.name));
        let upload = stored_in.upload;
        let manifest = Manifest { cluster_id: self.cluster_id, draft, files, upload };
        // An upload slower than the collector of orphans has lost files by now.
        if let Err(problem) = self.check_files(&manifest).await? {
            return Err(corrupt(folder.upload(&stored_in)?, problem));
        }
        reuse.check_time()?;
        let mut source = ObjectSource::from_bytes(envelope::encode(&manifest)?);
        self.repository.put_new(&manifest_object, &mut source).await?;
        Ok(manifest)
    }
}

async fn upload_file(
    snapshots: &Snapshots,
    object: ObjectName,
    name: FileName,
    path: PathBuf,
    observer: &(dyn Fn(u64) + Send + Sync),
) -> Result<SnapshotFile, RepositoryError> {
    let source = ObjectSource::from_file(&path).await?.observed_by(observer);
    let mut source = source.paced_by(snapshots.pace.as_deref());
    match snapshots.repository.put_new(&object, &mut source).await {
        Ok(()) => {}
        // Not the `Exists` that says a snapshot is published: that is the manifest's.
        Err(error @ RepositoryError::Exists { .. }) => {
            return Err(RepositoryError::unavailable(error));
        }
        Err(error) => return Err(error),
    }
    match source.sha256() {
        Some(sha256) => {
            Ok(SnapshotFile { name, size_bytes: source.size_bytes(), sha256, stored_in: None })
        }
        None => Err(corrupt(object, "it was stored before it was read to its end")),
    }
}

/// The files of a folder, ascending by name.
async fn local_files(dir: PathBuf) -> Result<Vec<(FileName, PathBuf)>, RepositoryError> {
    blocking(move || {
        let list = || -> std::io::Result<Vec<PathBuf>> {
            // One more than allowed is enough to refuse.
            let entries = std::fs::read_dir(&dir)?.take(FILES_MAX.saturating_add(1));
            entries.map(|entry| Ok(entry?.path())).collect()
        };
        let mut files = Vec::new();
        for path in list().map_err(|source| RepositoryError::Local {
            operation: "list",
            path: dir.clone(),
            source,
        })? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.push((FileName::new(name)?, path));
        }
        check_file_count(files.len())?;
        files.sort();
        Ok(files)
    })
    .await?
}
