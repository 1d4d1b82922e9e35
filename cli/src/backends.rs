//! What the ports stand on: the embedded parts of a data directory, or services that many processes share.

mod catalog;
mod index_repository;
mod mutation_log;
mod registry;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use self::catalog::CatalogBackend;
pub use self::index_repository::IndexRepositoryBackend;
pub use self::mutation_log::MutationLogBackend;
pub use self::registry::RegistryBackend;

/// What was chosen for each.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    /// What was written.
    pub mutation_log: MutationLogBackend,
    /// Who serves what.
    pub registry: RegistryBackend,
    /// Where snapshots are.
    pub index_repository: IndexRepositoryBackend,
    /// Who may read what.
    pub catalog: CatalogBackend,
}

/// The certificate a client of a service shows.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificate {
    /// Certificate chain, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}
