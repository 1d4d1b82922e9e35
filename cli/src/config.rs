//! The configuration of a process: a TOML file, `NAUTILUS_*` variables over it, flags over both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nautilus_identity::LogIdentity;
use nautilus_service::config::{ConfigError, Layers, environment};
use nautilus_service::traces::TraceSettings;
use nautilus_types::LogGeneration;
use serde::{Deserialize, Serialize};

use crate::backends::{
    Backends, CatalogBackend, IndexRepositoryBackend, MutationLogBackend, RegistryBackend,
};
use crate::cluster::Roles;

#[cfg(test)]
mod deploy_tests;

/// Sections whose settings may also be `NAUTILUS_<SECTION>_<KEY>` variables.
const SECTIONS: [&str; 15] = [
    "catalog",
    "cluster",
    "coordinator",
    "index_repository",
    "indexbuilder",
    "keys",
    "leaf",
    "logging",
    "merger",
    "mutation_log",
    "registry",
    "root",
    "server",
    "tls",
    "traces",
];

/// Everything a process is told. One file may serve all processes of a cluster, each with flags for what is
/// its own.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProcessConfig {
    /// Which cluster this is.
    pub cluster: ClusterSection,
    /// Where this process listens.
    pub server: ServerSection,
    /// Where keys are.
    pub keys: KeysSection,
    /// What is logged.
    pub logging: LoggingSection,
    /// Where traces go; absent = nowhere.
    pub traces: Option<TraceSettings>,
    /// Certificates between processes; absent = none, and nothing listens beyond this machine.
    pub tls: Option<TlsSection>,
    /// What was written.
    pub mutation_log: MutationLogBackend,
    /// Who serves what.
    pub registry: RegistryBackend,
    /// Where snapshots are.
    pub index_repository: IndexRepositoryBackend,
    /// Who may read what.
    pub catalog: CatalogBackend,
    /// Of leaves.
    pub leaf: nautilus_leaf::RawConfig,
    /// Of roots.
    pub root: nautilus_root::RawConfig,
    /// Of coordinators.
    pub coordinator: nautilus_coordinator::RawConfig,
    /// Of mergers.
    pub merger: nautilus_merger::RawConfig,
    /// Of index builders.
    pub indexbuilder: nautilus_indexbuilder::RawConfig,
}

/// The `[cluster]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClusterSection {
    /// 32 hexadecimal digits, drawn once for each cluster.
    pub id: String,
    /// Which life of the mutation log this is.
    pub log_generation: u64,
    /// How many partitions there are.
    pub partitions: u32,
    /// Where mergers and index builders reach roots, such as `http://127.0.0.1:7201`.
    pub roots: Vec<String>,
}

/// The `[server]` section.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSection {
    /// Where the gRPC server listens; port 0 takes any free one.
    pub listen_address: SocketAddr,
    /// Where metrics and health are, over HTTP.
    pub admin_listen_address: SocketAddr,
    /// How others reach this process, such as `http://leaf-7.example:7301`; none = where it listens. The
    /// scheme is `http` with certificates too.
    pub advertise: Option<String>,
    /// Whether an address that other machines reach may be listened on without TLS. Then whoever is on the way
    /// reads everything.
    pub allow_plaintext: bool,
}

impl Default for ServerSection {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen_address: any,
            admin_listen_address: any,
            advertise: None,
            allow_plaintext: false,
        }
    }
}

/// The `[keys]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysSection {
    /// Folder with the key pair of grants and the key of tokens. Leaves and roots need only the public part
    /// of the pair.
    pub dir: PathBuf,
    /// Folder with the public key of the issuer of users' tokens.
    pub identity_dir: PathBuf,
}

/// The `[tls]` section: files in PEM, looked at again every few minutes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// The authorities of the cluster.
    pub ca_file: PathBuf,
    /// The process's own certificate, which names its role.
    pub certificate_file: PathBuf,
    /// Its key, which nobody else may read.
    pub key_file: PathBuf,
    /// Whether clients of mergers and index builders are spoken to over TLS too.
    #[serde(default)]
    pub public: bool,
}

/// The `[logging]` section.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingSection {
    /// Such as `warn` or `info,nautilus_leaf=debug`.
    pub filter: String,
}

impl Default for LoggingSection {
    fn default() -> Self {
        Self { filter: "info".to_owned() }
    }
}

impl ProcessConfig {
    /// Reads a file, lays variables over it and `key=value` settings over both. A setting nobody knows is an
    /// error.
    pub fn load(file: Option<&Path>, settings: &[String]) -> anyhow::Result<Self> {
        let layers = match file {
            Some(file) => Layers::new().file(file)?,
            None => Layers::new(),
        };
        Self::over(layers, settings)
    }

