//! The embedded repository: a folder, one file per object.
//!
//! Plain files and the `tempfile` crate: object_store's local store has the same atomic create, but
//! syncs neither the file nor its folders, which would have to be done around it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::{NamedTempFile, PersistError};
use tokio::io::AsyncWriteExt as _;

use crate::blocking::{blocking, sync_folder};
use crate::{
    IndexRepository, LIST_PAGE_MAX, ObjectMeta, ObjectName, ObjectSource, Page, RepositoryError,
};

#[cfg(test)]
mod tests;

/// An index repository in a folder of this machine, which several processes may use at once.
///
/// ```text
/// <dir>/objects/<name>    an object; its parents are made with it and go with their last object
/// <dir>/partial/<random>  being written, locked by its writer; leftovers are removed on opening
/// ```
///
/// An object is written and synced under `partial`, then moved to its name only if that is free
/// (`renameat2` with `RENAME_NOREPLACE`, or a hard link), then its folders are synced.
#[derive(Debug, Clone)]
pub struct FolderRepository {
    objects: PathBuf,
    partial: PathBuf,
}

/// How often a put makes its folders again after a delete took them away as empty.
const FOLDER_ATTEMPTS_MAX: u32 = 100;

impl FolderRepository {
    /// Opens, and where needed makes, the repository in `dir`.
    pub async fn open(dir: &Path) -> Result<Self, RepositoryError> {
        let repository = Self { objects: dir.join("objects"), partial: dir.join("partial") };
        let (opened, dir) = (repository.clone(), dir.to_owned());
        blocking(move || {
            fs::create_dir_all(&repository.objects)?;
            fs::create_dir_all(&repository.partial)?;
            sync_folder(&dir)?;
            repository.remove_leftovers()
        })
        .await?
        .map_err(RepositoryError::unavailable)?;
        Ok(opened)
    }

