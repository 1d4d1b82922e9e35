//! The index repository: snapshots of partitions, each under a name never used twice.

mod error;

pub use error::RepositoryError;
