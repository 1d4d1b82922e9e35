//! What the roles of one process stand on: mutation log, registry, index repository, catalog, and the keys of the
//! data directory.

use std::sync::Arc;

use anyhow::Context as _;
use nautilus_catalog::{Catalog, CatalogError, UserId};
use nautilus_identity::{DevelopmentIssuer, GrantSigner, GrantVerifier, KeyPair, KeySet, TokenKey};
use nautilus_index_repository::IndexRepository;
use nautilus_mutation_log::MutationLog;
use nautilus_registry::Registry;
use nautilus_service::Clock;

use super::data_dir::DataDir;
use crate::backends::Backends;
use crate::cli::USER_DEFAULT;
use crate::config::ClusterSection;

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
    /// The embedded parts: opens what is there and makes what is not; beside it the signer of grants, which is
    /// for the merger alone. Without a number of `partitions` an existing log keeps its own.
    pub async fn open(
        data_dir: &DataDir,
        partitions: Option<u32>,
    ) -> anyhow::Result<(Self, GrantSigner)> {
        let (backends, cluster) = (Backends::default(), ClusterSection::default());
        Self::open_on(data_dir, partitions, &backends, &cluster).await
    }

    /// As [`Self::open`], on the parts that `backends` chooses.
    pub async fn open_on(
        data_dir: &DataDir,
        partitions: Option<u32>,
        backends: &Backends,
        cluster: &ClusterSection,
    ) -> anyhow::Result<(Self, GrantSigner)> {
        let clock = Clock::system();
        let issuer =
            DevelopmentIssuer::open(&data_dir.identity()).context("open the issuer's key")?;
        let keys = data_dir.keys();
        let grant_key = KeyPair::open(&keys, "grant").context("open the grant key")?;
        let token_key =
            TokenKey::load_or_create(&keys.join("token.key")).context("open the token key")?;
        let folder = Some(data_dir);
        let catalog = backends.catalog.open(folder).await?;
        make_default_user(&*catalog, &clock).await.context("make the first user")?;
        let log = backends.mutation_log.open(folder, partitions, cluster, &clock).await?;
        let repository = backends.index_repository.open(folder).await?;
        let registry = backends.registry.open(folder, &clock).await?;
        let ports = Self {
            clock,
            log,
            catalog,
            registry,
            repository,
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

/// The user that commands speak for when they are not told another one.
async fn make_default_user(catalog: &dyn Catalog, clock: &Clock) -> anyhow::Result<()> {
    let id = UserId::new(USER_DEFAULT)?;
    match catalog.create_user(&id, "Local user", clock.unix_ms()).await {
        Ok(_) | Err(CatalogError::UserExists { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
