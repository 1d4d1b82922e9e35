//! A whole partition at once: documents in any order, postings packed as they will rest, no log and no compaction.
//!
//! ```text
//! document ─► rows ───────────────► spool ─┐ sorted runs on disk,  ┌► tables ─► database ─► <dir>
//!          └► tokens ─► inversion ─► runs ─┘ where memory is full  └  (ascending)     rename
//! ```
//!
//! Applying a log writes a change for every posting, sorts it in memory, flushes it, and packs it when files are
//! compacted. Here each posting is appended to its term's list in memory, and each list is written once. What does not
//! fit is an external sort: sorted runs in files beside the new folder, merged in the end.
//!
//! The folder is what applying the same documents in a log would have made, up to numbers and ordinals, which nobody sees.

mod documents;
mod finish;
mod inversion;
mod lists;
mod namespaces;
mod run;
mod spool;
mod stored;
mod tables;
mod terms;

use std::path::{Path, PathBuf};

use nautilus_analysis::Analyzer;
use nautilus_types::{Incarnation, NamespaceName, Offset};

use crate::error::EngineError;
use crate::mutation::Upsert;
use crate::partition::PartitionIdentity;
use crate::postings;
use crate::resources::Resources;
use crate::skipped::SkippedRecord;

use documents::{Buffers, DocumentSpools, NewDocument};
use inversion::Inversion;
use namespaces::Namespaces;
use run::Runs;

/// Of the memory a build may take: lists in memory, and rows in memory. The rest is for what is merged, compressed
/// and written, and for the namespaces.
const INVERSION_PART: usize = 2;
const SPOOL_PART: usize = 4;
/// Less than this would be written in runs too short to be merged.
const MEMORY_BYTES_MIN: usize = 1 << 20;
/// Numbers of 32 bits count bytes of terms.
const MEMORY_BYTES_MAX: usize = 4 << 30;

/// Writes a partition that does not exist yet.
pub struct BulkBuilder {
    identity: PartitionIdentity,
    resources: Resources,
    places: Places,
    analyzer: Analyzer,
    namespaces: Namespaces,
    inversion: Inversion,
    lists: Runs,
    spools: DocumentSpools,
    inversion_bytes_max: usize,
    buffers: Buffers,
    skipped: Vec<SkippedRecord>,
}

/// What a build made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkSummary {
    /// Live documents.
    pub documents: u64,
    /// Documents that another with the same id replaced, or that came with a version not above that one's.
    pub replaced: u64,
    /// Namespaces.
    pub namespaces: u64,
    /// Sorted runs that were written because memory was full.
    pub runs: u64,
    /// Bytes of all tables.
    pub table_bytes: u64,
}

/// The folders of a build: everything in one that is no partition, moved when whole.
struct Places {
    dir: PathBuf,
    work: PathBuf,
}

impl Places {
    fn new(dir: &Path) -> Self {
        let mut work = dir.as_os_str().to_owned();
        work.push(".bulk");
        Self { dir: dir.to_owned(), work: work.into() }
    }

    fn database(&self) -> PathBuf {
        self.work.join("database")
    }

    fn tables(&self) -> PathBuf {
        self.work.join("tables")
    }

    fn runs(&self) -> PathBuf {
        self.work.join("runs")
    }
}

impl BulkBuilder {
    /// Begins a partition that will be in `dir`, which must not exist; what an earlier attempt left beside it goes.
    ///
    /// At most about `memory_bytes` are held, beside the names, lengths and statistics of the namespaces: some 100 bytes
    /// for each of them and one for each document.
    pub fn create(
        dir: &Path,
        identity: &PartitionIdentity,
        analyzer: Analyzer,
        resources: &Resources,
        memory_bytes: usize,
    ) -> Result<Self, EngineError> {
        let places = Places::new(dir);
        if dir.exists() {
            let source = std::io::ErrorKind::AlreadyExists.into();
            return Err(EngineError::Folder { operation: "create", path: dir.to_owned(), source });
        }
        remove(&places.work)?;
        for folder in [places.tables(), places.runs()] {
            std::fs::create_dir_all(&folder).map_err(|source| EngineError::Folder {
                operation: "create",
                path: folder,
                source,
            })?;
        }
        let memory_bytes = memory_bytes.clamp(MEMORY_BYTES_MIN, MEMORY_BYTES_MAX);
        Ok(Self {
            identity: *identity,
            resources: resources.clone(),
            analyzer,
            namespaces: Namespaces::default(),
            inversion: Inversion::default(),
            lists: Runs::new(&places.runs(), "lists"),
            spools: DocumentSpools::new(&places.runs(), memory_bytes / SPOOL_PART),
            inversion_bytes_max: memory_bytes / INVERSION_PART,
            buffers: Buffers::default(),
            skipped: Vec::new(),
            places,
        })
    }

    /// Removes what a build that ended early left beside `dir`.
    pub fn discard(dir: &Path) -> Result<(), EngineError> {
        remove(&Places::new(dir).work)
    }

    /// Adds a document, as if by the record at `offset`; conditions are for logs and refused here.
    ///
    /// Of several with one id the last is kept, or by the rule of versions the one that the log would have kept.
    /// All documents of a namespace must be of one incarnation. After an error the build is of no use.
    pub fn add(
        &mut self,
        namespace: &NamespaceName,
        incarnation: Incarnation,
        offset: Offset,
        document: &Upsert,
    ) -> Result<(), EngineError> {
        if document.condition.is_some() {
            return Err(EngineError::BulkInput("a document with a condition"));
        }
        let document = NewDocument {
            id: document.document_id.as_bytes(),
            version: document.version,
            content_hash: document.content_hash,
            offset,
            changed_at: offset,
            texts: [&document.title, &document.path, &document.body],
            metadata: &document.metadata,
            attributes: document.attributes,
        };
        self.add_document(namespace.as_bytes(), incarnation, &document)
    }

    fn add_document(
        &mut self,
        namespace: &[u8],
        incarnation: Incarnation,
        document: &NewDocument<'_>,
    ) -> Result<(), EngineError> {
        let (at, ordinal) = self.namespaces.next_ordinal(namespace, incarnation.0)?;
        let number = self.namespaces.number(at);
        let length = documents::invert(
            &self.analyzer,
            &mut self.inversion,
            (number, ordinal),
            document.texts,
            &mut self.buffers,
        );
        self.namespaces.add(at, length);
        self.spools.put((number, ordinal), document, length, &mut self.buffers)?;
        if self.inversion.memory_bytes() >= self.inversion_bytes_max {
            self.spill_lists()?;
        }
        Ok(())
    }

    fn spill_lists(&mut self) -> Result<(), EngineError> {
        let (mut run, mut value) = (self.lists.begin()?, Vec::new());
        self.inversion.drain(|key, postings| {
            value.clear();
            postings::encode_list(&mut value, postings);
            run.put(key, &value)
        })?;
        self.lists.end(run)
    }
}

fn remove(dir: &Path) -> Result<(), EngineError> {
    match std::fs::remove_dir_all(dir) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Folder { operation: "remove", path: dir.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