    /// Whoever still writes a file holds its lock.
    fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.partial)? {
            let path = entry?.path();
            let outcome = match File::open(&path).map(|file| file.try_lock()) {
                Ok(Ok(())) => fs::remove_file(&path),
                Ok(Err(TryLockError::WouldBlock)) => Ok(()),
                Ok(Err(TryLockError::Error(error))) | Err(error) => Err(error),
            };
            unless_missing(outcome)?;
        }
        Ok(())
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.objects.join(name.as_str())
    }

    fn begin(&self, name: &ObjectName) -> Result<NamedTempFile, RepositoryError> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => return Err(is_folder(name)),
            Ok(_) => return Err(RepositoryError::Exists { name: name.to_string() }),
            // It is looked at again, atomically, when the file is moved there.
            Err(_) => {}
        }
        let begun = NamedTempFile::new_in(&self.partial);
        let begun = begun.and_then(|file| file.as_file().lock().map(|()| file));
        begun.map_err(RepositoryError::unavailable)
    }

    /// Moves a written and synced file to its name.
    fn finish(&self, name: &ObjectName, mut file: NamedTempFile) -> Result<(), RepositoryError> {
        let path = self.path(name);
        let parent = path.parent().unwrap_or(&self.objects);
        for attempt in 1.. {
            match fs::create_dir_all(parent) {
                Ok(()) => {}
                Err(_) if self.is_in_object(parent) => return Err(is_folder(name)),
                Err(error) if is_raced(&error, attempt) => continue,
                Err(error) => return Err(RepositoryError::unavailable(error)),
            }
            match file.persist_noclobber(&path) {
                Ok(_) => break,
                Err(refused) if is_raced_by_delete(&refused, attempt) => {
                    file = refused.file;
                }
                Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {
                    return Err(match path.is_dir() {
                        true => is_folder(name),
                        false => RepositoryError::Exists { name: name.to_string() },
                    });
                }
                Err(refused) => return Err(RepositoryError::unavailable(refused.error)),
            }
        }
        self.sync_up_from(parent).map_err(RepositoryError::unavailable)
    }

    /// Whether a folder cannot be made because an object has its name or that of a parent.
    fn is_in_object(&self, folder: &Path) -> bool {
        let mut folders = folder.ancestors().take_while(|folder| *folder != self.objects);
        folders.any(Path::is_file)
    }

    /// Also folders that were there: another put may have made them and not synced them yet.
    fn sync_up_from(&self, folder: &Path) -> io::Result<()> {
        for folder in folder.ancestors() {
            // Missing where the object was deleted just now.
            unless_missing(sync_folder(folder))?;
            if folder == self.objects {
                break;
            }
        }
        Ok(())
    }

    fn read(&self, name: &ObjectName, from: u64, length_max: usize) -> io::Result<Bytes> {
        let mut file = File::open(self.path(name))?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        // Beyond what a seek takes is behind the end, too.
        if from >= metadata.len() {
            return Ok(Bytes::new());
        }
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(u64::try_from(length_max).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn remove(&self, name: &ObjectName) -> io::Result<()> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if is_taken(&error) || error.kind() == ErrorKind::IsADirectory => {
                return Ok(());
            }
            Err(error) => return unless_missing(Err(error)),
        }
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != self.objects) {
            unless_missing(sync_folder(folder))?;
            // It is not empty, or another delete was faster: neither matters.
            if fs::remove_dir(folder).is_err() {
                return Ok(());
            }
        }
        sync_folder(&self.objects)
    }

    /// All objects beneath a folder with names above `after`, in no order. What appears or goes
    /// meanwhile may be in it or not.
    fn walk(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
    ) -> io::Result<Vec<ObjectMeta>> {
        let mut found = Vec::new();
        let mut folders = vec![folder.map(ObjectName::to_string).unwrap_or_default()];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(self.objects.join(&folder)) {
                Err(error) if error.kind() == ErrorKind::NotFound || is_taken(&error) => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let Some(part) = entry.file_name().to_str().map(str::to_owned) else { continue };
                let name = if folder.is_empty() { part } else { format!("{folder}/{part}") };
                // Nothing but objects is put here by us; other files are left alone.
                let Ok(name) = ObjectName::new(name) else { continue };
                if entry.file_type()?.is_dir() {
                    folders.push(name.to_string());
                } else if after.is_none_or(|after| name > *after) {
                    match entry.metadata().and_then(|metadata| meta(&name, &metadata)) {
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        meta => found.push(meta?),
                    }
                }
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl IndexRepository for FolderRepository {
    async fn put_new(
        &self,
        name: &ObjectName,
        source: &mut ObjectSource<'_>,
    ) -> Result<(), RepositoryError> {
        let (repository, begun) = (self.clone(), name.clone());
        let file = blocking(move || repository.begin(&begun)).await??;
        let writer = file.as_file().try_clone().map_err(RepositoryError::unavailable)?;
        let mut writer = tokio::fs::File::from_std(writer);
        while let Some(chunk) = source.next_chunk().await? {
            writer.write_all(&chunk).await.map_err(RepositoryError::unavailable)?;
        }
        // Waits for the last write, so that its error is not lost.
        writer.flush().await.map_err(RepositoryError::unavailable)?;
        writer.sync_all().await.map_err(RepositoryError::unavailable)?;
        let (repository, name) = (self.clone(), name.clone());
        blocking(move || repository.finish(&name, file)).await?
    }

    async fn get_range(
        &self,
        name: &ObjectName,
        from: u64,
        length_max: usize,
    ) -> Result<Bytes, RepositoryError> {
        let (repository, wanted) = (self.clone(), name.clone());
        let outcome = blocking(move || repository.read(&wanted, from, length_max)).await?;
        outcome.map_err(|error| of_object(name, error))
    }

    async fn head(&self, name: &ObjectName) -> Result<ObjectMeta, RepositoryError> {
        let (path, wanted) = (self.path(name), name.clone());
        let outcome = blocking(move || meta(&wanted, &fs::metadata(path)?)).await?;
        outcome.map_err(|error| of_object(name, error))
    }

    async fn list(
        &self,
        folder: Option<&ObjectName>,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Page, RepositoryError> {
        let (repository, folder, after) = (self.clone(), folder.cloned(), after.cloned());
        let outcome = blocking(move || repository.walk(folder.as_ref(), after.as_ref())).await?;
        let mut objects = outcome.map_err(RepositoryError::unavailable)?;
        objects.sort_by(|left, right| left.name.cmp(&right.name));
        let limit = limit.clamp(1, LIST_PAGE_MAX);
        let has_more = objects.len() > limit;
        objects.truncate(limit);
        let last = objects.last().map(|object| object.name.clone());
        Ok(Page { next_after: last.filter(|_| has_more), objects })
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), RepositoryError> {
        let (repository, name) = (self.clone(), name.clone());
        let outcome = blocking(move || repository.remove(&name)).await?;
        outcome.map_err(RepositoryError::unavailable)
    }
}

fn meta(name: &ObjectName, metadata: &fs::Metadata) -> io::Result<ObjectMeta> {
    if !metadata.is_file() {
        return Err(ErrorKind::NotFound.into());
    }
    let stored = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let stored_unix_ms = u64::try_from(stored.as_millis()).unwrap_or(u64::MAX);
    Ok(ObjectMeta { name: name.clone(), size_bytes: metadata.len(), stored_unix_ms })
}

fn unless_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

/// A part of the name that would have to be a folder is an object.
fn is_taken(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotADirectory
}

/// A delete took away a folder that was empty: before something could be put into it, or between
/// the system's answer that it exists and the look at it.
fn is_raced(error: &io::Error, attempt: u32) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists)
        && attempt < FOLDER_ATTEMPTS_MAX
}

/// The same at the last step, where "exists" is an answer and the file itself must still be there.
fn is_raced_by_delete(refused: &PersistError, attempt: u32) -> bool {
    refused.error.kind() == ErrorKind::NotFound
        && refused.file.path().exists()
        && attempt < FOLDER_ATTEMPTS_MAX
}

fn is_folder(name: &ObjectName) -> RepositoryError {
    let problem = format!("{name} is, or would be in, a folder of another object's name");
    RepositoryError::Invalid { what: "object name", problem }
}

fn of_object(name: &ObjectName, error: io::Error) -> RepositoryError {
    // Where a part of the name is an object, there is nothing beneath it.
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) {
        return RepositoryError::NotFound { name: name.to_string() };
    }
    RepositoryError::unavailable(error)
}
