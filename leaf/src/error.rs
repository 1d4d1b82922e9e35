//! What ends a request or a start, and the status each becomes.

use std::time::Duration;

use nautilus_engine::EngineError;
use nautilus_identity::GrantError;
use nautilus_mutation_log::LogError;
use nautilus_proto::QueryDecodeError;
use nautilus_query::TreeError;
use nautilus_service::RpcError;
use nautilus_service::worker_pool::PoolError;
use nautilus_types::{Class, InvalidId, Offset, PartitionId};
use tonic::Status;

/// An error of the leaf.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// A setting cannot be.
    #[error("{key} {problem}")]
    Config {
        /// Which setting.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The log has another number of partitions than the map divides the slots into.
    #[error("the log has {log} partitions, the map {map}")]
    PartitionCount {
        /// The log's.
        log: u32,
        /// The map's.
        map: u32,
    },
    /// A thread could not be started.
    #[error("start a thread")]
    Thread(#[source] std::io::Error),
    /// The grant does not cover the request.
    #[error(transparent)]
    Grant(#[from] GrantError),
    /// The caller divided the namespaces by another map.
    #[error("the request is for version {asked} of the partition map, current is {current}")]
    StaleMap {
        /// The request's.
        asked: u64,
        /// Ours.
        current: u64,
    },
    /// A field of the request is wrong.
    #[error("{field} {problem}")]
    Field {
        /// Which field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A namespace or document id cannot be.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The query is not a tree.
    #[error(transparent)]
    Query(#[from] QueryDecodeError),
    /// The query's tree is not well-formed.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// This leaf does not serve the partition.
    #[error("partition {partition} is not served here")]
    NotServed {
        /// Which.
        partition: PartitionId,
    },
    /// The partition does not answer yet, or not any more.
    #[error("partition {partition} is {state}")]
    NotReady {
        /// Which.
        partition: PartitionId,
        /// Its state.
        state: &'static str,
    },
    /// The partition stopped; its status says why.
    #[error("partition {partition} stopped")]
    PartitionFailed {
        /// Which.
        partition: PartitionId,
    },
    /// As many streams of status are open as may be.
    #[error("{streams} streams of status are open, no more are allowed")]
    TooManyStreams {
        /// How many.
        streams: usize,
    },
    /// The offset asked for is beyond the log's end: it is not of this log.
    #[error("offset {asked} is beyond the log's end")]
    BeyondLog {
        /// What was asked for.
        asked: Offset,
    },
    /// The offset asked for was not reached within the deadline.
    #[error("the partition is at offset {applied}, {asked} was asked for")]
    Lagging {
        /// What was asked for.
        asked: Offset,
        /// How far it is.
        applied: Offset,
    },
    /// The log does not say where it ends.
    #[error("ask the log for its end")]
    Log(#[source] LogError),
    /// The caller went away before the work began.
    #[error("the caller went away")]
    Abandoned,
    /// The search pool refused or lost the job.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The engine failed.
    #[error("read the partition")]
    Engine(#[from] EngineError),
    /// Stored metadata is not what was written.
    #[error("stored metadata makes no sense")]
    Metadata(#[source] prost::DecodeError),
}

/// When to ask again for a partition that is not there yet.
const RETRY_NOT_READY: Duration = Duration::from_millis(500);
/// When to ask again a replica that is behind.
const RETRY_LAGGING: Duration = Duration::from_millis(100);

impl LeafError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Config { .. } | Self::Field { .. } | Self::Id(_) | Self::Query(_) => {
                Class::Invalid
            }
            Self::BeyondLog { .. } => Class::Invalid,
            Self::PartitionCount { .. } | Self::StaleMap { .. } | Self::NotServed { .. } => {
                Class::Precondition
            }
            Self::Thread(_) | Self::NotReady { .. } | Self::Lagging { .. } => Class::Unavailable,
            Self::PartitionFailed { .. } => Class::Unavailable,
            Self::TooManyStreams { .. } => Class::Overloaded,
            Self::Abandoned => Class::Cancelled,
            Self::Grant(error) => error.class(),
            Self::Tree(error) => error.class(),
            Self::Log(error) => error.class(),
            Self::Pool(error) => error.class(),
            Self::Engine(error) => error.class(),
            Self::Metadata(_) => Class::Corrupt,
        }
    }
}

impl From<LeafError> for Status {
    fn from(error: LeafError) -> Self {
        let class = error.class();
        let message = error.to_string();
        let of = |reason| RpcError::new(class, reason, message.clone());
        let rpc = match &error {
            LeafError::Config { .. } => of("CONFIG_INVALID"),
            LeafError::PartitionCount { .. } => of("PARTITION_COUNT_DIFFERS"),
            LeafError::Thread(_) => of("THREADS_EXHAUSTED"),
            LeafError::Grant(grant) => of(grant.reason()),
            LeafError::StaleMap { asked, current } => of("STALE_PARTITION_MAP")
                .precondition("PARTITION_MAP", asked.to_string(), message.clone())
                .with("map_version", current.to_string()),
            LeafError::Field { field, problem } => of("ARGUMENT_INVALID").field(*field, problem),
            LeafError::Id(_) => of("ID_INVALID"),
            LeafError::Query(_) => of("QUERY_TREE_INVALID").field("query", &message),
            LeafError::Tree(tree) => of(tree.reason()).field("query", &message),
            LeafError::NotServed { partition } => of("PARTITION_NOT_SERVED").precondition(
                "PARTITION",
                partition.to_string(),
                message.clone(),
            ),
            LeafError::NotReady { .. } => of("PARTITION_NOT_READY").retry_after(RETRY_NOT_READY),
            LeafError::PartitionFailed { .. } => of("PARTITION_FAILED"),
            LeafError::TooManyStreams { .. } => {
                of("STATUS_STREAMS_FULL").quota("status streams", message.clone())
            }
            LeafError::BeyondLog { .. } => of("OFFSET_BEYOND_LOG"),
            LeafError::Lagging { .. } => of("REPLICA_LAGGING").retry_after(RETRY_LAGGING),
            LeafError::Log(_) => of("LOG_UNAVAILABLE"),
            LeafError::Abandoned => of("CALLER_GONE"),
            LeafError::Pool(PoolError::Full { .. }) => {
                of("QUEUE_FULL").quota("queue", message.clone())
            }
            LeafError::Pool(PoolError::Closed { .. }) => of("LEAF_DRAINING"),
            LeafError::Pool(PoolError::Panicked { .. }) => of("SEARCH_PANICKED"),
            LeafError::Engine(_) | LeafError::Metadata(_) => of("PARTITION_READ_FAILED"),
        };
        rpc.caused_by(error).into_status()
    }
}
