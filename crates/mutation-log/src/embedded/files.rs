//! Names, headers and small files of the embedded log's directory.
//!
//! All numbers are little-endian; checksums are CRC-32C (RFC 3720, section 12.1).
//!
//! ```text
//! <dir>/lock                                     held while the log is open; no content
//! <dir>/identity                                 written last when a log is made, then never again
//! <dir>/partition-00000/<base offset>.segment    20 digits, so that names sort like offsets
//! <dir>/partition-00000/low                      mark: first readable offset; absent means 0
//! <dir>/partition-00000/durable                  mark: all records below were synced; may be behind
//! <dir>/partition-00000/<name>.new               being made; removed when found on opening
//!
//! identity, 44 bytes                     segment header, 52 bytes          mark, 24 bytes
//!  0  8  "NAUTLOG\0"                      0  8  "NAUTSEG\0"                 0  8  "NAUTLOW\0" or "NAUTDUR\0"
//!  8  4  version = 1                      8  4  version = 1                 8  4  version = 1
//! 12  4  partitions                      12  4  partition                  12  8  offset
//! 16 16  cluster id                      16 16  cluster id                 20  4  checksum of bytes 0..20
//! 32  8  generation                      32  8  generation
//! 40  4  checksum of bytes 0..40         40  8  base offset
//!                                        48  4  checksum of bytes 0..48
//! ```

use std::path::{Path, PathBuf};

use nautilus_types::{LogGeneration, Offset, PartitionId};

use super::storage::LogStorage;
use crate::{LogError, LogIdentity};

/// The version in every file of the log.
pub(super) const VERSION: u32 = 1;
pub(super) const SEGMENT_HEADER_BYTES: usize = 52;
/// The same as a position in the file.
pub(super) const SEGMENT_HEADER_END: u64 = 52;

const IDENTITY_BYTES: usize = 44;
const MARK_BYTES: usize = 24;
const IDENTITY_MAGIC: [u8; 8] = *b"NAUTLOG\0";
const SEGMENT_MAGIC: [u8; 8] = *b"NAUTSEG\0";
const LOW_MAGIC: [u8; 8] = *b"NAUTLOW\0";
const DURABLE_MAGIC: [u8; 8] = *b"NAUTDUR\0";

const SEGMENT_SUFFIX: &str = ".segment";
const NEW_SUFFIX: &str = ".new";

/// The two offsets a partition remembers beside its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Low,
    Durable,
}

impl Mark {
    pub(super) fn path(self, dir: &Path) -> PathBuf {
        match self {
            Self::Low => dir.join("low"),
            Self::Durable => dir.join("durable"),
        }
    }

    fn magic(self) -> [u8; 8] {
        match self {
            Self::Low => LOW_MAGIC,
            Self::Durable => DURABLE_MAGIC,
        }
    }

    pub(super) fn encode(self, offset: Offset) -> Vec<u8> {
        let mut out = Vec::with_capacity(MARK_BYTES);
        out.extend(self.magic());
        out.extend(VERSION.to_le_bytes());
        out.extend(offset.0.to_le_bytes());
        seal(out)
    }

    /// The offset in the mark's file, or `None` where there is no file.
    pub(super) fn read(
        self,
        storage: &dyn LogStorage,
        dir: &Path,
    ) -> Result<Option<Offset>, LogError> {
        let path = self.path(dir);
        let Some(bytes) = read_small(storage, &path)? else {
            return Ok(None);
        };
        let fields = unseal::<MARK_BYTES>(&bytes, self.magic(), &path)?;
        Ok(Some(Offset(fields.u64_at(12))))
    }
}

pub(super) fn lock_path(dir: &Path) -> PathBuf {
    dir.join("lock")
}

pub(super) fn identity_path(dir: &Path) -> PathBuf {
    dir.join("identity")
}

pub(super) fn partition_dir(dir: &Path, partition: PartitionId) -> PathBuf {
    dir.join(format!("partition-{:05}", partition.0))
}

pub(super) fn segment_path(partition_dir: &Path, base: Offset) -> PathBuf {
    partition_dir.join(format!("{:020}{SEGMENT_SUFFIX}", base.0))
}

/// The base offset in a segment's name; `None` for any other file.
pub(super) fn segment_base(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SEGMENT_SUFFIX)?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok().map(Offset)).flatten()
}

/// Whether a file was being made by [`publish`] when the process ended. Only names that we make.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_suffix(NEW_SUFFIX)
        .is_some_and(|done| ["identity", "low"].contains(&done) || segment_base(done).is_some())
}

