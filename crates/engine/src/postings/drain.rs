//! From a full buffer to lists on disk: table files in the order of keys, which the database takes over as they are.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use nautilus_types::Offset;
use rocksdb::{DBCompressionType, IngestExternalFileOptions, Options, SstFileWriter, WriteBatch};

use super::buffers::Frozen;
use crate::error::EngineError;
use crate::keys::{self, Kind};
use crate::partition::Shared;
use crate::resources::Resources;

/// Files in the making, in the partition's folder: by these names the database does not take them for its own.
const FILES: [(Kind, &str); 2] =
    [(Kind::Posting, "lists-tokens.tmp"), (Kind::PairPosting, "lists-pairs.tmp")];

/// Added to the niceness of the thread that writes lists: a third of the weight of the writer, whose priority it would
/// have otherwise, and which nobody who fills the next buffer waits for.
const NICER: u8 = 5;

/// What writes lists: none, or a thread that is not known to have ended.
pub(super) type Drain = Option<JoinHandle<Result<(), EngineError>>>;

/// How files of lists are written: a compaction packs them soon, so with the lightest compression.
pub(crate) fn options(resources: &Resources) -> Options {
    let mut options = resources.options();
    options.set_bottommost_compression_type(DBCompressionType::Lz4);
    options
}

/// Removes what an interrupted drain left: redo rows say all of it.
pub(crate) fn remove_leftovers(dir: &Path) -> Result<(), EngineError> {
    for (_, name) in FILES {
        let path = dir.join(name);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(EngineError::Folder { operation: "remove", path, source });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Has lists written, in a thread, if the buffer is full for the record at `next`. For the writer, between records.
pub(crate) fn tend(shared: &Arc<Shared>, next: Offset) -> Result<(), EngineError> {
    // Who else has it drains just now.
    let Some(mut drain) = shared.buffers.drain.try_lock() else { return Ok(()) };
    if drain.as_ref().is_some_and(JoinHandle::is_finished) {
        join(&mut drain)?;
    }
    if !shared.buffers.is_full(next) {
        return Ok(());
    }
    // A disk that is slower than the log makes the log wait.
    join(&mut drain)?;
    let Some(frozen) = shared.buffers.freeze(next) else { return Ok(()) };
    let of_thread = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("lists".to_owned());
    let thread = thread.spawn(move || {
        // Who may not step back writes at the priority it has.
        let _ = nautilus_scheduling::give_way(NICER);
        run(&of_thread, frozen)
    });
    let path = || shared.dir().to_owned();
    let failed =
        |source| EngineError::Folder { operation: "start writing lists", path: path(), source };
    *drain = Some(thread.map_err(failed)?);
    Ok(())
}

/// Writes lists of all that is applied, and returns when they are on disk.
pub(crate) fn all(shared: &Shared) -> Result<(), EngineError> {
    let mut drain = shared.buffers.drain.lock();
    join(&mut drain)?;
    let frozen = {
        let _still = shared.buffers.between_records();
        shared.buffers.freeze(shared.applied()?)
    };
    frozen.map_or(Ok(()), |frozen| run(shared, frozen))
}

/// Waits for lists that are being written.
pub(crate) fn finish(shared: &Shared) -> Result<(), EngineError> {
    join(&mut shared.buffers.drain.lock())
}

fn join(drain: &mut Drain) -> Result<(), EngineError> {
    let Some(thread) = drain.take() else { return Ok(()) };
    let panicked = |_| EngineError::Inconsistent { what: "a buffer could not be written" };
    thread.join().map_err(panicked)?
}

/// Writes the frozen buffer's lists, and only then removes what would bring it back.
fn run(shared: &Shared, frozen: Frozen) -> Result<(), EngineError> {
    // Lists must not be ahead of the other rows on disk: who is killed here begins again at the offset of those, and
    // would have postings of documents that it does not have yet.
    shared.flush()?;
    ingest(shared, &frozen)?;
    let still = shared.buffers.between_records();
    let mut batch = WriteBatch::default();
    batch.delete_range(keys::redo(Offset(0)), keys::redo(frozen.end));
    // Namespaces that ended meanwhile may have got rows back.
    for ns in shared.buffers.ended() {
        for kind in Kind::POSTINGS {
            batch.delete_range(keys::of_namespace(kind, ns), keys::after_namespace(kind, ns));
        }
    }
    shared.write(batch)?;
    shared.labels.renumber(shared.db.latest_sequence_number());
    shared.buffers.forget_frozen();
    drop(still);
    // The last of its memory goes here, not with a search or a record, unless one still reads it.
    drop(frozen);
    Ok(())
}

/// Writes the lists to files, which become the database's.
fn ingest(shared: &Shared, frozen: &Frozen) -> Result<(), EngineError> {
    let mut files = Vec::new();
    for (kind, name) in FILES {
        let path = shared.dir().join(name);
        if write(&shared.list_options, &path, kind, frozen)? {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Ok(());
    }
    let mut options = IngestExternalFileOptions::default();
    options.set_move_files(true);
    shared.db.ingest_external_file_opts(&options, files).map_err(storage)
}

/// Writes the lists of one kind; false, and no file, where there are none.
fn write(options: &Options, path: &Path, kind: Kind, frozen: &Frozen) -> Result<bool, EngineError> {
    let mut file = SstFileWriter::create(options);
    let mut is_open = false;
    let is_gone = |ns| frozen.gone.contains(&ns);
    frozen.buffer().all_rows(kind, is_gone, &mut |key, changes| {
        if !is_open {
            file.open(path).map_err(storage)?;
            is_open = true;
        }
        file.merge(key, changes).map_err(storage)
    })?;
    if is_open {
        file.finish().map_err(storage)?;
    }
    Ok(is_open)
}

fn storage(source: rocksdb::Error) -> EngineError {
    EngineError::Storage { operation: "write lists into", source }
}

#[cfg(test)]
mod tests;
