//! The index repository: snapshots of partitions, each under a name never used twice.
//!
//! ```text
//! leaf ─► publish: files ─► manifest ─► ┌────────────┐
//!                                       │ repository │ ─► newest ─► download ─► leaf on an empty disk
//!          prune, collect_orphans ────► └────────────┘
//! ```
//!
//! Here are the [`IndexRepository`] port (objects that are written once), its embedded implementation
//! in a folder ([`FolderRepository`]) and the one in a bucket of an S3-compatible service
//! ([`S3Repository`]), and [`Snapshots`] on top of the port, which decides what is stored
//! under which name and what of it is sound. What is in a partition's files is the engine's, and when to
//! publish, restore or prune is decided by the roles. [`Faulty`] injects seeded faults; every
//! implementation runs the conformance suite (feature `conformance`).

mod blocking;
mod check;
#[cfg(test)]
mod child;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod error;
mod faulty;
mod folder;
mod name;
mod pace;
mod port;
mod s3;
mod snapshots;
mod source;

pub use check::{Promise, Promises, check_promises};
pub use error::RepositoryError;
pub use faulty::{FaultPlan, Faulty, Moment};
pub use folder::FolderRepository;
pub use name::{NAME_BYTES_MAX, NAME_PART_BYTES_MAX, ObjectName};
pub use port::{IndexRepository, LIST_PAGE_MAX, ObjectMeta, Page};
pub use s3::{S3Config, S3Credentials, S3Repository};
pub use snapshots::{
    BUILD_BYTES_MAX, Collected, DIGEST_BYTES_MAX, FILES_MAX, FileName, Found, GRACE, LOG_BUILD,
    MANIFEST_VERSION, Manifest, PassedOver, Progress, Removed, RestoreProgress, Retention,
    SlotRange, SnapshotDraft, SnapshotFile, SnapshotName, Snapshots, StoredIn, TRANSFERS_MAX,
    UPLOADER_BYTES_MAX, UPLOADS_MAX, Unusable, UploadId, Wanted,
};
pub use source::{CHUNK_BYTES, OBJECT_BYTES_MAX, ObjectSource, Sha256};
