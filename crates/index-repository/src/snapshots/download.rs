//! Downloading: every file checked while it is written, all of them there or none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aws_lc_rs::digest;
use futures::{StreamExt as _, stream};
use nautilus_types::PartitionId;
use tempfile::TempDir;

use super::{
    Found, Manifest, PassedOver, Progress, SnapshotFile, Snapshots, TRANSFERS_MAX, Unusable,
    Wanted, corrupt, layout,
};
use crate::blocking::{blocking, sync_folder};
use crate::source::finish;
use crate::{ObjectName, RepositoryError};

/// Bytes per read: few round trips to an object store, 16 MiB of memory for all transfers.
const RANGE_BYTES: usize = 4 * 1024 * 1024;

/// How often the folder for partial ones is made again after a dropped download took it away: each
/// of those does so at most once.
const HOLDER_ATTEMPTS_MAX: u32 = 100;

impl Snapshots {
    /// Downloads a snapshot's files into the folder `into`, which must be empty or not exist, in a
    /// folder that exists. They are written and synced in a folder in `<into>.downloading`, which is
    /// moved to its place when all are complete: `into` is the snapshot, or as it was. One download
    /// at a time per `into`: it removes what an earlier one left beside it when it was killed.
    ///
    /// [`RepositoryError::Corrupt`] names the first file found missing, or not in the length and
    /// with the hash the manifest says; [`RepositoryError::NotFound`] one that was deleted
    /// meanwhile. After an error nothing is left behind, nor, a moment later, when the future is
    /// dropped.
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
        let is_failed = AtomicBool::new(false);
        let transfer = Transfer { snapshots: self, folder, target: &target, observer: &observer };
        let downloads = manifest.files.iter().map(async |file| {
            let outcome = transfer.download(file, &is_failed).await;
            is_failed.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        });
        // After a failure nothing is begun, and what was begun is awaited: none of it may write to
        // the folder while that is removed.
        let outcomes = stream::iter(downloads).buffer_unordered(TRANSFERS_MAX);
        outcomes.fold(Ok(()), async |first: Result<_, _>, outcome| first.and(outcome)).await?;
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

/// What the downloads of one snapshot's files share.
struct Transfer<'a> {
    snapshots: &'a Snapshots,
    folder: ObjectName,
    target: &'a Target,
    observer: &'a (dyn Fn(u64) + Send + Sync),
}

impl Transfer<'_> {
    /// Downloads one file, or a part of it when another failed meanwhile.
    async fn download(
        &self,
        file: &SnapshotFile,
        is_failed: &AtomicBool,
    ) -> Result<(), RepositoryError> {
        if is_failed.load(Ordering::Relaxed) {
            return Ok(());
        }
        let object = layout::file(&self.folder, &file.name)?;
        let path = self.target.partial.dir.path().join(file.name.as_str());
        let unwritten = |source| unwritten(&path, source);
        let (created, partial) = (path.clone(), Arc::clone(&self.target.partial));
        let writing = blocking(move || Writing::create(&created, partial)).await?;
        let mut writing = writing.map_err(unwritten)?;
        let mut received_bytes: u64 = 0;
        while received_bytes < file.size_bytes {
            if is_failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let rest = usize::try_from(file.size_bytes.saturating_sub(received_bytes));
            let length = rest.unwrap_or(usize::MAX).min(RANGE_BYTES);
            let repository = &self.snapshots.repository;
            let bytes = repository.get_range(&object, received_bytes, length).await?;
            if bytes.len() != length {
                return Err(corrupt(object, "it ends before its end"));
            }
            let length = u64::try_from(length).unwrap_or(u64::MAX);
            received_bytes = received_bytes.saturating_add(length);
            writing = blocking(move || writing.append(&bytes)).await?.map_err(unwritten)?;
            (self.observer)(length);
        }
        if blocking(move || writing.finish()).await?.map_err(unwritten)? != file.sha256 {
            return Err(corrupt(object, "its hash is not the manifest's"));
        }
        Ok(())
    }
}

/// A file that is hashed while it is written. It holds its folder, which is not removed before the
/// last file is let go of, also where the download was dropped while a file was being written.
struct Writing {
    file: File,
    _partial: Arc<Partial>,
    hashing: digest::Context,
}

impl Writing {
    fn create(path: &Path, partial: Arc<Partial>) -> io::Result<Self> {
        let hashing = digest::Context::new(&digest::SHA256);
        Ok(Self { file: File::create_new(path)?, _partial: partial, hashing })
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

/// The folder being filled, and where it goes.
struct Target {
    into: PathBuf,
    partial: Arc<Partial>,
}

/// A folder of this download alone; it goes when this is dropped before it is moved away. So what a
/// dropped download still has on its way never meets the next one's files.
struct Partial {
    dir: TempDir,
    // Dropped after the folder in it.
    _holder: Holder,
}

/// `<into>.downloading`, which goes with the last folder in it.
struct Holder(PathBuf);

impl Drop for Holder {
    fn drop(&mut self) {
        // Not empty: then it is the next download's.
        drop(fs::remove_dir(&self.0));
    }
}

impl Target {
    async fn prepare(into: PathBuf) -> Result<Self, RepositoryError> {
        blocking(move || {
            let refused = |problem: &str| RepositoryError::Invalid {
                what: "folder for a snapshot",
                problem: format!("{} {problem}", into.display()),
            };
            let (Some(parent), Some(name)) = (into.parent(), into.file_name()) else {
                return Err(refused("has no name"));
            };
            match fs::read_dir(&into).map(|mut entries| entries.next().is_some()) {
                Ok(true) => return Err(refused("is not empty")),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(unwritten(&into, error));
                }
                Ok(false) | Err(_) => {}
            }
            let mut holder = name.to_owned();
            holder.push(".downloading");
            let holder = parent.join(holder);
            let partial = Partial::make(&holder).map_err(|error| unwritten(&holder, error))?;
            Ok(Self { into, partial: Arc::new(partial) })
        })
        .await?
    }

    /// Moves the folder to its place: over an empty one, never over a full one.
    async fn complete(self) -> Result<(), RepositoryError> {
        blocking(move || {
            let partial = self.partial.dir.path();
            let moved = sync_folder(partial)
                .and_then(|()| fs::rename(partial, &self.into))
                .and_then(|()| self.into.parent().map_or(Ok(()), sync_folder));
            moved.map_err(|error| unwritten(&self.into, error))
        })
        .await?
    }
}

impl Partial {
    /// A new folder in `holder`, which a download that was dropped may be removing just now.
    fn make(holder: &Path) -> io::Result<Self> {
        for _ in 1..HOLDER_ATTEMPTS_MAX {
            match Self::try_make(holder) {
                Err(error) if error.kind() == ErrorKind::NotFound && has_parent(holder) => {}
                made => return made,
            }
        }
        Self::try_make(holder)
    }

    /// Removes what downloads left there when their process was killed.
    fn try_make(holder: &Path) -> io::Result<Self> {
        match fs::create_dir(holder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for entry in fs::read_dir(holder)? {
            match fs::remove_dir_all(entry?.path()) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(Self { dir: TempDir::new_in(holder)?, _holder: Holder(holder.to_owned()) })
    }
}

fn has_parent(path: &Path) -> bool {
    path.parent().is_some_and(Path::is_dir)
}

fn unwritten(path: &Path, source: io::Error) -> RepositoryError {
    RepositoryError::Local { operation: "write", path: path.to_owned(), source }
}
