//! What ends an offline build.

use std::path::PathBuf;

use nautilus_catalog::CatalogError;
use nautilus_engine::EngineError;
use nautilus_index_repository::RepositoryError;
use nautilus_mutation_log::LogError;
use nautilus_types::{Offset, PartitionId};

use crate::IndexBuilderError;

/// Why a build cannot go on. What it published stays, and the next run goes on after that.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// Who has namespaces is not known.
    #[error("ask the catalog for a namespace")]
    Catalog(#[from] CatalogError),
    /// The log's range is not known.
    #[error("ask the log for its range")]
    Log(#[from] LogError),
    /// The repository.
    #[error("use the index repository")]
    Repository(#[from] RepositoryError),
    /// A partition.
    #[error("build partition {partition}")]
    Engine {
        /// Which.
        partition: PartitionId,
        /// Why.
        #[source]
        source: EngineError,
    },
    /// The folder of the build.
    #[error("use {}", path.display())]
    Folder {
        /// Where.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// Records that nobody has any more would be missing.
    #[error(
        "partition {partition} has no snapshot of use and its log begins at offset {log_low}: what came before would be lost"
    )]
    NothingToBuildOn {
        /// Which.
        partition: PartitionId,
        /// What the log still has.
        log_low: Offset,
    },
    /// What was written is not what is read back.
    #[error("partition {partition} was not built as it should: {problem}")]
    Unsound {
        /// Which.
        partition: PartitionId,
        /// What is wrong.
        problem: String,
    },
    /// Annotators cannot be told apart.
    #[error("begin with annotators")]
    Annotators(#[source] IndexBuilderError),
    /// A builder's thread is gone.
    #[error("a builder stopped: {0}")]
    Stopped(String),
}
