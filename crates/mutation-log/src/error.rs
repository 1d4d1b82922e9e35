//! What can go wrong with a log, by what the caller should do about it.

use std::io;
use std::sync::Arc;

use nautilus_types::{Class, Offset, PartitionId};

/// An error of any mutation log.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The offset is not in the log: trimmed away, or not of this log.
    #[error("offset {asked} of partition {partition} is outside the log's range {low} to {high}")]
    OutOfRange {
        /// Where.
        partition: PartitionId,
        /// The offset asked for.
        asked: Offset,
        /// First readable offset.
        low: Offset,
        /// Next offset to be written.
        high: Offset,
    },
    /// The log does not have this partition.
    #[error("partition {partition} does not exist, the log has {partitions}")]
    NoSuchPartition {
        /// The one asked for.
        partition: PartitionId,
        /// How many there are.
        partitions: u32,
    },
    /// A record or a batch is over its bound. Nothing was appended.
    #[error("{what} is {bytes} bytes long, at most {bytes_max} are allowed")]
    TooLarge {
        /// "record" or "batch".
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// The log was closed. Nothing was appended.
    #[error("the log is closed")]
    Closed,
    /// Reading or writing failed. Nothing was appended; trying again may help.
    #[error("{action}")]
    Io {
        /// What was being done, with the place.
        action: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier sync of this partition failed, after which nothing more can be promised: it takes
    /// no appends until the log is opened again. Nothing was appended.
    #[error("partition {partition} takes no appends since a sync failed")]
    Failed {
        /// Where.
        partition: PartitionId,
        /// The failure of that sync, where it is known.
        #[source]
        source: Option<Arc<io::Error>>,
    },
    /// The append may or may not have happened.
    #[error("outcome of the append to partition {partition} is unknown")]
    UnknownOutcome {
        /// Where.
        partition: PartitionId,
        /// What happened, where it is known.
        #[source]
        source: Option<Arc<io::Error>>,
    },
    /// Stored bytes are not what was written, or acknowledged records are missing.
    #[error("{place} is corrupt: {reason}")]
    Corrupt {
        /// File and position.
        place: String,
        /// What is wrong there.
        reason: &'static str,
    },
    /// The log was made with another number of partitions.
    #[error("the log has {found} partitions, {wanted} were asked for")]
    OtherPartitions {
        /// What the log has.
        found: u32,
        /// What the configuration says.
        wanted: u32,
    },
    /// What is there, or one record of it, belongs to another log than the configured one: another cluster or
    /// generation, or a log that was made again under the same name.
    #[error("{place} belongs to another log: wanted {wanted}, found {found}")]
    OtherLog {
        /// Where that was noticed.
        place: String,
        /// The identity asked for.
        wanted: String,
        /// The identity that is there.
        found: String,
    },
    /// The log refuses this for good, for want of a right or because it was asked for something it does not do.
    /// Nothing was appended.
    #[error("{action} was refused")]
    Refused {
        /// What was asked for, with the place.
        action: String,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
    /// A file was written by another version of this program.
    #[error("{place} has format version {found}, this program reads {supported}")]
    OtherVersion {
        /// The file.
        place: String,
        /// The version in it.
        found: u32,
        /// The only version that can be read.
        supported: u32,
    },
    /// Another process, or another log in this one, has the same directory open.
    #[error("{place} is in use by another process")]
    InUse {
        /// The lock file.
        place: String,
    },
    /// The configuration of the log is not usable.
    #[error("{setting} must be {rule}")]
    BadConfig {
        /// Which setting.
        setting: &'static str,
        /// What is allowed.
        rule: &'static str,
    },
}

impl LogError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NoSuchPartition { .. } | Self::TooLarge { .. } | Self::BadConfig { .. } => {
                Class::Invalid
            }
            Self::OutOfRange { .. }
            | Self::OtherPartitions { .. }
            | Self::OtherLog { .. }
            | Self::Refused { .. }
            | Self::OtherVersion { .. }
            | Self::InUse { .. } => Class::Precondition,
            Self::Closed | Self::Io { .. } | Self::Failed { .. } | Self::UnknownOutcome { .. } => {
                Class::Unavailable
            }
            Self::Corrupt { .. } => Class::Corrupt,
        }
    }

    /// Whether an append that failed so may nevertheless be in the log.
    #[must_use]
    pub fn may_have_appended(&self) -> bool {
        matches!(self, Self::UnknownOutcome { .. })
    }

    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        Self::Io { action: action.into(), source: Arc::new(source) }
    }

    pub(crate) fn corrupt(place: impl Into<String>, reason: &'static str) -> Self {
        Self::Corrupt { place: place.into(), reason }
    }
}
