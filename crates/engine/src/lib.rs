//! The retrieval engine of one partition: documents in, ranked candidates out. Synchronous, no network, no clock.
//!
//! ```text
//! Mutation ─► Writer: rules ─► diff of tokens ─► buffer of postings ─► lists on disk, when it is full
//!                                            └► one WriteBatch (rows + redo row + applied offset) ─► RocksDB
//! query Node ─► Searcher (one snapshot) ─► lists per chunk ─► bit sets ─► filter ─► phrases of survivors ─► BM25 or a number ─► top-k
//! ```
//!
//! The inverted index is written *exploded*, one blind change for each (namespace, token, document), so an
//! edit writes only the postings that changed. Changes gather in a buffer, are written as lists of changes, and RocksDB's compaction
//! makes packed lists of those. A search lays on each other what it finds in the three, and cannot leave its namespace.
//! The write-ahead log is off: the mutation log is the log, and the applied offset travels in the batch of its rows.
//! Formats are drawn in `docs/formats/partition.md`; the decisions stand in `docs/adr/`.
//!
//! What it does not do: decide who may read what, talk to a log, or know any wire format.

mod apply;
mod bits;
mod bulk;
mod checkpoint;
mod columns;
mod common;
mod diff;
mod digest;
mod document_ids;
mod error;
mod keys;
mod labels;
mod mutation;
mod namespaces;
mod ordinals;
mod partition;
mod postings;
mod read;
mod rebuild;
mod resources;
mod rows;
mod scrub;
mod search;
mod skipped;
mod spelling;
mod suggest;

pub use apply::Writer;
pub use bulk::{BulkBuilder, BulkSummary};
pub use checkpoint::Checkpoint;
pub use digest::{Depth, Digest, Digests};
pub use error::EngineError;
pub use mutation::{Attributes, Condition, Delete, Mutation, Operation, Outcome, Patch, Upsert};
pub use partition::{FORMAT_VERSION, Partition, PartitionIdentity, PartitionStatistics};
pub use read::{ListedDocument, Searcher, StoredDocument};
pub use resources::Resources;
pub use scrub::scrub;
pub use search::{
    Budget, Candidate, Cursor, Filter, NumberRange, ScopeEntry, ScopeStatistics, SearchOutcome,
    SearchRequest, Sort, SortKey, Unlimited,
};
pub use skipped::SkippedRecord;
pub use suggest::{SuggestOutcome, Suggestion};
