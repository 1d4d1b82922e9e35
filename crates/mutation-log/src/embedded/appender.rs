//! The one writer of a partition: a thread that commits what waits as a group.
//!
//! ```text
//! append ──► queue ──► group: encode ─► one write ─► one fdatasync ─► publish the end ─► ack all
//! ```
//!
//! While a sync runs, further appends queue up and form the next group: the more writers, the more
//! records share a sync. Nothing waits on purpose.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use nautilus_types::{Offset, PartitionId};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};

use super::config::WallClock;
use super::files::{self, Mark};
use super::frame;
use super::partition::SegmentList;
use super::segment::{FrameStart, Segment};
use super::storage::{LogStorage, StoredFile};
use crate::{LogError, LogIdentity};

/// A group takes no further append at this size, in bytes: large enough to make a sync worth it,
/// small enough that an ack does not wait for long.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An append on its way to the appender.
pub(super) struct Job {
    pub(super) payloads: Vec<Bytes>,
    pub(super) ack: oneshot::Sender<Result<Vec<Offset>, LogError>>,
    /// Room in the queue, given back when the job is done.
    pub(super) _room: OwnedSemaphorePermit,
}

/// What the appender did, for measurements.
#[derive(Debug, Default)]
pub(super) struct AppendCounters {
    pub(super) syncs: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// What the appender shares with the readers of its partition.
#[derive(Debug, Default)]
pub(super) struct AppenderShared {
    /// Set once, by the sync or write after which nothing can be promised any more.
    pub(super) failure: OnceLock<Arc<io::Error>>,
    pub(super) counters: AppendCounters,
}

pub(super) struct Appender {
    pub(super) storage: Arc<dyn LogStorage>,
    pub(super) dir: PathBuf,
    pub(super) identity: LogIdentity,
    pub(super) partition: PartitionId,
    pub(super) clock: WallClock,
    pub(super) segment_bytes_max: u64,
    pub(super) segments: Arc<SegmentList>,
    pub(super) shared: Arc<AppenderShared>,
    /// The segment that takes the appends, and its file.
    pub(super) active: Arc<Segment>,
    pub(super) file: Arc<dyn StoredFile>,
    pub(super) durable_mark: Arc<dyn StoredFile>,
    pub(super) next: Offset,
    /// Tells the high watermark. Gone after a failure: nobody shall wait for what cannot come.
    pub(super) high: Option<watch::Sender<Offset>>,
    /// Reused between groups.
    pub(super) buffer: Vec<u8>,
}

/// A group that was not committed.
enum GroupError {
    /// Nothing of it is in the log, and the appender can go on.
    NotAppended(LogError),
    /// It may or may not be there, and nothing more can be promised.
    Unknown(io::Error),
}

impl Appender {
    /// Runs until all senders are gone and the queue is empty.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut group = vec![first];
            let mut bytes = group_bytes(&group);
            while bytes < GROUP_BYTES_MAX
                && let Ok(job) = queue.try_recv()
            {
                bytes += job.payloads.iter().map(Bytes::len).sum::<usize>();
                group.push(job);
            }
            self.commit_and_ack(group);
        }
        if self.high.is_some() {
            // Only helps the next recovery; what it says is durable already.
            let synced = self.write_mark().and_then(|()| self.durable_mark.sync());
            if let Err(error) = synced {
                tracing::debug!(partition = self.partition.0, %error, "durable mark not written");
            }
        }
    }

    fn commit_and_ack(&mut self, group: Vec<Job>) {
        if self.high.is_none() {
            for job in group {
                let source = self.shared.failure.get().cloned();
                let error = LogError::Failed { partition: self.partition, source };
                answer(job, Err(error));
            }
            return;
        }
        match self.commit(&group) {
            Ok(first) => {
                let mut offset = first;
                for job in group {
                    let next = Offset(offset.0 + job.payloads.len() as u64);
                    let offsets = (offset.0..next.0).map(Offset).collect();
                    offset = next;
                    answer(job, Ok(offsets));
                }
            }
            Err(GroupError::NotAppended(error)) => {
                for job in group {
                    answer(job, Err(error.clone()));
                }
            }
            Err(GroupError::Unknown(error)) => {
                let error = Arc::new(error);
                tracing::error!(partition = self.partition.0, %error, "log partition failed");
                self.shared.failure.get_or_init(|| Arc::clone(&error));
                self.high = None;
                for job in group {
                    let source = Some(Arc::clone(&error));
                    answer(
                        job,
                        Err(LogError::UnknownOutcome { partition: self.partition, source }),
                    );
                }
            }
        }
    }

    /// Writes and syncs the group, then shows it to readers. Returns its first offset.
    fn commit(&mut self, group: &[Job]) -> Result<Offset, GroupError> {
        let start = self.active.end();
        if start >= self.segment_bytes_max && self.next > self.active.base() {
            self.roll().map_err(GroupError::NotAppended)?;
        }
        let first = self.next;
        let start = self.active.end();
        let starts = self.encode(group, start);
        if let Err(error) = self.file.write_all_at(&self.buffer, start) {
            // A full disk, mostly: what was written is taken back, so that the next group may try.
            // Synced, or a crash might bring it back after it was refused.
            return Err(match self.file.set_size(start).and_then(|()| self.file.sync()) {
                Ok(()) => {
                    let action = format!("write {}", self.active.path().display());
                    GroupError::NotAppended(LogError::io(action, error))
                }
                Err(_) => GroupError::Unknown(error),
            });
        }
        self.file.sync().map_err(GroupError::Unknown)?;
        let end = start + self.buffer.len() as u64;
        let next = Offset(first.0 + starts.len() as u64);
        self.next = next;
        // The mark may be lost: recovery then knows less, but nothing wrong.
        if let Err(error) = self.write_mark() {
            tracing::debug!(partition = self.partition.0, %error, "durable mark not written");
        }
        self.active.set_end(end);
        for start in starts {
            self.active.note(start);
        }
        let counters = &self.shared.counters;
        counters.syncs.fetch_add(1, Ordering::Relaxed);
        counters.records.fetch_add(next.0 - first.0, Ordering::Relaxed);
        counters.bytes.fetch_add(end - start, Ordering::Relaxed);
        if let Some(high) = &self.high {
            high.send_replace(next);
        }
        Ok(first)
    }

    /// Fills the buffer with the group's frames and returns where each begins.
    fn encode(&mut self, group: &[Job], start: u64) -> Vec<FrameStart> {
        self.buffer.clear();
        self.buffer.shrink_to(GROUP_BYTES_MAX);
        let appended_at = (self.clock)();
        let mut starts = Vec::new();
        let payloads = group.iter().flat_map(|job| &job.payloads);
        for (place, payload) in (0_u32..).zip(payloads) {
            let offset = Offset(self.next.0 + u64::from(place));
            starts.push(FrameStart { offset, position: start + self.buffer.len() as u64 });
            let seed = self.active.seed();
            frame::encode(&mut self.buffer, seed, offset, appended_at, place, payload);
        }
        starts
    }

    /// Starts the next segment. The old one is synced: groups never span two.
    fn roll(&mut self) -> Result<(), LogError> {
        let base = self.next;
        let path = files::segment_path(&self.dir, base);
        let header = files::encode_segment_header(&self.identity, self.partition, base);
        files::publish(&*self.storage, &path, &header)?;
        self.file = self
            .storage
            .open(&path, false)
            .map_err(|error| LogError::io(format!("open {}", path.display()), error))?;
        let seed = files::frame_seed(&self.identity, self.partition, base);
        let segment = Arc::new(Segment::new(base, path, seed));
        self.active.seal(base);
        self.active = Arc::clone(&segment);
        self.segments.push(segment);
        Ok(())
    }

    fn write_mark(&self) -> io::Result<()> {
        self.durable_mark.write_all_at(&Mark::Durable.encode(self.next), 0)
    }
}

fn group_bytes(group: &[Job]) -> usize {
    group.iter().flat_map(|job| &job.payloads).map(Bytes::len).sum()
}

/// Whoever asked may have gone; then the answer is nobody's.
fn answer(job: Job, outcome: Result<Vec<Offset>, LogError>) {
    if job.ack.send(outcome).is_err() {
        tracing::trace!("an appender went away before its answer");
    }
}
