//! TLS and logins.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nautilus_mutation_log::{LogError, MutationLog as _};
use nautilus_mutation_log_kafka::{
    KafkaClientCertificate, KafkaConfig, KafkaLog, KafkaSasl, KafkaTls, SaslMechanism, create,
};
use nautilus_test_services::{Kafka, or_skip};
use nautilus_types::Offset;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::world::{ONE_NODE, append, config, open, read_all};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    // Else it would be called like what it signs, which then looks self-signed.
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    path
}

/// Certificate and key for 127.0.0.1, PEM.
fn signed_by(authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["127.0.0.1".into()]).expect("valid");
    (params.signed_by(&key, authority).expect("signed").pem(), key.serialize_pem())
}

/// A broker that wants certificates of `authority`, and further properties.
fn start(folder: &Path, authority: &Authority, more: &[(&str, &str)]) -> Option<Kafka> {
    let (certificate, key) = signed_by(authority);
    let keys = write(folder, "broker.pem", &format!("{key}{certificate}"));
    let trusted = write(folder, "ca.pem", &authority.pem());
    let (keys, trusted) = (keys.display().to_string(), trusted.display().to_string());
    let mut properties = vec![
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.location", keys.as_str()),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", trusted.as_str()),
    ];
    properties.extend(more);
    or_skip("mutation-log-kafka::security", Kafka::start_with(&properties))
}

fn secured(kafka: &Kafka, folder: &Path) -> KafkaConfig {
    let mut config = config(kafka);
    config.request_timeout = Duration::from_secs(3);
    config.tls = Some(KafkaTls { ca_file: folder.join("ca.pem"), client: None });
    config
}

async fn refused(config: KafkaConfig) -> LogError {
    KafkaLog::open(config).await.err().expect("refused")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_certificates() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let (own, other) = (authority(), authority());
    let properties = [
        ("listener.security.protocol.map", "CLIENT:SSL,CONTROLLER:PLAINTEXT"),
        ("ssl.client.auth", "required"),
    ];
    let Some(kafka) = start(folder, &own, &properties) else { return };
    let client = |name: &str, authority: &Authority| {
        let (certificate, key) = signed_by(authority);
        KafkaClientCertificate {
            certificate_file: write(folder, &format!("{name}.pem"), &certificate),
            key_file: write(folder, &format!("{name}.key"), &key),
        }
    };
    let mut config = secured(&kafka, folder);
    let with = |config: &KafkaConfig, client: Option<KafkaClientCertificate>, ca: &str| {
        let tls = KafkaTls { ca_file: folder.join(ca), client };
        KafkaConfig { tls: Some(tls), ..config.clone() }
    };
    let ours = client("ours", &own);
    write(folder, "other-ca.pem", &other.pem());
    // A client that shows none, one that shows another authority's, one that trusts another's, one without TLS.
    refused(with(&config, None, "ca.pem")).await;
    refused(with(&config, Some(client("theirs", &other)), "ca.pem")).await;
    let distrust = refused(with(&config, Some(ours.clone()), "other-ca.pem")).await;
    assert!(format!("{distrust:?}").contains("certificate verify failed"), "{distrust:?}");
    refused(KafkaConfig { tls: None, ..config.clone() }).await;
    let missing = refused(with(&config, Some(ours.clone()), "no-such-ca.pem")).await;
    assert!(matches!(missing, LogError::Refused { .. }), "{missing:?}");

    config = with(&config, Some(ours), "ca.pem");
    create(&config, &ONE_NODE).await.expect("created");
    let log = open(&config).await;
    append(&log, "over TLS").await;
    assert_eq!(read_all(&log, Offset(0)).await.expect("read").len(), 1);
    log.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let own = authority();
    let properties = [
        ("listener.security.protocol.map", "CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT"),
        ("sasl.enabled.mechanisms", "PLAIN"),
        ("sasl.mechanism.inter.broker.protocol", "PLAIN"),
        (
            "listener.name.client.plain.sasl.jaas.config",
            "org.apache.kafka.common.security.plain.PlainLoginModule required \
             username=\"broker\" password=\"broker\" user_leaf=\"open sesame\";",
        ),
    ];
    let Some(kafka) = start(folder, &own, &properties) else { return };
    let login = |password: &str| KafkaSasl {
        mechanism: SaslMechanism::Plain,
        username: "leaf".into(),
        password_file: write(folder, "password", password),
    };
    let mut config = secured(&kafka, folder);
    refused(config.clone()).await;
    config.sasl = Some(login("wrong"));
    let error = refused(config.clone()).await;
    let said = format!("{error:?}");
    assert!(said.contains("uthentication"), "{said}");
    assert!(!said.contains("sesame"), "{said}");

    config.sasl = Some(login("open sesame\n"));
    assert!(!format!("{config:?}").contains("sesame"));
    create(&config, &ONE_NODE).await.expect("created");
    let log = open(&config).await;
    append(&log, "logged in").await;
    assert_eq!(read_all(&log, Offset(0)).await.expect("read").len(), 1);
    log.close().await.expect("closed");
}
