//! Opening one partition: checks its files, cuts a torn tail, refuses corruption.
//!
//! Only the last segment is scanned. Records in older ones were durable before it was made; their
//! frames are checked whenever they are read.
//!
//! **Torn tail or corruption.** A crash may leave the last commit group in any state: absent, cut
//! off, or with later parts on disk and earlier ones not. None of it was acknowledged unless all of
//! it was synced. So damage at the frame of offset n is a torn tail, and is cut there, unless
//! something says that record n was durable:
//!
//! - the `durable` mark, written after every sync, is above n; or
//! - a sound frame further on was written when everything below an offset above n was durable.
//!
//! Then acknowledged records are damaged, and the log does not open. What escapes: damage within
//! the last group before a power cut that also took the unsynced `durable` mark of that group.

use std::path::Path;
use std::sync::Arc;

use nautilus_types::{Offset, PartitionId};

use super::files::{self, Mark, SEGMENT_HEADER_BYTES, SEGMENT_HEADER_END};
use super::frame::{self, FRAME_HEADER_BYTES, FrameHeader};
use super::segment::{FrameStart, Segment};
use super::storage::{LogStorage, StoredFile};
use crate::{LogError, LogIdentity};

/// A partition as found on disk; everything in it is durable.
#[derive(Debug)]
pub(super) struct Recovered {
    /// Ascending and without gaps; never empty. The last takes the appends.
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) low: Offset,
    pub(super) high: Offset,
    /// Bytes of a torn tail that were cut.
    pub(super) cut_bytes: u64,
    /// The file of the `durable` mark.
    pub(super) durable_mark: Arc<dyn StoredFile>,
}

/// Recovers the partition in `dir`.
pub(super) fn recover(
    storage: &dyn LogStorage,
    dir: &Path,
    identity: &LogIdentity,
    partition: PartitionId,
) -> Result<Recovered, LogError> {
    let low = Mark::Low.read(storage, dir)?.unwrap_or(Offset(0));
    // A torn mark is no mark: it is overwritten in place and only ever helps.
    let durable = match Mark::Durable.read(storage, dir) {
        Err(LogError::Corrupt { .. }) => None,
        other => other?,
    };
    let bases = segments_from(storage, dir, low)?;
    let mut segments = Vec::with_capacity(bases.len());
    for (i, base) in bases.iter().enumerate() {
        let path = files::segment_path(dir, *base);
        let file = open(storage, &path)?;
        let size = check_header(&*file, identity, partition, *base, &path)?;
        let segment = Segment::new(*base, path, files::frame_seed(identity, partition, *base));
        if let Some(next) = bases.get(i + 1) {
            segment.seal(*next);
            segment.set_end(size);
        }
        segments.push(Arc::new(segment));
    }
    let Some(last) = segments.last() else {
        return Err(LogError::corrupt(dir.display().to_string(), "there are no segments"));
    };
    let (high, cut_bytes) = recover_last(storage, last, durable)?;
    let durable_mark = start_mark(storage, dir, high)
        .map_err(|error| in_dir("write the durable mark of", dir, error))?;
    Ok(Recovered { segments, low, high, cut_bytes, durable_mark })
}

/// Base offsets of the segments from `low` on, after removing what unfinished work left behind.
fn segments_from(
    storage: &dyn LogStorage,
    dir: &Path,
    low: Offset,
) -> Result<Vec<Offset>, LogError> {
    let names = storage.list(dir).map_err(|error| in_dir("list", dir, error))?;
    let remove = |name: &str| {
        storage.remove(&dir.join(name)).map_err(|error| in_dir("remove files of", dir, error))
    };
    let mut bases = Vec::new();
    for name in &names {
        match files::segment_base(name) {
            // A trim moved the mark and did not get to the file.
            Some(base) if base < low => remove(name)?,
            Some(base) => bases.push(base),
            None if files::is_unfinished(name) => remove(name)?,
            None => {}
        }
    }
    bases.sort_unstable();
    if bases.first() != Some(&low) {
        let reason = "the segment of the low watermark is missing";
        return Err(LogError::corrupt(dir.display().to_string(), reason));
    }
    Ok(bases)
}

/// Checks the header and returns the size of the file.
fn check_header(
    file: &dyn StoredFile,
    identity: &LogIdentity,
    partition: PartitionId,
    base: Offset,
    path: &Path,
) -> Result<u64, LogError> {
    let read = || {
        let size = file.size()?;
        let mut header = vec![0; SEGMENT_HEADER_BYTES.min(usize::try_from(size).unwrap_or(0))];
        file.read_exact_at(&mut header, 0)?;
        Ok((size, header))
    };
    let (size, header) =
        read().map_err(|error| LogError::io(format!("read {}", path.display()), error))?;
    files::check_segment_header(&header, identity, partition, base, path)?;
    Ok(size)
}

