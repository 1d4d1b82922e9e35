//! One open partition: hands appends to its appender, reads and trims its segments.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;

use bytes::Bytes;
use nautilus_types::{Limits, Offset, PartitionId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::appender::{Appender, AppenderShared, Job};
use super::config::EmbeddedConfig;
use super::files::{self, Mark};
use super::recovery;
use super::segment::Segment;
use super::storage::LogStorage;
use crate::{BATCH_BYTES_MAX, LogError, LogIdentity, Record, Watermarks};

/// Payload bytes that wait for the appender, at most; then appends wait for room.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What the smallest append takes of that, which bounds the number of waiting appends.
const JOB_BYTES_MIN: usize = 4 * 1024;
const QUEUE_JOBS_MAX: usize = QUEUE_BYTES_MAX / JOB_BYTES_MIN;

/// The segments of a partition, in order; shared by its appender and its readers.
#[derive(Debug)]
pub(super) struct SegmentList(RwLock<Listed>);

#[derive(Debug)]
struct Listed {
    low: Offset,
    /// Never empty; the last takes the appends.
    segments: VecDeque<Arc<Segment>>,
}

impl SegmentList {
    pub(super) fn push(&self, segment: Arc<Segment>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).segments.push_back(segment);
    }

    fn low(&self) -> Offset {
        self.0.read().unwrap_or_else(PoisonError::into_inner).low
    }

    /// The segment that `offset` is in, or would be.
    fn at(&self, offset: Offset) -> Option<Arc<Segment>> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let after = listed.segments.partition_point(|segment| segment.base() <= offset);
        after.checked_sub(1).and_then(|i| listed.segments.get(i)).cloned()
    }

    /// Those whose records are all below `below`; never the last.
    fn wholly_below(&self, below: Offset) -> Vec<Arc<Segment>> {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let is_below = |segment: &&Arc<Segment>| {
            segment.next_base().is_some_and(|next_base| next_base <= below)
        };
        listed.segments.iter().take_while(is_below).cloned().collect()
    }

    fn raise_low(&self, low: Offset) {
        let mut listed = self.0.write().unwrap_or_else(PoisonError::into_inner);
        listed.low = low;
        listed.segments.retain(|segment| segment.base() >= low);
    }
}

/// An open partition.
pub(super) struct Partition {
    partition: PartitionId,
    dir: PathBuf,
    storage: Arc<dyn LogStorage>,
    segments: Arc<SegmentList>,
    shared: Arc<AppenderShared>,
    high: watch::Receiver<Offset>,
    /// `None` once closed.
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    room: Arc<Semaphore>,
    is_closed: AtomicBool,
    /// One trim at a time.
    trimming: Mutex<()>,
}

impl Partition {
    /// Recovers the partition and starts its appender thread.
    pub(super) fn open(
        storage: &Arc<dyn LogStorage>,
        config: &EmbeddedConfig,
        identity: &LogIdentity,
        partition: PartitionId,
    ) -> Result<(Arc<Self>, JoinHandle<()>), LogError> {
        let dir = files::partition_dir(&config.dir, partition);
        let recovered = recovery::recover(&**storage, &dir, identity, partition)?;
        if recovered.cut_bytes > 0 {
            let (cut_bytes, high) = (recovered.cut_bytes, recovered.high.0);
            tracing::info!(partition = partition.0, cut_bytes, high, "cut a torn tail");
        }
        let Some(active) = recovered.segments.last().cloned() else {
            return Err(LogError::corrupt(dir.display().to_string(), "there are no segments"));
        };
        let file = storage
            .open(active.path(), false)
            .map_err(|error| LogError::io(format!("open {}", active.path().display()), error))?;
        let listed = Listed { low: recovered.low, segments: recovered.segments.into() };
        let segments = Arc::new(SegmentList(RwLock::new(listed)));
        let shared = Arc::new(AppenderShared::default());
        let (high_sender, high) = watch::channel(recovered.high);
        let (queue, jobs) = mpsc::channel(QUEUE_JOBS_MAX);
        let appender = Appender {
            storage: Arc::clone(storage),
            dir: dir.clone(),
            identity: identity.clone(),
            partition,
            clock: Arc::clone(&config.clock),
            segment_bytes_max: config.segment_bytes_max,
            segments: Arc::clone(&segments),
            shared: Arc::clone(&shared),
            active,
            file,
            durable_mark: recovered.durable_mark,
            next: recovered.high,
            high: Some(high_sender),
            buffer: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("log-append-{partition}"))
            .spawn(move || appender.run(jobs))
            .map_err(|error| LogError::io("start an appender thread", error))?;
        let this = Self {
            partition,
            dir,
            storage: Arc::clone(storage),
            segments,
            shared,
            high,
            queue: Mutex::new(Some(queue)),
            room: Arc::new(Semaphore::new(QUEUE_BYTES_MAX)),
            is_closed: AtomicBool::new(false),
            trimming: Mutex::new(()),
        };
        Ok((Arc::new(this), thread))
    }

