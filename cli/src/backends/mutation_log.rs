//! The mutation log: embedded or Kafka.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use nautilus_mutation_log::{EmbeddedConfig, EmbeddedLog, LogError, LogIdentity, MutationLog};
use nautilus_mutation_log_kafka::{
    KafkaClientCertificate, KafkaConfig, KafkaLog, KafkaSasl, KafkaTls, SaslMechanism,
    TopicSettings,
};
use nautilus_service::Clock;
use serde::{Deserialize, Serialize};

use super::ClientCertificate;
use crate::cluster::DataDir;
use crate::config::ClusterSection;

/// Of a new embedded log.
const PARTITIONS_DEFAULT: u32 = 4;

const ONE_PROCESS: &str =
    "a mutation log of kind \"embedded\" serves one process: set [mutation_log] kind = \"kafka\"";

/// The `[mutation_log]` section.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum MutationLogBackend {
    /// Files of the data directory, for one process.
    #[default]
    Embedded,
    /// A topic of Kafka.
    Kafka(Box<Kafka>),
}

/// Where Kafka is.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to ask first, as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// The topic; `nautilus init` makes it.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Brokers that hold each partition, when it is made.
    #[serde(default = "default_replication")]
    pub replication_factor: u16,
    /// Of these, how many must have a record before it is acknowledged.
    #[serde(default = "default_in_sync")]
    pub min_insync_replicas: u16,
    /// Certificates of the authorities that brokers must be signed by; none = no encryption.
    pub ca_file: Option<PathBuf>,
    /// For brokers that ask for it.
    pub client_certificate: Option<ClientCertificate>,
    /// A login.
    pub sasl: Option<Sasl>,
    /// Further properties of librdkafka, of those that change neither durability nor trust.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
}

/// A login.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// Who.
    pub username: String,
    /// The file with the password.
    pub password_file: PathBuf,
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// It is sent.
    Plain,
    /// RFC 7677, with SHA-256.
    ScramSha256,
    /// RFC 7677, with SHA-512.
    ScramSha512,
}

fn default_topic() -> String {
    "nautilus-mutations".to_owned()
}

fn default_replication() -> u16 {
    TopicSettings::default().replication_factor
}

fn default_in_sync() -> u16 {
    TopicSettings::default().min_insync_replicas
}

impl MutationLogBackend {
    /// Opens it; the embedded one in `data_dir`, which without one is refused. An existing embedded log keeps its
    /// number of partitions unless `partitions` says another, which fails.
    pub(crate) async fn open(
        &self,
        data_dir: Option<&DataDir>,
        partitions: Option<u32>,
        cluster: &ClusterSection,
        clock: &Clock,
    ) -> anyhow::Result<Arc<dyn MutationLog>> {
        match self {
            Self::Embedded => {
                let data_dir = data_dir.context(ONE_PROCESS)?;
                let opened = open_embedded(data_dir, partitions, clock).await;
                Ok(Arc::new(opened.context("open the mutation log")?))
            }
            Self::Kafka(kafka) => kafka.open(cluster).await,
        }
    }
}

async fn open_embedded(
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

impl Kafka {
    /// Opens the topic, which must be there.
    pub(crate) async fn open(
        &self,
        cluster: &ClusterSection,
    ) -> anyhow::Result<Arc<dyn MutationLog>> {
        let opened = KafkaLog::open(self.config(cluster)?).await;
        Ok(Arc::new(opened.context("reach the mutation log on Kafka")?))
    }

    /// Makes the topic; fails where it is there.
    pub(crate) async fn create(&self, cluster: &ClusterSection) -> anyhow::Result<()> {
        let settings = TopicSettings {
            replication_factor: self.replication_factor,
            min_insync_replicas: self.min_insync_replicas,
            ..TopicSettings::default()
        };
        nautilus_mutation_log_kafka::create(&self.config(cluster)?, &settings).await?;
        Ok(())
    }

    fn config(&self, cluster: &ClusterSection) -> anyhow::Result<KafkaConfig> {
        let (cluster_id, generation) = cluster.identity()?;
        anyhow::ensure!(cluster.partitions > 0, "[cluster] partitions is 0");
        let identity = LogIdentity { cluster_id, generation, partitions: cluster.partitions };
        let mut config = KafkaConfig::new(self.bootstrap_servers.clone(), &self.topic, identity);
        config.tls = self.ca_file.clone().map(|ca_file| KafkaTls {
            ca_file,
            client: self.client_certificate.clone().map(|client| KafkaClientCertificate {
                certificate_file: client.certificate_file,
                key_file: client.key_file,
            }),
        });
        config.sasl = self.sasl.clone().map(|sasl| KafkaSasl {
            mechanism: match sasl.mechanism {
                Mechanism::Plain => SaslMechanism::Plain,
                Mechanism::ScramSha256 => SaslMechanism::ScramSha256,
                Mechanism::ScramSha512 => SaslMechanism::ScramSha512,
            },
            username: sasl.username,
            password_file: sasl.password_file,
        });
        config.properties.clone_from(&self.properties);
        Ok(config)
    }
}
