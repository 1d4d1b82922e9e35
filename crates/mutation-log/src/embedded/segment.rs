//! One segment file as readers see it: its durable end, and where in it which offset stands.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use nautilus_types::Offset;

use super::files::SEGMENT_HEADER_END;
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader};
use super::storage::{LogStorage, StoredFile};
use crate::{LogError, Record};

/// Known positions stand about this far apart: what a read may have to skip, in bytes.
const INDEX_STEP_BYTES: u64 = 16 * 1024;
/// One read of the file, at least and at most, unless a single record needs more.
const CHUNK_BYTES_MIN: usize = 64 * 1024;
const CHUNK_BYTES_MAX: usize = 1024 * 1024;

/// Where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameStart {
    pub(super) offset: Offset,
    pub(super) position: u64,
}

/// A segment, shared by the appender and readers. Bytes below `end` are durable and never change.
#[derive(Debug)]
pub(super) struct Segment {
    base: Offset,
    path: PathBuf,
    seed: u32,
    /// Position after the last durable frame. Of a sealed segment only a bound: its file's length.
    end: AtomicU64,
    /// Offset after the last record; unknown until the segment is sealed.
    next_base: Mutex<Option<Offset>>,
    /// Some frame starts, thinly. Filled by what was appended, recovered or read.
    index: Mutex<BTreeMap<Offset, u64>>,
}

impl Segment {
    /// A segment without known records.
    pub(super) fn new(base: Offset, path: PathBuf, seed: u32) -> Self {
        let index = Mutex::new(BTreeMap::from([(base, SEGMENT_HEADER_END)]));
        let end = AtomicU64::new(SEGMENT_HEADER_END);
        Self { base, path, seed, end, next_base: Mutex::new(None), index }
    }

    pub(super) fn base(&self) -> Offset {
        self.base
    }

    pub(super) fn seed(&self) -> u32 {
        self.seed
    }

    pub(super) fn path(&self) -> &PathBuf {
        &self.path
    }

    pub(super) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Says that all bytes below `end` are durable.
    pub(super) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Says that the segment ends where the one at `next_base` begins.
    pub(super) fn seal(&self, next_base: Offset) {
        *self.next_base.lock().unwrap_or_else(PoisonError::into_inner) = Some(next_base);
    }

    /// Offset after the last record, once sealed.
    pub(super) fn next_base(&self) -> Option<Offset> {
        *self.next_base.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a frame start, unless one close before it is known.
    pub(super) fn note(&self, start: FrameStart) {
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let before = index.range(..=start.offset).next_back().map(|(_, position)| *position);
        if before.is_none_or(|before| before + INDEX_STEP_BYTES <= start.position) {
            index.insert(start.offset, start.position);
        }
    }

    /// The last known frame start at or before `offset`.
    fn start_before(&self, offset: Offset) -> FrameStart {
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        let (offset, position) = index
            .range(..=offset)
            .next_back()
            .map_or((self.base, SEGMENT_HEADER_END), |(offset, position)| (*offset, *position));
        FrameStart { offset, position }
    }

    /// Reads durable records from `from` on, which is in this segment: at least one, unless `from`
    /// is its end, and others while their payloads fit into `bytes_max`.
    pub(super) fn read(
        &self,
        storage: &dyn LogStorage,
        from: Offset,
        bytes_max: usize,
    ) -> Result<Vec<Record>, LogError> {
        let file = storage.open(&self.path, false).map_err(|error| self.io(error))?;
        // Before the end: once sealed, the end is final.
        let sealed_at = self.next_base();
        let mut at = self.start_before(from);
        let mut window = Window::new(file, at.position, self.end(), bytes_max);
        let mut records = Vec::new();
        let mut payload_bytes = 0;
        while at.position < window.end {
            let header = self.frame_at(&mut window, at)?;
            let frame = window.take(header.frame_bytes());
            if header.offset >= from {
                if !records.is_empty() && payload_bytes + header.payload_bytes > bytes_max {
                    return Ok(records);
                }
                payload_bytes += header.payload_bytes;
                records.push(Record {
                    offset: header.offset,
                    appended_at_unix_ms: header.appended_at_unix_ms,
                    payload: frame.slice(FRAME_HEADER_BYTES..),
                });
            }
            at = FrameStart { offset: at.offset.next(), position: window.position };
            self.note(at);
        }
        match sealed_at {
            Some(next_base) if next_base != at.offset => {
                Err(self.corrupt(at.position, "the segment's last records are missing"))
            }
            Some(_) | None => Ok(records),
        }
    }

    /// The header of the frame at `at`, with the whole sound frame in the window.
    fn frame_at(&self, window: &mut Window, at: FrameStart) -> Result<FrameHeader, LogError> {
        let cut_off = "a frame is cut off";
        if !window.fill(FRAME_HEADER_BYTES).map_err(|error| self.io(error))? {
            return Err(self.corrupt(at.position, cut_off));
        }
        let Some(header) = FrameHeader::decode(&window.bytes) else {
            return Err(self.corrupt(at.position, cut_off));
        };
        if header.payload_bytes > frame::PAYLOAD_BYTES_MAX
            || !window.fill(header.frame_bytes()).map_err(|error| self.io(error))?
        {
            return Err(self.corrupt(at.position, "a frame's length is impossible"));
        }
        if !frame::is_sound(&header, self.seed, &window.bytes[..header.frame_bytes()]) {
            return Err(self.corrupt(at.position, "a frame's checksum does not match"));
        }
        if header.offset != at.offset {
            return Err(self.corrupt(at.position, "a frame's offset is not the expected one"));
        }
        Ok(header)
    }

    fn io(&self, error: std::io::Error) -> LogError {
        LogError::io(format!("read {}", self.path.display()), error)
    }

    pub(super) fn corrupt(&self, position: u64, reason: &'static str) -> LogError {
        LogError::corrupt(format!("{} at byte {position}", self.path.display()), reason)
    }
}

/// The part of a file that was read ahead.
struct Window {
    file: Arc<dyn StoredFile>,
    /// Position in the file of the first of `bytes`.
    position: u64,
    bytes: Bytes,
    end: u64,
    chunk_bytes: usize,
}

impl Window {
    fn new(file: Arc<dyn StoredFile>, position: u64, end: u64, bytes_max: usize) -> Self {
        // Frame headers and what is skipped come on top of the payloads.
        let wanted = bytes_max.saturating_add(bytes_max / 4).saturating_add(CHUNK_BYTES_MIN / 2);
        let chunk_bytes = wanted.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        Self { file, position, bytes: Bytes::new(), end, chunk_bytes }
    }

    /// Makes at least `wanted` bytes available; false where the file has fewer.
    fn fill(&mut self, wanted: usize) -> std::io::Result<bool> {
        if self.bytes.len() >= wanted {
            return Ok(true);
        }
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        if left < wanted {
            return Ok(false);
        }
        let mut bytes = vec![0; left.min(self.chunk_bytes.max(wanted))];
        self.file.read_exact_at(&mut bytes, self.position)?;
        self.bytes = bytes.into();
        Ok(true)
    }

    /// Moves past the next `length` bytes, which [`fill`](Self::fill) made available.
    fn take(&mut self, length: usize) -> Bytes {
        self.position += length as u64;
        self.bytes.split_to(length)
    }
}