    /// Lets the appender finish what is queued and end; everything after this is refused.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.room.close();
    }

    pub(super) fn shared(&self) -> &AppenderShared {
        &self.shared
    }

    fn refuse_closed(&self) -> Result<(), LogError> {
        if self.is_closed.load(Ordering::Acquire) { Err(LogError::Closed) } else { Ok(()) }
    }

    /// Queues an append and waits for its outcome.
    pub(super) async fn append(&self, payloads: Vec<Bytes>) -> Result<Vec<Offset>, LogError> {
        self.refuse_closed()?;
        let bytes = check_sizes(&payloads)?.max(JOB_BYTES_MIN);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(permits).await;
        let room = room.map_err(|_| LogError::Closed)?;
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queue = queue.ok_or(LogError::Closed)?;
        let (ack, outcome) = oneshot::channel();
        // The appender only goes away early if it panicked.
        let failed = || LogError::Failed { partition: self.partition, source: None };
        queue.send(Job { payloads, ack, _room: room }).await.map_err(|_| failed())?;
        drop(queue);
        let lost = |_| LogError::UnknownOutcome { partition: self.partition, source: None };
        outcome.await.map_err(lost)?
    }

    pub(super) fn watermarks(&self) -> Result<Watermarks, LogError> {
        self.refuse_closed()?;
        // Low first: it may rise in between, and must not be seen above high.
        let low = self.segments.low();
        Ok(Watermarks { low, high: *self.high.borrow() })
    }

    fn out_of_range(&self, asked: Offset, at: Watermarks) -> LogError {
        let Watermarks { low, high } = at;
        LogError::OutOfRange { partition: self.partition, asked, low, high }
    }

    /// Waits until the high watermark is above `next`.
    pub(super) async fn wait_beyond(&self, next: Offset) -> Result<Offset, LogError> {
        let at = self.watermarks()?;
        if next > at.high {
            return Err(self.out_of_range(next, at));
        }
        let mut high = self.high.clone();
        let reached = high.wait_for(|high| *high > next).await.map(|high| *high);
        reached.map_err(|_| match self.shared.failure.get() {
            Some(source) => {
                LogError::Failed { partition: self.partition, source: Some(Arc::clone(source)) }
            }
            None if self.is_closed.load(Ordering::Acquire) => LogError::Closed,
            None => LogError::Failed { partition: self.partition, source: None },
        })
    }

    /// Reads records from `from` on; blocks on the file system.
    pub(super) fn read(&self, from: Offset, bytes_max: usize) -> Result<Vec<Record>, LogError> {
        let at = self.watermarks()?;
        if from < at.low || from > at.high {
            return Err(self.out_of_range(from, at));
        }
        if from == at.high {
            return Ok(Vec::new());
        }
        let records = match self.segments.at(from) {
            Some(segment) => segment.read(&*self.storage, from, bytes_max),
            None => Ok(Vec::new()),
        };
        let now = self.watermarks()?;
        match records {
            // Trimmed away while reading; whatever went wrong went wrong by that.
            _ if from < now.low => Err(self.out_of_range(from, now)),
            Ok(records) if records.is_empty() => {
                let place = self.dir.display().to_string();
                Err(LogError::corrupt(place, "durable records are missing"))
            }
            other => other,
        }
    }

    /// Drops whole segments below `below`; blocks on the file system. Returns the low watermark.
    ///
    /// The mark goes first: if only some of the files are gone after a crash, recovery removes the
    /// others, and low never goes back. An error after the mark leaves files to that.
    pub(super) fn trim(&self, below: Offset) -> Result<Offset, LogError> {
        let _one = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.watermarks()?;
        if below > at.high {
            return Err(self.out_of_range(below, at));
        }
        let dropped = self.segments.wholly_below(below);
        let Some(low) = dropped.last().and_then(|segment| segment.next_base()) else {
            return Ok(at.low);
        };
        files::publish(&*self.storage, &Mark::Low.path(&self.dir), &Mark::Low.encode(low))?;
        self.segments.raise_low(low);
        self.remove(&dropped)
            .map_err(|error| LogError::io(format!("trim {}", self.dir.display()), error))?;
        Ok(low)
    }

    fn remove(&self, dropped: &[Arc<Segment>]) -> std::io::Result<()> {
        for segment in dropped {
            self.storage.remove(segment.path())?;
        }
        self.storage.sync_dir(Path::new(&self.dir))
    }
}

/// The payload bytes of an append, or why it is refused.
fn check_sizes(payloads: &[Bytes]) -> Result<usize, LogError> {
    let bytes_max = Limits::RECORD_BYTES_MAX;
    if let Some(payload) = payloads.iter().find(|payload| payload.len() > bytes_max) {
        return Err(LogError::TooLarge { what: "record", bytes: payload.len(), bytes_max });
    }
    let bytes = payloads.iter().map(Bytes::len).sum();
    if bytes > BATCH_BYTES_MAX {
        return Err(LogError::TooLarge { what: "batch", bytes, bytes_max: BATCH_BYTES_MAX });
    }
    Ok(bytes)
}