    fn over(layers: Layers, settings: &[String]) -> anyhow::Result<Self> {
        // Variables of the command line (`NAUTILUS_DATA_DIR`) name no section.
        let names_section = |name: &String| {
            let rest = name.strip_prefix("NAUTILUS_").map(str::to_ascii_lowercase);
            rest.is_some_and(|rest| SECTIONS.iter().any(|one| rest.starts_with(&format!("{one}_"))))
        };
        let variables = environment().into_iter().filter(|(name, _)| names_section(name)).collect();
        let mut layers = layers.variables(&variables, &SECTIONS, &[], &[])?;
        for setting in settings {
            let (key, value) = setting
                .split_once('=')
                .with_context(|| format!("{setting:?} is not KEY=VALUE, as in leaf.name=a-1"))?;
            let name = format!("NAUTILUS_{}", key.replace('.', "_").to_ascii_uppercase());
            let one = [(name, value.to_owned())].into();
            layers = layers.variables(&one, &SECTIONS, &[], &[]).map_err(|error| match error {
                ConfigError::UnknownVariable { sections, .. } => {
                    anyhow::anyhow!("{key} names no setting; sections are {sections}")
                }
                ConfigError::Read { .. }
                | ConfigError::Parse { .. }
                | ConfigError::NotASection { .. }
                | ConfigError::Invalid(_) => error.into(),
            })?;
        }
        Ok(layers.parse()?)
    }

    /// Checks everything that can be checked without starting: of every role.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let (id, generation) = self.cluster.identity()?;
        let identity = LogIdentity { cluster_id: id, generation };
        let roles = self.roles();
        roles.leaf.validate().context("[leaf]")?;
        roles.root.validate().context("[root]")?;
        roles.coordinator.validate().context("[coordinator]")?;
        roles.merger.validate(identity).context("[merger]")?;
        roles.indexbuilder.validate().context("[indexbuilder]")?;
        Ok(())
    }

    /// What the ports stand on.
    #[must_use]
    pub fn backends(&self) -> Backends {
        Backends {
            mutation_log: self.mutation_log.clone(),
            registry: self.registry.clone(),
            index_repository: self.index_repository.clone(),
            catalog: self.catalog.clone(),
        }
    }

    /// What the roles are told.
    #[must_use]
    pub fn roles(&self) -> Roles {
        Roles {
            leaf: self.leaf.clone(),
            root: self.root.clone(),
            coordinator: self.coordinator.clone(),
            merger: self.merger.clone(),
            indexbuilder: self.indexbuilder.clone(),
        }
    }
}

impl ClusterSection {
    /// The cluster's id as bytes, with the generation of its log.
    pub(crate) fn identity(&self) -> anyhow::Result<([u8; 16], LogGeneration)> {
        let wrong = "[cluster] id is not 32 hexadecimal digits; `openssl rand -hex 16` draws one";
        anyhow::ensure!(self.id.len() == 32 && self.id.is_ascii(), wrong);
        let id = u128::from_str_radix(&self.id, 16).context(wrong)?;
        Ok((id.to_be_bytes(), LogGeneration(self.log_generation)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, settings: &[&str]) -> Result<ProcessConfig, String> {
        let layers = Layers::new().text(text).map_err(|error| error.to_string())?;
        let settings: Vec<String> = settings.iter().map(|one| (*one).to_owned()).collect();
        ProcessConfig::over(layers, &settings).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn sections_reach_their_roles_and_settings_lie_over_them() {
        let text = "[merger]\nquery_words_max = 1000\n[leaf]\nread_threads = 3\nname = \"a-1\"\n";
        let config = parsed(text, &["leaf.name=a-2", "server.listen_address=127.0.0.1:7301"]);
        let config = config.expect("valid");
        assert_eq!((config.merger.query_words_max, config.leaf.read_threads), (1000, 3));
        assert_eq!(config.leaf.name, "a-2");
        assert_eq!(config.server.listen_address.port(), 7301);
        assert!(matches!(config.registry, RegistryBackend::Embedded));
    }

    #[test]
    fn services_are_chosen_by_kind() {
        let text = "[registry]\nkind = \"etcd\"\nendpoints = [\"http://127.0.0.1:2379\"]\n\
                    [catalog]\nkind = \"postgres\"\nurl = \"postgres://n@127.0.0.1/n\"\ntls = false\n";
        let config = parsed(text, &[]).expect("valid");
        assert!(matches!(config.registry, RegistryBackend::Etcd(_)));
        assert!(matches!(config.catalog, CatalogBackend::Postgres(_)));
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        assert!(
            parsed("[leaf]\nread_treads = 3\n", &[]).expect_err("refused").contains("read_treads")
        );
        assert!(parsed("[leaves]\n", &[]).expect_err("refused").contains("leaves"));
        assert!(parsed("", &["leaves.name=a"]).expect_err("refused").contains("leaves.name"));
        assert!(parsed("", &["leaf.name"]).expect_err("refused").contains("KEY=VALUE"));
        assert!(parsed("[registry]\nkind = \"zookeeper\"\n", &[]).is_err());
        assert!(parsed("[registry]\nkind = \"etcd\"\nendpoint = \"x\"\n", &[]).is_err());
    }

    #[test]
    fn a_cluster_has_an_id() {
        let section = |id: &str| ClusterSection { id: id.to_owned(), ..ClusterSection::default() };
        assert_eq!(section(&"0f".repeat(16)).identity().expect("valid").0, [0x0f; 16]);
        assert!(section("").identity().is_err() && section(&"x".repeat(32)).identity().is_err());
    }
}
