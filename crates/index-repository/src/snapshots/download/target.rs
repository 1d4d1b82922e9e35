//! The folder a download fills, and where it goes.
//!
//! ```text
//! <into>.downloading/lock       held by whoever fills or removes what is beside it
//! <into>.downloading/<upload>/  the files of one snapshot, by the id of its upload
//! ```

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::writing::unwritten;
use crate::RepositoryError;
use crate::blocking::{blocking, sync_folder};
use crate::snapshots::Manifest;

/// How often the lock is taken again after its file was removed by whoever had it.
const LOCK_ATTEMPTS_MAX: u32 = 100;

/// The folder being filled, and where it goes.
pub(super) struct Target {
    into: PathBuf,
    partial: Arc<Partial>,
}

/// The folder being filled. It goes when this is dropped, unless it is kept or was moved away.
pub(super) struct Partial {
    path: PathBuf,
    is_kept: AtomicBool,
    // Let go of after the folder is dealt with.
    holder: Holder,
}

/// `<into>.downloading`, locked.
struct Holder {
    path: PathBuf,
    lock: File,
}

impl Target {
    pub(super) async fn prepare(
        into: PathBuf,
        manifest: &Manifest,
    ) -> Result<Self, RepositoryError> {
        let upload = manifest.upload.to_string();
        let files: Vec<_> = manifest.files.iter().map(|file| file.name.to_string()).collect();
        blocking(move || {
            let path = holder_path(&into)?;
            let holder = Holder::make(&path).map_err(|error| unwritten(&path, error))?;
            let partial =
                Partial { path: path.join(&upload), is_kept: AtomicBool::new(false), holder };
            // Looked at under the lock: a download that this one waited for may have filled it.
            match fs::read_dir(&into).map(|mut entries| entries.next().is_some()) {
                Ok(true) => return Err(refused(&into, "is not empty")),
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(unwritten(&into, error));
                }
                Ok(false) | Err(_) => {}
            }
            partial.clear(&files).map_err(|error| unwritten(&partial.path, error))?;
            Ok(Self { into, partial: Arc::new(partial) })
        })
        .await?
    }

    pub(super) fn partial(&self) -> Arc<Partial> {
        Arc::clone(&self.partial)
    }

    /// Moves the folder to its place: over an empty one, never over a full one.
    pub(super) async fn complete(self) -> Result<(), RepositoryError> {
        blocking(move || {
            let partial = &self.partial.path;
            let moved = sync_folder(partial)
                .and_then(|()| fs::rename(partial, &self.into))
                .and_then(|()| self.into.parent().map_or(Ok(()), sync_folder));
            moved.map_err(|error| unwritten(&self.into, error))
        })
        .await?
    }

    /// Ends without a snapshot; what there is is kept for the next download, or goes.
    pub(super) async fn leave(self, is_kept: bool) -> Result<(), RepositoryError> {
        self.partial.is_kept.store(is_kept, Ordering::Relaxed);
        // Removing many files takes a while.
        blocking(move || drop(self)).await
    }
}

/// Removes what a download to `into` left.
pub(super) async fn discard(into: PathBuf) -> Result<(), RepositoryError> {
    blocking(move || {
        let path = holder_path(&into)?;
        let unwritten = |error| unwritten(&path, error);
        if !path.try_exists().map_err(unwritten)? {
            return Ok(());
        }
        let holder = Holder::make(&path).map_err(unwritten)?;
        holder.clear(None).map_err(unwritten)
    })
    .await?
}

fn holder_path(into: &Path) -> Result<PathBuf, RepositoryError> {
    let (Some(parent), Some(name)) = (into.parent(), into.file_name()) else {
        return Err(refused(into, "has no name"));
    };
    let mut holder = name.to_owned();
    holder.push(".downloading");
    Ok(parent.join(holder))
}

fn refused(into: &Path, problem: &str) -> RepositoryError {
    let problem = format!("{} {problem}", into.display());
    RepositoryError::Invalid { what: "folder for a snapshot", problem }
}

impl Partial {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves of what there was only regular files of these names, in this folder: nothing that leads elsewhere.
    fn clear(&self, files: &[String]) -> io::Result<()> {
        self.holder.clear(Some(&self.path))?;
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| !metadata.is_dir()) {
            remove(&self.path)?;
        }
        match fs::create_dir(&self.path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let is_wanted = files.iter().any(|file| entry.file_name() == **file);
            // Of the entry itself, not of what a link names; a file with a second name is also something else's.
            let metadata = entry.metadata()?;
            if !is_wanted || !metadata.is_file() || metadata.nlink() > 1 {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Relaxed) {
            // What cannot be removed now, the next download removes.
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

impl Holder {
    /// Makes the folder where it is not there, and waits for its lock.
    fn make(path: &Path) -> io::Result<Self> {
        for _ in 1..LOCK_ATTEMPTS_MAX {
            match Self::try_make(path) {
                Ok(Some(holder)) => return Ok(holder),
                // Removed just now by whoever had it: it is made again.
                Ok(None) => {}
                Err(error) if error.kind() == ErrorKind::NotFound && has_parent(path) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("it is removed again and again"))
    }

    fn try_make(path: &Path) -> io::Result<Option<Self>> {
        match fs::create_dir(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        if !fs::symlink_metadata(path)?.is_dir() {
            return Err(io::Error::other("it is a link or a file"));
        }
        let lock_path = path.join("lock");
        if fs::symlink_metadata(&lock_path).is_ok_and(|metadata| metadata.is_symlink()) {
            fs::remove_file(&lock_path)?;
        }
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path)?;
        lock.lock()?;
        // The lock of a file that has no name any more guards nothing.
        let (held, named) = (lock.metadata()?, fs::metadata(lock_path));
        let is_held =
            named.is_ok_and(|named| (named.dev(), named.ino()) == (held.dev(), held.ino()));
        Ok(is_held.then(|| Self { path: path.to_owned(), lock }))
    }

    /// Removes everything but the lock and `kept`.
    fn clear(&self, kept: Option<&Path>) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            if Some(&*path) != kept && path.file_name().is_some_and(|name| name != "lock") {
                remove(&path)?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.path).is_ok_and(|entries| entries.count() <= 1)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // Under the lock, which goes with its file: nobody who waits for it takes it for the folder's.
        if self.is_empty() {
            drop(fs::remove_file(self.path.join("lock")));
            drop(fs::remove_dir(&self.path));
        }
        drop(self.lock.unlock());
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let outcome = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn has_parent(path: &Path) -> bool {
    path.parent().is_some_and(Path::is_dir)
}
