//! The registry: embedded or etcd.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_registry::{
    EmbeddedRegistry, EtcdConfig, EtcdIdentity, EtcdRegistry, EtcdTls, EtcdUser, Registry,
};
use nautilus_service::Clock;
use nautilus_service::config::HumanDuration;
use serde::{Deserialize, Serialize};

use super::ClientCertificate;
use crate::cluster::DataDir;

/// The `[registry]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum RegistryBackend {
    /// A file of the data directory, for one process.
    #[default]
    Embedded,
    /// An etcd cluster.
    Etcd(Etcd),
}

/// Where etcd is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Etcd {
    /// `http://HOST:PORT` or `https://HOST:PORT` of every member.
    pub endpoints: Vec<String>,
    /// Our keys are under `nautilus/NAME/`.
    #[serde(default = "default_cluster")]
    pub cluster: String,
    /// How long a call may take.
    #[serde(default = "default_timeout")]
    pub timeout: HumanDuration,
    /// Certificates of the authorities that sign members' certificates, for https.
    pub ca_file: Option<PathBuf>,
    /// Where members ask for one.
    pub client_certificate: Option<ClientCertificate>,
    /// Where etcd's authentication is enabled.
    pub user: Option<String>,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
}

fn default_cluster() -> String {
    "nautilus".to_owned()
}

fn default_timeout() -> HumanDuration {
    HumanDuration(Duration::from_secs(3))
}

impl RegistryBackend {
    /// Opens it; the embedded one in `data_dir`, which without one is refused.
    pub(crate) async fn open(
        &self,
        data_dir: Option<&DataDir>,
        clock: &Clock,
    ) -> anyhow::Result<Arc<dyn Registry>> {
        match self {
            Self::Embedded => {
                let data_dir = data_dir.context("a registry of kind \"embedded\" serves one process: set [registry] kind = \"etcd\"")?;
                let clock = clock.clone();
                let path = data_dir.registry();
                let config =
                    nautilus_registry::EmbeddedConfig::new(path, Arc::new(move || clock.now()));
                let opened = EmbeddedRegistry::open(config).await;
                Ok(Arc::new(opened.context("open the registry")?))
            }
            Self::Etcd(etcd) => {
                let opened = EtcdRegistry::open(etcd.config()?).await;
                Ok(Arc::new(opened.context("reach the registry on etcd")?))
            }
        }
    }
}

impl Etcd {
    fn config(&self) -> anyhow::Result<EtcdConfig> {
        let mut config = EtcdConfig::new(self.endpoints.clone(), &self.cluster);
        config.timeout = self.timeout.0;
        config.tls = self.ca_file.clone().map(|ca_file| EtcdTls {
            ca_file,
            identity: self.client_certificate.clone().map(|client| EtcdIdentity {
                certificate_file: client.certificate_file,
                key_file: client.key_file,
            }),
        });
        config.user = match (&self.user, &self.password_file) {
            (None, None) => None,
            (Some(name), Some(file)) => {
                Some(EtcdUser { name: name.clone(), password_file: file.clone() })
            }
            (Some(_), None) | (None, Some(_)) => {
                anyhow::bail!("[registry] user and password_file go together")
            }
        };
        Ok(config)
    }
}
