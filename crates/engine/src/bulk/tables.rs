//! Table files of ascending rows, as the database will take them over.

use std::path::{Path, PathBuf};

use rocksdb::{DB, DBCompressionType, IngestExternalFileOptions, Options, SstFileWriter};

use crate::error::EngineError;
use crate::keys::Kind;
use crate::resources::Resources;

/// As large as those that compaction makes.
const TABLE_BYTES: u64 = 64 << 20;

/// Writes rows into files of one kind each, which thus do not overlap, whatever the order of the kinds.
pub(super) struct Tables<'o> {
    options: &'o TableOptions,
    folder: PathBuf,
    open: Option<Open<'o>>,
    paths: Vec<PathBuf>,
    bytes: u64,
}

/// How tables are written.
pub(super) struct TableOptions {
    /// As the database compacts them.
    packed: Options,
    /// Of bits that look random, which nothing makes shorter.
    plain: Options,
}

impl TableOptions {
    pub(super) fn new(resources: &Resources) -> Self {
        let mut plain = resources.options();
        plain.set_compression_type(DBCompressionType::None);
        plain.set_bottommost_compression_type(DBCompressionType::None);
        Self { packed: resources.options(), plain }
    }

    fn of(&self, key: &[u8]) -> &Options {
        let is_filter = key.first() == Some(&(Kind::Pairs as u8));
        if is_filter { &self.plain } else { &self.packed }
    }
}

struct Open<'o> {
    writer: SstFileWriter<'o>,
    kind: Option<u8>,
    rows: u32,
}

/// How often the size of the file is looked at.
const ROWS_BETWEEN_LOOKS: u32 = 64;

impl<'o> Tables<'o> {
    pub(super) fn new(options: &'o TableOptions, folder: &Path) -> Self {
        Self { options, folder: folder.to_owned(), open: None, paths: Vec::new(), bytes: 0 }
    }

    /// Adds a row; the keys of one kind ascend, and one kind follows another.
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        let is_full = self.open.as_ref().is_some_and(|open| {
            open.kind != key.first().copied()
                || (open.rows.is_multiple_of(ROWS_BETWEEN_LOOKS)
                    && open.writer.file_size() >= TABLE_BYTES)
        });
        if is_full {
            self.close()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let path = self.folder.join(format!("{:06}.sst", self.paths.len()));
                let writer = SstFileWriter::create(self.options.of(key));
                writer.open(&path).map_err(failed)?;
                self.paths.push(path);
                self.open.insert(Open { writer, kind: key.first().copied(), rows: 0 })
            }
        };
        open.rows = open.rows.wrapping_add(1);
        open.writer.put(key, value).map_err(failed)
    }

    fn close(&mut self) -> Result<(), EngineError> {
        if let Some(mut open) = self.open.take() {
            open.writer.finish().map_err(failed)?;
            self.bytes = self.bytes.saturating_add(open.writer.file_size());
        }
        Ok(())
    }

    /// Makes the rows the database's, which has none of their kinds; returns the bytes of the files.
    pub(super) fn finish(mut self, database: &DB) -> Result<u64, EngineError> {
        self.close()?;
        if self.paths.is_empty() {
            return Ok(0);
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        // An overlap would be a mistake made here.
        options.set_allow_global_seqno(false);
        database.ingest_external_file_opts(&options, self.paths).map_err(failed)?;
        Ok(self.bytes)
    }
}

fn failed(source: rocksdb::Error) -> EngineError {
    EngineError::Storage { operation: "build", source }
}
