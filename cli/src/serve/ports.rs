//! The ports a role asked for, closed when it has stopped.

use std::sync::Arc;

use anyhow::Context as _;
use nautilus_catalog::Catalog;
use nautilus_identity::{GrantVerifier, KeySet, PublicKey};
use nautilus_mutation_log::MutationLog;
use nautilus_registry::Registry;
use nautilus_service::Clock;

use crate::config::ProcessConfig;

/// What is open.
#[derive(Default)]
pub(crate) struct Opened {
    log: Option<Arc<dyn MutationLog>>,
    registry: Option<Arc<dyn Registry>>,
    catalog: Option<Arc<dyn Catalog>>,
}

impl Opened {
    pub(crate) async fn log(
        &mut self,
        config: &ProcessConfig,
        clock: &Clock,
    ) -> anyhow::Result<Arc<dyn MutationLog>> {
        let log = config.mutation_log.open(None, None, &config.cluster, clock).await?;
        self.log = Some(Arc::clone(&log));
        Ok(log)
    }

    pub(crate) async fn registry(
        &mut self,
        config: &ProcessConfig,
        clock: &Clock,
    ) -> anyhow::Result<Arc<dyn Registry>> {
        let registry = config.registry.open(None, clock).await?;
        self.registry = Some(Arc::clone(&registry));
        Ok(registry)
    }

    pub(crate) async fn catalog(
        &mut self,
        config: &ProcessConfig,
    ) -> anyhow::Result<Arc<dyn Catalog>> {
        let catalog = config.catalog.open(None).await?;
        self.catalog = Some(Arc::clone(&catalog));
        Ok(catalog)
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let mut closed = Ok(());
        if let Some(log) = self.log {
            closed = log.close().await.context("close the mutation log");
        }
        if let Some(registry) = self.registry {
            registry.close().await;
        }
        if let Some(catalog) = self.catalog {
            catalog.close().await;
        }
        closed
    }
}

/// Verifies grants by the public key of the mergers.
pub(crate) fn grant_verifier(config: &ProcessConfig) -> anyhow::Result<GrantVerifier> {
    let key = PublicKey::load(&config.keys.dir, "grant").context("load the key of grants")?;
    Ok(GrantVerifier::new(KeySet::from(key)))
}
