//! Downloading: ranges of several files at once, every file checked while it is written, all of them there
//! or none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::{FuturesOrdered, FuturesUnordered};
use nautilus_types::PartitionId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::target::{Partial, Target};
use self::writing::{Range, Writing};
use super::{
    Found, Manifest, PassedOver, Progress, RestoreProgress, SnapshotFile, Snapshots, Unusable,
    Wanted, corrupt,
};
use crate::blocking::blocking;
use crate::{ObjectName, RepositoryError};

mod target;
mod writing;

/// Bytes per read: few requests to an object store.
const RANGE_BYTES: u64 = 8 * 1024 * 1024;

/// Files on their way at once: one that is being synced fetches nothing, and others should meanwhile.
const FILES_AT_ONCE_MAX: usize = 8;

/// Ranges of one snapshot that are on their way or not written yet: enough to fill a fast network, in
/// 64 MiB of memory.
const RANGES_MAX: usize = 8;

/// Ranges that wait for a file's writer, beside the one it writes: the writer is what is slow then.
const WAITING_MAX: usize = 1;

impl Snapshots {
    /// Downloads a snapshot's files into the folder `into`, which must be empty or not exist, in a
    /// folder that exists. They are written and synced in a folder in `<into>.downloading`, which is
    /// moved to its place when all are complete: `into` is the snapshot, or as it was. A second download
    /// to the same place waits for the first.
    ///
    /// [`RepositoryError::Corrupt`] names the first file found missing, or not in the length and
    /// with the hash the manifest says; [`RepositoryError::NotFound`] one that was deleted
    /// meanwhile.
    ///
    /// After [`RepositoryError::Unavailable`], and when the process is killed, what was fetched stays in
    /// `<into>.downloading`. The next download of the same snapshot to the same place goes on there: what
    /// a file has is hashed again, only what it lacks is fetched, and a file that turns out wrong is
    /// fetched anew. A download of another snapshot removes it, and so does
    /// [`discard_download`](Self::discard_download). After any other error nothing is left behind, nor, a
    /// moment later, when the future is dropped.
    pub async fn download(
        &self,
        manifest: &Manifest,
        into: &Path,
        progress: &Progress<'_>,
    ) -> Result<(), RepositoryError> {
        let target = Target::prepare(into.to_owned(), manifest).await?;
        let transfer = Transfer {
            snapshots: self,
            partial: target.partial(),
            progress,
            received_bytes: AtomicU64::new(0),
            running: AtomicUsize::new(0),
            is_failed: AtomicBool::new(false),
            ranges: Arc::new(Semaphore::new(RANGES_MAX)),
        };
        let outcome = transfer.run(manifest).await;
        // What is left to do, to remove or to keep is with the target alone.
        drop(transfer);
        match outcome {
            Ok(()) => target.complete().await,
            Err(error) => {
                target.leave(matches!(error, RepositoryError::Unavailable(_))).await?;
                Err(error)
            }
        }
    }

    /// Removes what a download to `into` left, for a caller that will not repeat it. Waits for one that is
    /// still going on.
    pub async fn discard_download(&self, into: &Path) -> Result<(), RepositoryError> {
        target::discard(into.to_owned()).await
    }

