//! Downloading: every file checked while it is written, all of them there or none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use nautilus_types::PartitionId;

use super::{
    Found, Manifest, PassedOver, Progress, SnapshotFile, Snapshots, TRANSFERS_MAX, Unusable,
    Wanted, corrupt, layout,
};
use crate::blocking::{blocking, sync_folder};
use crate::source::finish;
use crate::{ObjectName, RepositoryError};

/// Bytes per read: few round trips to an object store, 16 MiB of memory for all transfers.
const RANGE_BYTES: usize = 4 * 1024 * 1024;

impl Snapshots {
    /// Downloads a snapshot's files into the folder `into`, which must be empty or not exist, in a
    /// folder that exists. They are written and synced in `<into>.downloading` beside it, which is
    /// moved to its place when all are complete: `into` is the snapshot, or as it was. A
    /// `<into>.downloading` from before is removed.
    ///
    /// [`RepositoryError::Corrupt`] names the first file found missing, or not in the length and
    /// with the hash the manifest says; [`RepositoryError::NotFound`] one that was deleted
    /// meanwhile. After an error, or when the future is dropped, nothing is left behind.
    pub async fn download(
        &self,
        manifest: &Manifest,
        into: &Path,
        progress: &Progress<'_>,
    ) -> Result<(), RepositoryError> {
        let folder = self.folder(manifest.draft.partition)?;
        let folder = folder.upload(&manifest.name(), manifest.upload)?;
        let target = Target::prepare(into.to_owned()).await?;
        if let Err(problem) = self.check_files(manifest).await? {
            return Err(corrupt(folder.join(problem.file().unwrap_or("manifest"))?, problem));
        }
        let received_bytes = AtomicU64::new(0);
        let observer = |length| {
            let before = received_bytes.fetch_add(length, Ordering::Relaxed);
            progress(before.saturating_add(length));
        };
        let downloads = manifest.files.iter().map(|file| {
            let path = target.partial.join(file.name.as_str());
            download_file(self, &folder, file, path, &observer)
        });
        stream::iter(downloads).buffer_unordered(TRANSFERS_MAX).try_collect::<()>().await?;
        target.complete().await
    }

    /// Downloads the newest snapshot that is sound in every byte: [`newest`](Self::newest) and
    /// [`download`](Self::download), and where the download finds damage, the next older one, which
    /// begins `progress` again. Without a snapshot of use, `into` stays as it was.
    pub async fn restore(
        &self,
        partition: PartitionId,
        wanted: &Wanted,
        into: &Path,
        progress: &Progress<'_>,
    ) -> Result<Found, RepositoryError> {
        let mut wanted = wanted.clone();
        let mut damaged = Vec::new();
        loop {
            let mut found = self.newest(partition, &wanted).await?;
            let outcome = match &found.manifest {
                Some(manifest) => self.download(manifest, into, progress).await,
                None => Ok(()),
            };
            let reason = match outcome {
                Ok(()) => {
                    found.passed_over.append(&mut damaged);
                    found.passed_over.sort_by(|left, right| right.name.cmp(&left.name));
                    return Ok(found);
                }
                Err(RepositoryError::Corrupt { name, problem }) => {
                    let file = name.rsplit('/').next().unwrap_or_default().to_owned();
                    Unusable::DamagedFile { file, problem }
                }
                Err(RepositoryError::NotFound { .. }) => Unusable::Gone,
                Err(error) => return Err(error),
            };
            if let Some(manifest) = found.manifest {
                let name = manifest.name();
                wanted.except.insert(name.clone());
                damaged.push(PassedOver { name, reason });
            }
        }
    }
}

async fn download_file(
    snapshots: &Snapshots,
    folder: &ObjectName,
    file: &SnapshotFile,
    path: PathBuf,
    observer: &(dyn Fn(u64) + Send + Sync),
) -> Result<(), RepositoryError> {
    let object = layout::file(folder, &file.name)?;
    let unwritten =
        |source| RepositoryError::Local { operation: "write", path: path.clone(), source };
    let created = path.clone();
    let mut writing = blocking(move || Writing::create(&created)).await?.map_err(unwritten)?;
    let mut received_bytes: u64 = 0;
    while received_bytes < file.size_bytes {
        let rest = usize::try_from(file.size_bytes.saturating_sub(received_bytes));
        let length = rest.unwrap_or(usize::MAX).min(RANGE_BYTES);
        let bytes = snapshots.repository.get_range(&object, received_bytes, length).await?;
        if bytes.len() != length {
            return Err(corrupt(object, "it ends before its end"));
        }
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        received_bytes = received_bytes.saturating_add(length);
        writing = blocking(move || writing.append(&bytes)).await?.map_err(unwritten)?;
        observer(length);
    }
    if blocking(move || writing.finish()).await?.map_err(unwritten)? != file.sha256 {
        return Err(corrupt(object, "its hash is not the manifest's"));
    }
    Ok(())
}

/// A file that is hashed while it is written.
struct Writing {
    file: File,
    hashing: digest::Context,
}

impl Writing {
    fn create(path: &Path) -> io::Result<Self> {
        let hashing = digest::Context::new(&digest::SHA256);
        Ok(Self { file: File::create_new(path)?, hashing })
    }

    fn append(mut self, bytes: &[u8]) -> io::Result<Self> {
        self.hashing.update(bytes);
        self.file.write_all(bytes)?;
        Ok(self)
    }

    fn finish(self) -> io::Result<crate::Sha256> {
        self.file.sync_all()?;
        Ok(finish(self.hashing))
    }
}

/// The folder being filled; it goes when this is dropped before it is complete.
struct Target {
    into: PathBuf,
    partial: PathBuf,
}

impl Target {
    async fn prepare(into: PathBuf) -> Result<Self, RepositoryError> {
        blocking(move || {
            let refused = |problem: &str| RepositoryError::Invalid {
                what: "folder for a snapshot",
                problem: format!("{} {problem}", into.display()),
            };
            let Some(name) = into.file_name() else { return Err(refused("has no name")) };
            match fs::read_dir(&into).map(|mut entries| entries.next().is_some()) {
                Ok(true) => return Err(refused("is not empty")),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(unwritten(&into, error));
                }
                Ok(false) | Err(_) => {}
            }
            let mut partial_name = name.to_owned();
            partial_name.push(".downloading");
            let partial = into.with_file_name(partial_name);
            match fs::remove_dir_all(&partial) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(unwritten(&partial, error));
                }
                Ok(()) | Err(_) => {}
            }
            fs::create_dir(&partial).map_err(|error| unwritten(&partial, error))?;
            Ok(Self { into, partial })
        })
        .await?
    }

    /// Moves the folder to its place: over an empty one, never over a full one.
    async fn complete(self) -> Result<(), RepositoryError> {
        blocking(move || {
            let moved = sync_folder(&self.partial)
                .and_then(|()| fs::rename(&self.partial, &self.into))
                .and_then(|()| self.into.parent().map_or(Ok(()), sync_folder));
            moved.map_err(|error| unwritten(&self.into, error))
        })
        .await?
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Already moved in the good case. In the bad one the next download removes what stays.
        drop(fs::remove_dir_all(&self.partial));
    }
}

fn unwritten(path: &Path, source: io::Error) -> RepositoryError {
    RepositoryError::Local { operation: "write", path: path.to_owned(), source }
}
