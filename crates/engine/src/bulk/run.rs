//! Sorted runs on disk and their merge: the outer half of an external sort (Knuth, The Art of Computer Programming 3, 5.4).
//!
//! ```text
//! run   (key length u32 │ value length u32 │ key │ value)…     little endian, ascending by key
//! ```
//!
//! Read back by the process that wrote it, and thrown away: what is damaged meanwhile ends the build.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufReader, BufWriter, ErrorKind, Read, Write as _};
use std::path::{Path, PathBuf};

use crate::error::EngineError;

const WRITE_BUFFER_BYTES: usize = 1 << 20;
/// Of each run that is merged.
const READ_BUFFER_BYTES: usize = 256 << 10;

/// The runs of one sort, in the order in which they were written.
pub(super) struct Runs {
    folder: PathBuf,
    name: &'static str,
    files: Vec<PathBuf>,
}

/// A run that is being written.
pub(super) struct RunWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Runs {
    pub(super) fn new(folder: &Path, name: &'static str) -> Self {
        Self { folder: folder.to_owned(), name, files: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn begin(&self) -> Result<RunWriter, EngineError> {
        let path = self.folder.join(format!("{}-{:06}", self.name, self.files.len()));
        let file = File::create_new(&path).map_err(|source| failed("create", &path, source))?;
        Ok(RunWriter { path, file: BufWriter::with_capacity(WRITE_BUFFER_BYTES, file) })
    }

    pub(super) fn end(&mut self, mut run: RunWriter) -> Result<(), EngineError> {
        run.file.flush().map_err(|source| failed("write", &run.path, source))?;
        self.files.push(run.path);
        Ok(())
    }

    /// Calls `f` with every row of all runs, ascending; of equal keys that of the earliest run comes first. Removes
    /// the files.
    pub(super) fn merge(
        self,
        mut f: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let mut heads = BinaryHeap::with_capacity(self.files.len());
        for (number, path) in self.files.iter().enumerate() {
            let mut head = Head::open(number, path)?;
            if head.advance()? {
                heads.push(Reverse(head));
            }
        }
        while let Some(mut first) = heads.peek_mut() {
            let Reverse(head) = &mut *first;
            f(&head.key, &head.value)?;
            if !head.advance()? {
                std::collections::binary_heap::PeekMut::pop(first);
            }
        }
        for path in &self.files {
            std::fs::remove_file(path).map_err(|source| failed("remove", path, source))?;
        }
        Ok(())
    }
}

impl RunWriter {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        let Self { path, file } = self;
        let mut put = || {
            let len = |bytes: &[u8]| {
                u32::try_from(bytes.len())
                    .map_err(|_| std::io::Error::from(ErrorKind::InvalidInput))
            };
            file.write_all(&len(key)?.to_le_bytes())?;
            file.write_all(&len(value)?.to_le_bytes())?;
            file.write_all(key)?;
            file.write_all(value)
        };
        put().map_err(|source| failed("write", path, source))
    }
}

/// The next row of a run.
struct Head<'a> {
    run: usize,
    path: &'a Path,
    file: BufReader<File>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl<'a> Head<'a> {
    fn open(run: usize, path: &'a Path) -> Result<Self, EngineError> {
        let file = File::open(path).map_err(|source| failed("open", path, source))?;
        let file = BufReader::with_capacity(READ_BUFFER_BYTES, file);
        Ok(Self { run, path, file, key: Vec::new(), value: Vec::new() })
    }

    /// Reads the next row; false at the end.
    fn advance(&mut self) -> Result<bool, EngineError> {
        self.try_advance().map_err(|source| failed("read", self.path, source))
    }

    fn try_advance(&mut self) -> std::io::Result<bool> {
        let mut lengths = [0; 8];
        match self.file.read_exact(&mut lengths[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        self.file.read_exact(&mut lengths[1..])?;
        let lengths = u64::from_le_bytes(lengths);
        for (into, len) in
            [(&mut self.key, lengths & 0xFFFF_FFFF), (&mut self.value, lengths >> 32)]
        {
            into.clear();
            let read = (&mut self.file).take(len).read_to_end(into)?;
            if u64::try_from(read).ok() != Some(len) {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(true)
    }
}

impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key).then(self.run.cmp(&other.run))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

fn failed(operation: &'static str, path: &Path, source: std::io::Error) -> EngineError {
    EngineError::Folder { operation, path: path.to_owned(), source }
}
