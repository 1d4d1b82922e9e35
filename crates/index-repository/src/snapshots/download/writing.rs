//! One file of a download: taken up where an earlier one left it, hashed while it is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use bytes::Bytes;

use super::target::Partial;
use crate::snapshots::SnapshotFile;
use crate::source::finish;
use crate::{CHUNK_BYTES, RepositoryError, Sha256};

/// Most that is hashed and written at once.
const PIECE_BYTES: usize = 128 * 1024;

/// Consecutive bytes of a file.
pub(super) type Range = Vec<Bytes>;

/// A file that is hashed while it is written. It holds its folder, which is not removed before the
/// last file is let go of, also where the download was dropped while a file was being written.
pub(super) struct Writing {
    file: File,
    path: PathBuf,
    written_bytes: u64,
    hashing: digest::Context,
    _partial: Arc<Partial>,
}

impl Writing {
    /// Opens a file at the end of what it has, or, anew, empty.
    pub(super) fn open(
        partial: Arc<Partial>,
        wanted: &SnapshotFile,
        is_anew: bool,
    ) -> Result<Self, RepositoryError> {
        let path = partial.path().join(wanted.name.as_str());
        let open = || {
            let mut options = OpenOptions::new();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(&path)?;
            // A longer one is of no use: it is not what is wanted from its first byte on, as likely as not.
            if is_anew || file.metadata()?.len() > wanted.size_bytes {
                file.set_len(0)?;
            }
            let mut hashing = digest::Context::new(&digest::SHA256);
            let written_bytes = hash(&mut file, &mut hashing)?;
            Ok((file, written_bytes, hashing))
        };
        let (file, written_bytes, hashing) = open().map_err(|error| unwritten(&path, error))?;
        Ok(Self { file, path, written_bytes, hashing, _partial: partial })
    }

    /// How much of it there is.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    pub(super) fn append(&mut self, range: &Range) -> Result<(), RepositoryError> {
        // In pieces that are still in the processor's cache when they are written.
        for piece in range.iter().flat_map(|bytes| bytes.chunks(PIECE_BYTES)) {
            self.hashing.update(piece);
            self.file.write_all(piece).map_err(|error| unwritten(&self.path, error))?;
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            self.written_bytes = self.written_bytes.saturating_add(length);
        }
        // While others fetch, so that little is left to wait for at the end.
        self.file.sync_data().map_err(|error| unwritten(&self.path, error))
    }

    /// Makes it durable and says its hash.
    pub(super) fn finish(self) -> Result<Sha256, RepositoryError> {
        self.file.sync_all().map_err(|error| unwritten(&self.path, error))?;
        Ok(finish(self.hashing))
    }
}

/// Hashes a file from its position to its end, which is where its position is then.
fn hash(file: &mut File, hashing: &mut digest::Context) -> io::Result<u64> {
    let mut length: u64 = 0;
    if file.metadata()?.len() == 0 {
        return Ok(length);
    }
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok(length);
        }
        hashing.update(buffer.get(..read).unwrap_or_default());
        length = length.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
    }
}

pub(super) fn unwritten(path: &Path, source: io::Error) -> RepositoryError {
    RepositoryError::Local { operation: "write", path: path.to_owned(), source }
}
