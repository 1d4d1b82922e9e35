//! Encrypted connections and certificates.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use super::super::PostgresClientCertificate;
use super::*;

/// An authority and its certificate as PEM.
fn authority(called: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params.distinguished_name.push(rcgen::DnType::CommonName, called);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("generated");
    let pem = params.self_signed(&key).expect("signed").pem();
    (Issuer::new(params, key), pem)
}

/// Certificate and key for a name, both PEM.
fn certificate(issuer: &Issuer<'static, KeyPair>, subject: &str) -> (String, String) {
    let mut params = CertificateParams::new(vec![subject.to_owned()]).expect("valid");
    params.distinguished_name.push(rcgen::DnType::CommonName, subject);
    let key = KeyPair::generate().expect("generated");
    (params.signed_by(&key, issuer).expect("signed").pem(), key.serialize_pem())
}

#[tokio::test]
async fn certificates_are_verified_on_both_sides() {
    let ((ca, ca_pem), (_, other_pem)) = (authority("ours"), authority("other"));
    let (server_certificate, server_key) = certificate(&ca, "127.0.0.1");
    let server = Postgres::start_with(
        &[("ssl", "on"), ("ssl_ca_file", "ca.pem")],
        &[
            ("ca.pem", &ca_pem),
            ("server.crt", &server_certificate),
            ("server.key", &server_key),
            (
                "pg_hba.conf",
                "hostssl all by_certificate 127.0.0.1/32 cert
                 host all all 127.0.0.1/32 scram-sha-256",
            ),
        ],
    );
    let Some(server) = or_skip("catalog::postgres::tls", server) else { return };
    let dir = tempfile::tempdir().expect("temporary folder");
    let file = |name: &str, contents: &str| {
        let path = dir.path().join(name);
        fs::write(&path, contents).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
        path
    };
    let verified = |ca_file| PostgresTls::Verified { ca_file, client: None };
    let mut config = config(&server);
    config.tls = verified(Some(file("ca.pem", &ca_pem)));
    let catalog = PostgresCatalog::open(config.clone()).await.expect("opens");
    catalog.create_user(&user("ada"), "Ada", 1).await.expect("created");
    let encrypted = server.sql(
        "postgres",
        "SELECT count(*) > 0 FROM pg_stat_ssl
        JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'nautilus-catalog'",
    );
    assert_eq!(encrypted, "t");

    for tls in [verified(None), verified(Some(file("other.pem", &other_pem)))] {
        let error = PostgresCatalog::open(PostgresConfig { tls, ..config.clone() }).await;
        let error = error.expect_err("an authority nobody named");
        assert_eq!(error.class(), Class::Unavailable);
        assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
    }
    let elsewhere = PostgresConfig { host: "localhost".to_owned(), ..config.clone() };
    let error = PostgresCatalog::open(elsewhere).await.expect_err("a name not in the certificate");
    assert!(format!("{error:?}").contains("NotValidForName"), "{error:?}");

    server.sql("postgres", "CREATE ROLE by_certificate SUPERUSER LOGIN");
    let (client_certificate, client_key) = certificate(&ca, "by_certificate");
    let client = PostgresClientCertificate {
        certificate_file: file("client.pem", &client_certificate),
        key_file: file("client.key", &client_key),
    };
    config.role = "by_certificate".to_owned();
    config.password_file = None;
    let error = PostgresCatalog::open(config.clone()).await.expect_err("no certificate");
    assert_eq!(error.class(), Class::Unavailable);
    let ca_file = Some(dir.path().join("ca.pem"));
    config.tls = PostgresTls::Verified { ca_file, client: Some(client) };
    let catalog = PostgresCatalog::open(config).await.expect("opens");
    assert!(catalog.get_user(&user("ada")).await.expect("read").is_some());
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_it_is_asked_for() {
    let Some(database) = Database::new() else { return };
    let mut config = database.config.clone();
    config.tls = PostgresTls::Verified { ca_file: None, client: None };
    let error = PostgresCatalog::open(config).await.expect_err("must fail");
    assert!(format!("{error:?}").contains("does not support TLS"), "{error:?}");
}
