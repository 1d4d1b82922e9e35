//! The catalog: embedded or PostgreSQL.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use nautilus_catalog::{
    Catalog, PostgresCatalog, PostgresClientCertificate, PostgresConfig, PostgresTls, SqliteCatalog,
};
use serde::{Deserialize, Serialize};

use super::ClientCertificate;
use crate::cluster::DataDir;

/// The `[catalog]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CatalogBackend {
    /// A file of the data directory, for one process.
    #[default]
    Embedded,
    /// A PostgreSQL database.
    Postgres(Postgres),
}

/// Where PostgreSQL is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://role@host:port/database`, without a password.
    pub url: String,
    /// File with the role's password, which nobody else may read.
    pub password_file: Option<PathBuf>,
    /// Whether the connection is encrypted and the server's certificate checked.
    #[serde(default = "yes")]
    pub tls: bool,
    /// Authorities trusted beside those all browsers trust.
    pub ca_file: Option<PathBuf>,
    /// To say who is asking.
    pub client_certificate: Option<ClientCertificate>,
    /// Connections of this process.
    #[serde(default = "default_connections")]
    pub connections_max: u32,
}

fn yes() -> bool {
    true
}

fn default_connections() -> u32 {
    16
}

impl CatalogBackend {
    /// Opens it; the embedded one in `data_dir`, which without one is refused.
    pub(crate) async fn open(
        &self,
        data_dir: Option<&DataDir>,
    ) -> anyhow::Result<Arc<dyn Catalog>> {
        match self {
            Self::Embedded => {
                let data_dir = data_dir.context("a catalog of kind \"embedded\" serves one process: set [catalog] kind = \"postgres\"")?;
                let opened = SqliteCatalog::open(&data_dir.catalog()).await;
                Ok(Arc::new(opened.context("open the catalog")?))
            }
            Self::Postgres(postgres) => {
                let opened = PostgresCatalog::open(postgres.config()?).await;
                Ok(Arc::new(opened.context("reach the catalog on PostgreSQL")?))
            }
        }
    }
}

impl Postgres {
    fn config(&self) -> anyhow::Result<PostgresConfig> {
        let client = self.client_certificate.clone().map(|client| PostgresClientCertificate {
            certificate_file: client.certificate_file,
            key_file: client.key_file,
        });
        let mut config = PostgresConfig::from_url(&self.url).context("[catalog] url")?;
        config.password_file.clone_from(&self.password_file);
        config.connections_max = self.connections_max;
        config.tls = if self.tls {
            PostgresTls::Verified { ca_file: self.ca_file.clone(), client }
        } else {
            PostgresTls::Off
        };
        Ok(config)
    }
}
