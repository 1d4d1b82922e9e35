//! A partition of one moment in a folder of its own, made of hard links while the writer goes on.

use std::path::Path;

use nautilus_types::Offset;
use rocksdb::{DB, Options};

use crate::error::EngineError;
use crate::namespaces::Totals;
use crate::partition::{META_APPLIED, Partition, meta_offset};

/// What a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Every record below this offset is in it, none at or above.
    pub next_offset: Offset,
    /// Live documents.
    pub documents: u64,
}

impl Partition {
    /// Makes a folder that [`Partition::open`] opens as this partition at one offset, synced to disk: the files of a
    /// snapshot and no others.
    ///
    /// `dir` must not exist and its parent must, on the same file system: table files are linked, not copied. The
    /// writer and searchers go on; what is applied when this begins is in the checkpoint, and maybe some of what is
    /// applied until it returns. A folder left by a failure is not a checkpoint and may be removed.
    pub fn checkpoint(&self, dir: &Path) -> Result<Checkpoint, EngineError> {
        if dir.exists() {
            let source = std::io::ErrorKind::AlreadyExists.into();
            return Err(EngineError::Folder { operation: "create", path: dir.to_owned(), source });
        }
        // Without a write-ahead log only table files count: this flushes first, and then takes the files of one
        // moment. Memory is flushed in the order it was written and no batch is parted, so those files are a prefix of
        // the log. How long a prefix, only they say: another flush may have come in between.
        rocksdb::checkpoint::Checkpoint::new(&self.shared.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(dir))
            .map_err(failed)?;
        let checkpoint = read(dir)?;
        remove_empty_logs(dir)?;
        // The same files are the partition's own.
        self.shared.became_durable(checkpoint.next_offset);
        Ok(checkpoint)
    }
}

fn read(dir: &Path) -> Result<Checkpoint, EngineError> {
    let db = DB::open_for_read_only(&Options::default(), dir, false).map_err(failed)?;
    let next_offset = meta_offset(&db, META_APPLIED)?;
    let Totals { documents, .. } = Totals::read(&db)?;
    Ok(Checkpoint { next_offset, documents })
}

/// A database has a write-ahead log of its own, which stays empty here. One that is not empty stays: nobody takes such a
/// folder for a snapshot.
fn remove_empty_logs(dir: &Path) -> Result<(), EngineError> {
    let remove = || {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let is_log = entry.path().extension().is_some_and(|extension| extension == "log");
            if is_log && entry.metadata()?.len() == 0 {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    let failed = |source| EngineError::Folder { operation: "clear", path: dir.to_owned(), source };
    remove().map_err(failed)
}

fn failed(source: rocksdb::Error) -> EngineError {
    EngineError::Storage { operation: "checkpoint", source }
}
