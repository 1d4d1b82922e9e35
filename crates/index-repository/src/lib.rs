//! The index repository: snapshots of partitions, each under a name never used twice.

mod error;
mod folder;
mod name;
mod port;
mod source;

pub use error::RepositoryError;
pub use folder::FolderRepository;
pub use name::{NAME_BYTES_MAX, NAME_PART_BYTES_MAX, ObjectName};
pub use port::{IndexRepository, LIST_PAGE_MAX, ObjectMeta, Page};
pub use source::{CHUNK_BYTES, OBJECT_BYTES_MAX, ObjectSource, Sha256};
