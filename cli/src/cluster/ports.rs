//! The embedded parts: mutation log, registry, index repository, catalog and keys, opened in the data directory.

use std::sync::Arc;

use anyhow::Context as _;
use nautilus_catalog::{Catalog, CatalogError, SqliteCatalog, UserId};
use nautilus_identity::{DevelopmentIssuer, GrantSigner, GrantVerifier, KeyPair, KeySet, TokenKey};
use nautilus_index_repository::{FolderRepository, IndexRepository};
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, LogError, MutationLog};
use nautilus_registry::{EmbeddedRegistry, Registry, RegistryError};
use nautilus_service::Clock;

use super::data_dir::DataDir;
use crate::cli::USER_DEFAULT;

/// Of a new data directory.
const PARTITIONS_DEFAULT: u32 = 4;

/// What the roles stand on.
pub struct Ports {
    /// The time of all roles.
    pub clock: Clock,
    /// What was written.
    pub log: Arc<dyn MutationLog>,
    /// Who may read what.
    pub catalog: Arc<dyn Catalog>,
    /// Who serves what.
    pub registry: Arc<dyn Registry>,
    /// Where snapshots are.
    pub repository: Arc<dyn IndexRepository>,
    /// Makes and checks the tokens of users.
    pub issuer: DevelopmentIssuer,
    /// Seals the tokens of answers.
    pub token_key: Arc<TokenKey>,
    grant_keys: KeySet,
}

impl Ports {
    /// Opens what is there and makes what is not; beside it the signer of grants, which is for the
    /// merger alone. Without a number of `partitions` an existing log keeps its own.
    pub async fn open(
        data_dir: &DataDir,
        partitions: Option<u32>,
    ) -> anyhow::Result<(Self, GrantSigner)> {
        let clock = Clock::system();
        let issuer =
            DevelopmentIssuer::open(&data_dir.identity()).context("open the issuer's key")?;
        let keys = data_dir.keys();
        let grant_key = KeyPair::open(&keys, "grant").context("open the grant key")?;
        let token_key =
            TokenKey::load_or_create(&keys.join("token.key")).context("open the token key")?;
        let catalog = SqliteCatalog::open(&data_dir.catalog()).await.context("open the catalog")?;
        make_default_user(&catalog, &clock).await.context("make the first user")?;
        let log = open_log(data_dir, partitions, &clock).await.context("open the mutation log")?;
        let repository = FolderRepository::open(&data_dir.repository()).await;
        let repository = repository.context("open the index repository")?;
        let registry = open_registry(data_dir, &clock).await.context("open the registry")?;
        let ports = Self {
            clock,
            log: Arc::new(log),
            catalog: Arc::new(catalog),
            registry: Arc::new(registry),
            repository: Arc::new(repository),
            issuer,
            token_key: Arc::new(token_key),
            grant_keys: KeySet::from(grant_key.public()),
        };
        Ok((ports, GrantSigner::new(grant_key)))
    }

    /// How many partitions the log has.
    pub fn partitions(&self) -> u32 {
        self.log.identity().partitions
    }

    /// Verifies grants.
    pub(crate) fn grant_verifier(&self) -> GrantVerifier {
        GrantVerifier::new(self.grant_keys.clone())
    }

    /// Lets go of log, registry and catalog, when no role uses them any more.
    pub async fn close(self) -> anyhow::Result<()> {
        let closed = self.log.close().await.context("close the mutation log");
        self.registry.close().await;
        self.catalog.close().await;
        closed
    }
}

async fn open_log(
    data_dir: &DataDir,
    partitions: Option<u32>,
    clock: &Clock,
) -> Result<EmbeddedLog, LogError> {
    let config = |partitions| {
        let clock = clock.clone();
        EmbeddedConfig::new(data_dir.log(), partitions, Arc::new(move || clock.unix_ms()))
    };
    let wanted = partitions.unwrap_or(PARTITIONS_DEFAULT);
    match EmbeddedLog::open(config(wanted)).await {
        Err(LogError::OtherPartitions { found, .. }) if partitions.is_none() => {
            EmbeddedLog::open(config(found)).await
        }
        opened => opened,
    }
}

async fn open_registry(
    data_dir: &DataDir,
    clock: &Clock,
) -> Result<EmbeddedRegistry, RegistryError> {
    let clock = clock.clone();
    let config =
        nautilus_registry::EmbeddedConfig::new(data_dir.registry(), Arc::new(move || clock.now()));
    EmbeddedRegistry::open(config).await
}

/// The user that commands speak for when they are not told another one.
async fn make_default_user(catalog: &SqliteCatalog, clock: &Clock) -> anyhow::Result<()> {
    let id = UserId::new(USER_DEFAULT)?;
    match catalog.create_user(&id, "Local user", clock.unix_ms()).await {
        Ok(_) | Err(CatalogError::UserExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