    /// Downloads the newest snapshot that is sound in every byte: [`newest`](Self::newest) and
    /// [`download`](Self::download), and where the download finds damage, the next older one, which
    /// begins `progress` again. That is told which snapshot it is beside the bytes. Without a snapshot of use,
    /// `into` stays as it was.
    pub async fn restore(
        &self,
        partition: PartitionId,
        wanted: &Wanted,
        into: &Path,
        progress: &RestoreProgress<'_>,
    ) -> Result<Found, RepositoryError> {
        let mut wanted = wanted.clone();
        let mut damaged = Vec::new();
        loop {
            let mut found = self.newest(partition, &wanted).await?;
            let outcome = match &found.manifest {
                Some(manifest) => {
                    progress(manifest, 0);
                    self.download(manifest, into, &|bytes| progress(manifest, bytes)).await
                }
                None => self.discard_download(into).await,
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

/// The download of one snapshot's files.
struct Transfer<'a> {
    snapshots: &'a Snapshots,
    partial: Arc<Partial>,
    progress: &'a Progress<'a>,
    received_bytes: AtomicU64,
    /// Files on their way.
    running: AtomicUsize,
    /// One file failed: the others need not go on.
    is_failed: AtomicBool,
    /// One for each range that is on its way or not written yet.
    ranges: Arc<Semaphore>,
}

/// A range, and its share of the memory there is, given back when it is written.
struct Fetched {
    range: Range,
    _permit: OwnedSemaphorePermit,
}

impl Transfer<'_> {
    /// After a failure nothing is begun, and what was begun is awaited: none of it may write to the folder
    /// when that is removed or taken up again.
    async fn run(&self, manifest: &Manifest) -> Result<(), RepositoryError> {
        if let Err(problem) = self.snapshots.check_files(manifest).await? {
            let file = problem.file().unwrap_or("manifest");
            return Err(corrupt(format_args!("{}/{file}", manifest.name()), &problem));
        }
        let objects = self.snapshots.folder(manifest.draft.partition)?.objects(manifest)?;
        let mut outcome = Ok(());
        let mut files = objects.iter();
        let mut downloads = FuturesUnordered::new();
        loop {
            while downloads.len() < FILES_AT_ONCE_MAX && !self.is_failed.load(Ordering::Relaxed) {
                let Some((object, file)) = files.next() else { break };
                downloads.push(self.download(object, file));
            }
            self.running.store(downloads.len(), Ordering::Relaxed);
            let Some(done) = downloads.next().await else { return outcome };
            self.is_failed.fetch_or(done.is_err(), Ordering::Relaxed);
            outcome = outcome.and(done);
        }
    }

    /// Downloads one file, or a part of it when another failed meanwhile.
    async fn download(
        &self,
        object: &ObjectName,
        file: &SnapshotFile,
    ) -> Result<(), RepositoryError> {
        let mut counted = 0;
        let mut is_anew = false;
        loop {
            let (partial, wanted) = (Arc::clone(&self.partial), file.clone());
            let writing = blocking(move || Writing::open(partial, &wanted, is_anew)).await??;
            let kept_bytes = writing.written_bytes();
            self.count(kept_bytes, &mut counted);
            let Some(writing) = self.fetch(object, file, writing, &mut counted).await? else {
                return Ok(());
            };
            if blocking(move || writing.finish()).await?? == file.sha256 {
                return Ok(());
            }
            // What was there from before may be to blame.
            if kept_bytes == 0 {
                return Err(corrupt(object, "its hash is not the manifest's"));
            }
            is_anew = true;
        }
    }

    /// Fetches what a file lacks; `None` where another file failed meanwhile.
    async fn fetch(
        &self,
        object: &ObjectName,
        file: &SnapshotFile,
        writing: Writing,
        counted: &mut u64,
    ) -> Result<Option<Writing>, RepositoryError> {
        let from = writing.written_bytes();
        let (fetched, mut waiting) = mpsc::channel::<Fetched>(WAITING_MAX);
        let write = blocking(move || {
            let mut writing = writing;
            while let Some(Fetched { range, .. }) = waiting.blocking_recv() {
                writing.append(&range)?;
            }
            Ok(writing)
        });
        let (written, sent) = tokio::join!(write, self.send(object, file, from, fetched, counted));
        // Where nobody takes ranges any more, the writer knows why.
        let writing = written??;
        Ok(sent?.then_some(writing))
    }

    /// Hands the ranges from `from` on over in their order; whether to the end.
    async fn send(
        &self,
        object: &ObjectName,
        file: &SnapshotFile,
        from: u64,
        fetched: mpsc::Sender<Fetched>,
        counted: &mut u64,
    ) -> Result<bool, RepositoryError> {
        let (mut begun, mut sent) = (from, from);
        let mut fetching = FuturesOrdered::new();
        loop {
            // Its share, so that one file does not fetch what its writer has no time for yet.
            let running = self.running.load(Ordering::Relaxed).max(1);
            let share = RANGES_MAX.div_ceil(running);
            while begun < file.size_bytes
                && fetching.len() < share
                && !self.is_failed.load(Ordering::Relaxed)
            {
                // Waits only where it holds none: so whoever holds some gets its first range, and ends.
                let permit = if fetching.is_empty() {
                    Arc::clone(&self.ranges).acquire_owned().await.ok()
                } else {
                    Arc::clone(&self.ranges).try_acquire_owned().ok()
                };
                let Some(permit) = permit else { break };
                let length = file.size_bytes.saturating_sub(begun).min(RANGE_BYTES);
                fetching.push_back(self.fetch_range(object, begun, length, permit));
                begun = begun.saturating_add(length);
            }
            let Some(outcome) = fetching.next().await else { return Ok(sent == file.size_bytes) };
            let (length, range) = outcome?;
            if fetched.send(range).await.is_err() {
                return Ok(false);
            }
            sent = sent.saturating_add(length);
            self.count(sent, counted);
        }
    }

    async fn fetch_range(
        &self,
        object: &ObjectName,
        from: u64,
        length: u64,
        permit: OwnedSemaphorePermit,
    ) -> Result<(u64, Fetched), RepositoryError> {
        let length_max = usize::try_from(length).unwrap_or(usize::MAX);
        let range = self.snapshots.repository.get_pieces(object, from, length_max).await?;
        if range.iter().map(Bytes::len).sum::<usize>() != length_max {
            return Err(corrupt(object, "it ends before its end"));
        }
        Ok((length, Fetched { range, _permit: permit }))
    }

    /// Reports how far a file is, where that is farther than before.
    fn count(&self, bytes: u64, counted: &mut u64) {
        if bytes > *counted {
            let more = bytes.saturating_sub(*counted);
            let before = self.received_bytes.fetch_add(more, Ordering::Relaxed);
            *counted = bytes;
            (self.progress)(before.saturating_add(more));
        }
    }
}
