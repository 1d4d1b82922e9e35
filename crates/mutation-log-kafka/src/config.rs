//! What a log on Kafka needs to know to open.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nautilus_mutation_log::{LogError, LogIdentity};
use nautilus_types::LogGeneration;

use crate::TopicId;

/// Settings of a [`KafkaLog`](crate::KafkaLog). Holds no secrets, only the files they are in.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// Brokers to ask first, as `host:port`.
    pub bootstrap_servers: Vec<String>,
    /// The topic; made by [`create`](crate::create), never by opening.
    pub topic: String,
    /// Number of partitions the topic must have.
    pub partitions: u32,
    /// Of the Nautilus cluster; every record carries it.
    pub cluster_id: [u8; 16],
    /// Which life of the log this is; every record carries it. Whoever makes the topic again raises it.
    pub generation: LogGeneration,
    /// The only topic that may be opened under the name, as [`create`](crate::create) returned it. Without it, any
    /// topic of that name is taken at first, and changes of it are noticed only from then on.
    pub topic_id: Option<TopicId>,
    /// Encrypts connections where it is given.
    pub tls: Option<KafkaTls>,
    /// Logs in where it is given. Wants TLS, unless all bootstrap servers are on this machine.
    pub sasl: Option<KafkaSasl>,
    /// How long a call other than an append may take.
    pub request_timeout: Duration,
    /// How long an append may take before its outcome is unknown.
    pub delivery_timeout: Duration,
    /// Between two looks at the topic's id and number of partitions.
    pub guard_interval: Duration,
    /// How long a broker holds a fetch without data. A reader that jumps waits at most so long for a fetch of
    /// others to end; shorter means more idle requests.
    pub fetch_wait: Duration,
    /// Further properties of librdkafka, of [`PROPERTIES_ALLOWED`](Self::PROPERTIES_ALLOWED).
    pub properties: BTreeMap<String, String>,
}

/// Encrypted connections. Brokers must go by names that are in their certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTls {
    /// Certificates of the authorities that brokers must be signed by, PEM.
    pub ca_file: PathBuf,
    /// Shown to brokers that ask for it.
    pub client: Option<KafkaClientCertificate>,
}

/// A certificate of this process, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaClientCertificate {
    /// The chain, PEM.
    pub certificate_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSasl {
    /// How.
    pub mechanism: SaslMechanism,
    /// Who.
    pub username: String,
    /// Holds the password; a line end after it does not count. Read when the log is opened.
    pub password_file: PathBuf,
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// It is sent.
    Plain,
    /// RFC 7677, with SHA-256.
    ScramSha256,
    /// RFC 7677, with SHA-512.
    ScramSha512,
}

/// How a topic is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Brokers that hold each partition.
    pub replication_factor: u16,
    /// Of these, how many must have a record before it is acknowledged.
    pub min_insync_replicas: u16,
    /// How long records are kept at least; `None` is until they are trimmed.
    pub retention: Option<Duration>,
}

impl Default for TopicSettings {
    fn default() -> Self {
        Self { replication_factor: 3, min_insync_replicas: 2, retention: None }
    }
}

impl KafkaConfig {
    /// Per partition there is some state in memory whether it is used or not.
    pub const PARTITIONS_MAX: u32 = 16_384;

    /// What may be set in [`properties`](Self::properties): what changes neither durability nor order nor who is
    /// trusted.
    pub const PROPERTIES_ALLOWED: &[&str] = &[
        "broker.address.family",
        "client.dns.lookup",
        "client.id",
        "client.rack",
        "compression.codec",
        "compression.level",
        "connections.max.idle.ms",
        "debug",
        "linger.ms",
        "metadata.max.age.ms",
        "queued.max.messages.kbytes",
        "reconnect.backoff.max.ms",
        "reconnect.backoff.ms",
        "socket.keepalive.enable",
        "socket.receive.buffer.bytes",
        "socket.send.buffer.bytes",
        "topic.metadata.refresh.interval.ms",
    ];

    /// The defaults: no encryption, no login, no pinned topic.
    #[must_use]
    pub fn new(
        bootstrap_servers: Vec<String>,
        topic: impl Into<String>,
        identity: LogIdentity,
    ) -> Self {
        Self {
            bootstrap_servers,
            topic: topic.into(),
            partitions: identity.partitions,
            cluster_id: identity.cluster_id,
            generation: identity.generation,
            topic_id: None,
            tls: None,
            sasl: None,
            request_timeout: Duration::from_secs(5),
            delivery_timeout: Duration::from_secs(10),
            guard_interval: Duration::from_secs(10),
            fetch_wait: Duration::from_millis(100),
            properties: BTreeMap::new(),
        }
    }