pub(super) fn encode_identity(identity: &LogIdentity) -> Vec<u8> {
    let mut out = Vec::with_capacity(IDENTITY_BYTES);
    out.extend(IDENTITY_MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(identity.partitions.to_le_bytes());
    out.extend(identity.cluster_id);
    out.extend(identity.generation.0.to_le_bytes());
    seal(out)
}

/// The identity of the log in `dir`, or `None` where none was finished there.
pub(super) fn read_identity(
    storage: &dyn LogStorage,
    dir: &Path,
) -> Result<Option<LogIdentity>, LogError> {
    let path = identity_path(dir);
    let Some(bytes) = read_small(storage, &path)? else {
        return Ok(None);
    };
    let fields = unseal::<IDENTITY_BYTES>(&bytes, IDENTITY_MAGIC, &path)?;
    Ok(Some(LogIdentity {
        partitions: fields.u32_at(12),
        cluster_id: fields.array_at(16),
        generation: LogGeneration(fields.u64_at(32)),
    }))
}

/// Header of the segment of `partition` that begins at `base`.
pub(super) fn encode_segment_header(
    identity: &LogIdentity,
    partition: PartitionId,
    base: Offset,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    out.extend(SEGMENT_MAGIC);
    out.extend(VERSION.to_le_bytes());
    out.extend(partition.0.to_le_bytes());
    out.extend(identity.cluster_id);
    out.extend(identity.generation.0.to_le_bytes());
    out.extend(base.0.to_le_bytes());
    seal(out)
}

/// Checks that a segment's header is the one it must have, naming the first difference.
pub(super) fn check_segment_header(
    found: &[u8],
    identity: &LogIdentity,
    partition: PartitionId,
    base: Offset,
    path: &Path,
) -> Result<(), LogError> {
    unseal::<SEGMENT_HEADER_BYTES>(found, SEGMENT_MAGIC, path)?;
    if found != encode_segment_header(identity, partition, base) {
        let reason = "the header is of another log, partition or offset";
        return Err(LogError::corrupt(path.display().to_string(), reason));
    }
    Ok(())
}

/// Where the checksum of every frame of this segment starts: the header's own checksum, so that
/// frames copied from another log, partition or segment are not sound here. (The checksum of the
/// whole header would not do: over bytes and their own CRC it is the same constant for all.)
pub(super) fn frame_seed(identity: &LogIdentity, partition: PartitionId, base: Offset) -> u32 {
    let header = encode_segment_header(identity, partition, base);
    crc32c::crc32c(&header[..SEGMENT_HEADER_BYTES - 4])
}

/// Puts a whole file in place durably: under its name there is all of it or what was before.
pub(super) fn publish(storage: &dyn LogStorage, path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let write = || {
        let mut new = path.as_os_str().to_owned();
        new.push(NEW_SUFFIX);
        let new = PathBuf::from(new);
        let file = storage.open(&new, true)?;
        file.set_size(0)?;
        file.write_all_at(bytes, 0)?;
        file.sync()?;
        storage.rename(&new, path)?;
        storage.sync_dir(path.parent().unwrap_or(Path::new(".")))
    };
    write().map_err(|error| LogError::io(format!("write {}", path.display()), error))
}

/// Appends the checksum of all bytes so far.
fn seal(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&out);
    out.extend(checksum.to_le_bytes());
    out
}

/// Checks length, magic, version and checksum of a sealed file or header.
fn unseal<'a, const LENGTH: usize>(
    bytes: &'a [u8],
    magic: [u8; 8],
    path: &Path,
) -> Result<Fields<'a, LENGTH>, LogError> {
    let place = || path.display().to_string();
    if !bytes.starts_with(&magic) {
        return Err(LogError::corrupt(place(), "wrong magic"));
    }
    // Before length and checksum: another version may have another layout.
    if let Some(found) = bytes.get(8..12).and_then(|version| version.try_into().ok()) {
        let found = u32::from_le_bytes(found);
        if found != VERSION {
            return Err(LogError::OtherVersion { place: place(), found, supported: VERSION });
        }
    }
    let fields: &[u8; LENGTH] =
        bytes.try_into().map_err(|_| LogError::corrupt(place(), "wrong length"))?;
    let fields = Fields(fields);
    if fields.u32_at(LENGTH - 4) != crc32c::crc32c(&bytes[..LENGTH - 4]) {
        return Err(LogError::corrupt(place(), "checksum does not match"));
    }
    Ok(fields)
}

/// Fixed-position fields of a record whose length is known.
struct Fields<'a, const LENGTH: usize>(&'a [u8; LENGTH]);

impl<const LENGTH: usize> Fields<'_, LENGTH> {
    fn array_at<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|i| self.0[at + i])
    }

    fn u32_at(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array_at(at))
    }

    fn u64_at(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array_at(at))
    }
}

/// Content of a file of at most a few dozen bytes, or `None` where it does not exist.
fn read_small(storage: &dyn LogStorage, path: &Path) -> Result<Option<Vec<u8>>, LogError> {
    let read = || {
        let file = match storage.open(path, false) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        // Longer is as wrong as shorter, and is told by the length read.
        let length = file.size()?.min(64);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(64)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Some(bytes))
    };
    read().map_err(|error| LogError::io(format!("read {}", path.display()), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ours() {
        assert_eq!(segment_base("00000000000000000042.segment"), Some(Offset(42)));
        for other in ["42.segment", "+0000000000000000042.segment", "notes.segment", "low"] {
            assert_eq!(segment_base(other), None, "{other}");
        }
        assert_eq!(segment_base("99999999999999999999.segment"), None);
        assert!(is_unfinished("low.new") && is_unfinished("00000000000000000000.segment.new"));
        assert!(!is_unfinished("mine.new") && !is_unfinished("low"));
    }
}
