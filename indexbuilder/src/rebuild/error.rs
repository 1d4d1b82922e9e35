//! Why a partition of a build was not made.

use std::path::{Path, PathBuf};

use nautilus_engine::EngineError;
use nautilus_index_repository::RepositoryError;
use nautilus_mutation_log::LogError;
use nautilus_service::PoolError;
use nautilus_types::{Class, PartitionId};

/// Failure of making a partition of a build.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The name means something else.
    #[error("a build cannot be named \"log\": that is what is fed from the log alone")]
    Name,
    /// There is no such analyzer.
    #[error(
        "there is no analyzer version {version}, only those up to {}",
        nautilus_analysis::ANALYZER_VERSION_MAX
    )]
    NoAnalyzer {
        /// What was asked for.
        version: u32,
    },
    /// There is nothing to make it of.
    #[error(
        "the repository has no sound snapshot of build {source_build} of partition {partition} that the log goes on from"
    )]
    NoSource {
        /// Which partition.
        partition: PartitionId,
        /// Of which build.
        source_build: String,
    },
    /// What was made is not what it was made of.
    #[error("partition {partition} was made with another {what} than its source has")]
    Differs {
        /// Which partition.
        partition: PartitionId,
        /// In what.
        what: &'static str,
    },
    /// Reading through ended early.
    #[error("reading the partition was interrupted")]
    Interrupted,
    /// A folder on the way.
    #[error("use the folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// No thread to work on.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
    /// The work was not done.
    #[error("make the partition")]
    Pool(#[from] PoolError),
    /// The partition.
    #[error("make the partition")]
    Engine(#[from] EngineError),
    /// The repository.
    #[error("use the index repository")]
    Repository(#[from] RepositoryError),
    /// The log.
    #[error("ask the log for its range")]
    Log(#[from] LogError),
}

impl RebuildError {
    pub(super) fn folder(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Folder { path, source }
    }

    /// The decision this error asks for.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Name | Self::NoAnalyzer { .. } => Class::Invalid,
            Self::NoSource { .. } => Class::Precondition,
            Self::Differs { .. } => Class::Corrupt,
            Self::Interrupted | Self::Pool(_) => Class::Cancelled,
            Self::Folder { .. } | Self::Thread(_) => Class::Unavailable,
            Self::Engine(error) => error.class(),
            Self::Repository(error) => error.class(),
            Self::Log(error) => error.class(),
        }
    }
}