    pub(crate) fn identity(&self) -> LogIdentity {
        LogIdentity {
            cluster_id: self.cluster_id,
            generation: self.generation,
            partitions: self.partitions,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), LogError> {
        let bad = |setting, rule| Err(LogError::BadConfig { setting, rule });
        let is_server = |server: &String| {
            server.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && !host.contains(',') && port.parse::<u16>().is_ok()
            })
        };
        if self.bootstrap_servers.is_empty() || !self.bootstrap_servers.iter().all(is_server) {
            return bad("bootstrap_servers", "one or more host:port");
        }
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !(1..=249).contains(&self.topic.len()) || !self.topic.chars().all(is_legal) {
            return bad("topic", "1 to 249 letters, digits, dots, underscores, hyphens");
        }
        if !(1..=Self::PARTITIONS_MAX).contains(&self.partitions) {
            return bad("partitions", "1 to 16,384");
        }
        let one_second_to_minutes = Duration::from_secs(1)..=Duration::from_secs(300);
        if !one_second_to_minutes.contains(&self.request_timeout) {
            return bad("request_timeout", "1 s to 5 min");
        }
        if !one_second_to_minutes.contains(&self.delivery_timeout) {
            return bad("delivery_timeout", "1 s to 5 min");
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(600)).contains(&self.guard_interval) {
            return bad("guard_interval", "100 ms to 10 min");
        }
        let fetch_wait_max = (self.request_timeout / 2).min(Duration::from_secs(5));
        if !(Duration::from_millis(1)..=fetch_wait_max).contains(&self.fetch_wait) {
            return bad("fetch_wait", "1 ms to half of request_timeout, at most 5 s");
        }
        if self.sasl.is_some() && self.tls.is_none() && !self.is_local() {
            return bad("tls", "given where sasl is, unless all bootstrap servers are loopback");
        }
        if !self.properties.keys().all(|key| Self::PROPERTIES_ALLOWED.contains(&key.as_str())) {
            return bad("properties", "of those that are allowed");
        }
        Ok(())
    }

    fn is_local(&self) -> bool {
        self.bootstrap_servers.iter().all(|server| {
            server.rsplit_once(':').is_some_and(|(host, _)| {
                matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> KafkaConfig {
        let identity =
            LogIdentity { cluster_id: [7; 16], generation: LogGeneration(1), partitions: 4 };
        KafkaConfig::new(vec!["127.0.0.1:9092".into()], "mutations", identity)
    }

    fn refused(change: impl FnOnce(&mut KafkaConfig)) -> &'static str {
        let mut config = config();
        change(&mut config);
        match config.validate() {
            Err(LogError::BadConfig { setting, .. }) => setting,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn what_cannot_work_is_refused() {
        config().validate().expect("the defaults are fine");
        assert_eq!(refused(|c| c.bootstrap_servers.clear()), "bootstrap_servers");
        assert_eq!(refused(|c| c.bootstrap_servers.push("host".into())), "bootstrap_servers");
        assert_eq!(refused(|c| c.bootstrap_servers.push("a:1,b:2".into())), "bootstrap_servers");
        assert_eq!(refused(|c| c.topic = "a b".into()), "topic");
        assert_eq!(refused(|c| c.partitions = 0), "partitions");
        assert_eq!(refused(|c| c.request_timeout = Duration::ZERO), "request_timeout");
        assert_eq!(refused(|c| c.delivery_timeout = Duration::MAX), "delivery_timeout");
        assert_eq!(refused(|c| c.guard_interval = Duration::ZERO), "guard_interval");
        assert_eq!(refused(|c| c.fetch_wait = Duration::from_secs(4)), "fetch_wait");
    }

    #[test]
    fn properties_that_weaken_the_log_are_refused() {
        for name in ["acks", "enable.idempotence", "auto.offset.reset", "sasl.password"] {
            assert_eq!(refused(|c| _ = c.properties.insert(name.into(), "1".into())), "properties");
        }
        let mut config = config();
        config.properties.insert("linger.ms".into(), "5".into());
        config.validate().expect("allowed");
    }

    #[test]
    fn a_password_leaves_the_machine_only_encrypted() {
        let sasl = KafkaSasl {
            mechanism: SaslMechanism::Plain,
            username: "leaf".into(),
            password_file: "/run/secrets/kafka".into(),
        };
        let mut config = config();
        config.sasl = Some(sasl.clone());
        config.validate().expect("on this machine");
        let far = |c: &mut KafkaConfig| {
            c.sasl = Some(sasl);
            c.bootstrap_servers.push("kafka.example:9092".into());
        };
        assert_eq!(refused(far), "tls");
    }
}