/// Scans the segment that takes the appends, cuts a torn tail, makes the rest durable. Returns the
/// high watermark and how many bytes were cut.
fn recover_last(
    storage: &dyn LogStorage,
    segment: &Segment,
    durable: Option<Offset>,
) -> Result<(Offset, u64), LogError> {
    let path = segment.path();
    let failed = |error| LogError::io(format!("recover {}", path.display()), error);
    let file = open(storage, path)?;
    let size = file.size().map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0).map_err(failed)?;

    let found = scan(&bytes, segment, durable.unwrap_or(segment.base()));
    if durable.is_some_and(|durable| durable > found.end.offset) {
        return Err(segment.corrupt(found.end.position, "acknowledged records are missing"));
    }
    let end = usize::try_from(found.end.position).unwrap_or(bytes.len());
    if is_proven_durable(&bytes[end..], segment.seed(), found.end.offset) {
        return Err(segment.corrupt(found.end.position, "an acknowledged record is damaged"));
    }
    if found.end.position < size {
        file.set_size(found.end.position).map_err(failed)?;
    }
    // After a failed sync the system may hold clean pages that the disk has not: written once more,
    // they are dirty, and this sync speaks for them.
    let unsure = usize::try_from(found.durable_position).unwrap_or(0);
    file.write_all_at(&bytes[unsure..end], found.durable_position).map_err(failed)?;
    file.sync().map_err(failed)?;
    segment.set_end(found.end.position);
    Ok((found.end.offset, size - found.end.position))
}

/// What a scan of frames came to.
struct Scan {
    /// After the last sound frame.
    end: FrameStart,
    /// Where the records that the mark does not cover begin.
    durable_position: u64,
}

/// Follows sound frames from the header on and notes their positions.
fn scan(bytes: &[u8], segment: &Segment, durable: Offset) -> Scan {
    let mut rest = bytes.get(SEGMENT_HEADER_BYTES..).unwrap_or(&[]);
    let mut end = FrameStart { offset: segment.base(), position: SEGMENT_HEADER_END };
    let mut durable_position = end.position;
    while let Some(header) = sound_frame(rest, segment.seed())
        && header.offset == end.offset
    {
        rest = &rest[header.frame_bytes()..];
        let position = end.position + header.frame_bytes() as u64;
        end = FrameStart { offset: end.offset.next(), position };
        segment.note(end);
        if end.offset <= durable {
            durable_position = position;
        }
    }
    Scan { end, durable_position }
}

/// Whether a sound frame anywhere in `rest` says that the record of `damaged` was durable. Frame
/// starts are lost behind damage, so every position is tried; only offsets that fit are checked.
fn is_proven_durable(rest: &[u8], seed: u32, damaged: Offset) -> bool {
    let offset_max = damaged.0.saturating_add((rest.len() / FRAME_HEADER_BYTES) as u64);
    (0..rest.len()).any(|at| {
        FrameHeader::decode(&rest[at..]).is_some_and(|header| {
            header.offset > damaged
                && header.offset.0 <= offset_max
                && header.durable_before().is_some_and(|durable| durable > damaged)
                && sound_frame(&rest[at..], seed).is_some()
        })
    })
}

/// The header of the frame at the start of `bytes` if all of it is there and sound.
fn sound_frame(bytes: &[u8], seed: u32) -> Option<FrameHeader> {
    let header = FrameHeader::decode(bytes)?;
    let frame = bytes.get(..header.frame_bytes())?;
    frame::is_sound(&header, seed, frame).then_some(header)
}

fn open(storage: &dyn LogStorage, path: &Path) -> Result<Arc<dyn StoredFile>, LogError> {
    storage
        .open(path, false)
        .map_err(|error| LogError::io(format!("open {}", path.display()), error))
}

/// Writes the `durable` mark and makes it, its name and what was removed beside it durable.
fn start_mark(
    storage: &dyn LogStorage,
    dir: &Path,
    high: Offset,
) -> std::io::Result<Arc<dyn StoredFile>> {
    let file = storage.open(&Mark::Durable.path(dir), true)?;
    let mark = Mark::Durable.encode(high);
    file.write_all_at(&mark, 0)?;
    file.set_size(mark.len() as u64)?;
    file.sync()?;
    storage.sync_dir(dir)?;
    Ok(file)
}

fn in_dir(what: &str, dir: &Path, error: std::io::Error) -> LogError {
    LogError::io(format!("{what} {}", dir.display()), error)
}
