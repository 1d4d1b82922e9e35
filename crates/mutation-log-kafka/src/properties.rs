//! From our settings to librdkafka's properties.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nautilus_mutation_log::LogError;
use nautilus_types::Limits;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::config::{KafkaConfig, SaslMechanism};

/// The largest Kafka message, for the topic and for us: the largest record, its stamp and framing, and room for
/// lz4 to make incompressible data a little longer.
pub(crate) const MESSAGE_BYTES_MAX: usize = Limits::RECORD_BYTES_MAX + 32 * 1024;

/// Fetched ahead per partition that is being read. What an applier takes at once, twice over.
const QUEUED_KIB: u32 = 2 * 1024;

impl KafkaConfig {
    /// What all our clients have in common. Reads the password.
    pub(crate) fn common(&self) -> Result<ClientConfig, LogError> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.bootstrap_servers.join(","))
            // A topic that was deleted must not come back by being asked for.
            .set("allow.auto.create.topics", "false")
            .set("socket.timeout.ms", millis(self.request_timeout))
            .set("socket.connection.setup.timeout.ms", millis(self.request_timeout))
            .set("reconnect.backoff.max.ms", "1000")
            .set("message.max.bytes", MESSAGE_BYTES_MAX.to_string())
            .set_log_level(RDKafkaLogLevel::Info);
        if let Some(tls) = &self.tls {
            config
                .set("ssl.ca.location", text(&tls.ca_file)?)
                .set("ssl.endpoint.identification.algorithm", "https");
            if let Some(client) = &tls.client {
                config
                    .set("ssl.certificate.location", text(&client.certificate_file)?)
                    .set("ssl.key.location", text(&client.key_file)?);
            }
        }
        if let Some(sasl) = &self.sasl {
            let mechanism = match sasl.mechanism {
                SaslMechanism::Plain => "PLAIN",
                SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
                SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
            };
            let password =
                fs::read_to_string(&sasl.password_file).map_err(|error| LogError::Io {
                    action: format!("read the password in {}", sasl.password_file.display()),
                    source: Arc::new(error),
                })?;
            config
                .set("sasl.mechanism", mechanism)
                .set("sasl.username", &sasl.username)
                .set("sasl.password", password.trim_end_matches(['\r', '\n']));
        }
        let protocol = match (&self.tls, &self.sasl) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        config.set("security.protocol", protocol);
        Ok(config)
    }

    /// Appends.
    pub(crate) fn producer(&self) -> Result<ClientConfig, LogError> {
        let mut config = self.common()?;
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", millis(self.delivery_timeout))
            // A leader that does not answer is asked again, here or elsewhere, before an append gives up.
            .set(
                "request.timeout.ms",
                millis((self.delivery_timeout / 2).min(self.request_timeout)),
            )
            .set("retry.backoff.ms", "50")
            // Records that wait while others are on their way form the next batch; nothing waits on purpose.
            .set("linger.ms", "0")
            .set("compression.codec", "lz4")
            // The log's own bounds are what limits the queue; they know partitions, librdkafka's does not.
            .set("queue.buffering.max.messages", "0")
            .set("queue.buffering.max.kbytes", "2147483647");
        self.add_properties(&mut config, |name| name != "queued.max.messages.kbytes");
        Ok(config)
    }

    /// Reads.
    pub(crate) fn consumer(&self) -> Result<ClientConfig, LogError> {
        let mut config = self.common()?;
        config
            // librdkafka wants a name for `assign`. Nothing joins the group and nothing is committed.
            .set("group.id", "nautilus-log-reader")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("enable.partition.eof", "false")
            .set("fetch.wait.max.ms", millis(self.fetch_wait))
            .set("fetch.min.bytes", "1")
            .set("fetch.max.bytes", (16 * 1024 * 1024).to_string())
            .set("max.partition.fetch.bytes", MESSAGE_BYTES_MAX.to_string())
            .set("queued.max.messages.kbytes", QUEUED_KIB.to_string())
            // A full queue is read in one go, after which the next fetch shall not idle for a second.
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.error.backoff.ms", "50");
        let is_producers =
            |name: &str| matches!(name, "linger.ms") || name.starts_with("compression");
        self.add_properties(&mut config, |name| !is_producers(name));
        Ok(config)
    }

    fn add_properties(&self, config: &mut ClientConfig, fits: impl Fn(&str) -> bool) {
        for (name, value) in self.properties.iter().filter(|(name, _)| fits(name)) {
            config.set(name, value);
        }
    }
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

fn text(path: &Path) -> Result<&str, LogError> {
    path.to_str().ok_or(LogError::BadConfig { setting: "tls", rule: "paths in UTF-8" })
}
