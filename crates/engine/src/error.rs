//! What can go wrong in a partition, by the decision it asks for.

use std::path::PathBuf;

use nautilus_types::{Class, LogGeneration, Offset};

use crate::rows::Malformed;

/// Failure of a partition's operation.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// RocksDB said no: disk full, input/output error, corruption it found itself.
    #[error("{operation} the partition's database")]
    Storage {
        /// What was attempted: "open", "read", "write", "flush", "checkpoint".
        operation: &'static str,
        /// RocksDB's words.
        #[source]
        source: rocksdb::Error,
    },
    /// A file or folder of the partition.
    #[error("{operation} {}", path.display())]
    Folder {
        /// What was attempted.
        operation: &'static str,
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Bytes that no encoder of ours writes.
    #[error("stored bytes make no sense")]
    Malformed(#[from] Malformed),
    /// A row that must be there is not.
    #[error("the {row} row of an existing document is missing")]
    Missing {
        /// The kind of row.
        row: &'static str,
    },
    /// Rows that make sense each contradict each other.
    #[error("stored rows contradict each other: {what}")]
    Inconsistent {
        /// In what.
        what: &'static str,
    },
    /// The folder belongs to another cluster, log generation or partition.
    #[error("the folder holds partition {found}, not {expected}")]
    OtherIdentity {
        /// What the folder says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Written by newer code.
    #[error("the folder has format {found}, this program reads up to {supported}")]
    NewerFormat {
        /// What the folder says.
        found: u32,
        /// The newest this program knows.
        supported: u32,
    },
    /// An earlier write failed; what is in memory may be ahead of what is stored.
    #[error("the writer stopped at an earlier error, at offset {at}")]
    WriterStopped {
        /// The offset that failed.
        at: Offset,
    },
    /// More namespaces or documents than numbers.
    #[error("out of {what} numbers")]
    NumbersExhausted {
        /// Which numbers.
        what: &'static str,
    },
    /// Statistics for another query than the one asked.
    #[error(
        "the statistics have {found} document frequencies, the query has {expected} scoring leaves"
    )]
    StatisticsOfOtherQuery {
        /// Scoring leaves of the query.
        expected: usize,
        /// Document frequencies given.
        found: usize,
    },
    /// Documents that a bulk build does not take.
    #[error("a bulk build does not take {0}")]
    BulkInput(&'static str),
    /// A query tree that the limits do not allow.
    #[error("the query is not well formed: {0}")]
    Query(&'static str),
}

impl EngineError {
    /// The decision this error asks for.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Storage { source, .. } if source.kind() == rocksdb::ErrorKind::Corruption => {
                Class::Corrupt
            }
            Self::Storage { .. } => Class::Unavailable,
            Self::Folder { .. } | Self::WriterStopped { .. } => Class::Unavailable,
            Self::Malformed(_) | Self::Missing { .. } | Self::Inconsistent { .. } => Class::Corrupt,
            Self::OtherIdentity { .. }
            | Self::NewerFormat { .. }
            | Self::NumbersExhausted { .. } => Class::Precondition,
            Self::Query(_) | Self::BulkInput(_) | Self::StatisticsOfOtherQuery { .. } => {
                Class::Invalid
            }
        }
    }

    /// Whether the disk reports an error of its own, such as a sector that cannot be read. RocksDB tells it from a lack of
    /// file descriptors, which passes by itself, by the system's words only.
    #[must_use]
    pub fn is_disk_error(&self) -> bool {
        let Self::Storage { source, .. } = self else { return false };
        source.kind() == rocksdb::ErrorKind::IOError
            && source.as_ref().contains("Input/output error")
    }

    pub(crate) fn read(source: rocksdb::Error) -> Self {
        Self::Storage { operation: "read", source }
    }
}

/// Formats cluster, generation and partition for [`EngineError::OtherIdentity`].
pub(crate) fn identity_text(
    cluster_id: [u8; 16],
    generation: LogGeneration,
    partition: u32,
) -> String {
    let cluster: String = cluster_id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{partition} of cluster {cluster}, log generation {generation}")
}
