//! What a configuration may say, TLS, and users.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Permission, PermissionType};
use nautilus_test_services::{Etcd, or_skip};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use super::{
    all, assert_unavailable, available, bounded, config, etcd, next, open, perform, put, raw,
    watch_from,
};
use crate::etcd::{EtcdConfig, EtcdIdentity, EtcdRegistry, EtcdTls, EtcdUser};
use crate::{Registry, RegistryError};

async fn refused(config: EtcdConfig) -> String {
    match EtcdRegistry::open(config).await {
        Err(RegistryError::Invalid { what: "configuration", problem }) => problem,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("taken"),
    }
}

fn tls(ca_file: impl Into<PathBuf>) -> Option<EtcdTls> {
    Some(EtcdTls { ca_file: ca_file.into(), identity: None })
}

#[tokio::test]
async fn wrong_configurations_are_refused() {
    let at = |endpoint: &str| config(vec![endpoint.to_owned()]);
    let cluster = |cluster: &str| EtcdConfig { cluster: cluster.to_owned(), ..at("http://e:1") };
    let user = |password_file: &Path| {
        Some(EtcdUser { name: "u".to_owned(), password_file: password_file.to_owned() })
    };
    let missing = Path::new("/nonexistent/file");
    for (wrong, wanted) in [
        (config(Vec::new()), "no endpoint"),
        (at("e:1"), "scheme, host and port"),
        (at("ftp://e:1"), "neither http nor https"),
        (at("http://e:1/path"), "scheme, host and port"),
        (at("http://u:secret@e:1"), "scheme, host and port"),
        (at("http://e e"), "no URI"),
        (at("https://e:1"), "no CA file"),
        (EtcdConfig { tls: tls(missing), ..at("http://e:1") }, "without TLS"),
        (EtcdConfig { tls: tls(missing), ..at("https://e:1") }, "/nonexistent/file"),
        (EtcdConfig { user: user(missing), ..at("http://e:1") }, "/nonexistent/file"),
        (EtcdConfig { timeout: Duration::ZERO, ..at("http://e:1") }, "zero"),
        (cluster(""), "1 to 63"),
        (cluster("a/b"), "1 to 63"),
        (cluster("A"), "1 to 63"),
        (cluster(&"a".repeat(64)), "1 to 63"),
    ] {
        let problem = refused(wrong).await;
        assert!(problem.contains(wanted), "{problem}");
        assert!(!problem.contains("secret"), "{problem}");
    }
    EtcdRegistry::open(at("http://e:1")).await.expect("right, and not there");
}

/// Authority, server and client certificates in `folder`.
struct Certificates {
    folder: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for authority in ["ca", "other"] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, authority);
            write(&format!("{authority}.pem"), &params.self_signed(&key).unwrap().pem());
            if authority == "other" {
                continue;
            }
            let issuer = Issuer::new(params, key);
            for name in ["server", "client"] {
                let key = KeyPair::generate().unwrap();
                let mut params = CertificateParams::default();
                params.distinguished_name.push(DnType::CommonName, name);
                params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
                let signed = params.signed_by(&key, &issuer).unwrap();
                write(&format!("{name}.pem"), &signed.pem());
                write(&format!("{name}.key"), &key.serialize_pem());
            }
        }
        Self { folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Members are known by their authority, and know us by our certificate.
#[tokio::test]
async fn tls_with_certificates_of_both_sides() {
    let files = Certificates::make();
    let file = |name: &str| files.file(name).display().to_string();
    let started = Etcd::start_with_tls(&[
        "--cert-file",
        &file("server.pem"),
        "--key-file",
        &file("server.key"),
        "--trusted-ca-file",
        &file("ca.pem"),
        "--client-cert-auth",
    ]);
    let Some(etcd) = or_skip("registry::etcd", started) else { return };
    let identity = Some(EtcdIdentity {
        certificate_file: files.file("client.pem"),
        key_file: files.file("client.key"),
    });
    let with = |ca: &str, identity: Option<EtcdIdentity>| EtcdConfig {
        tls: Some(EtcdTls { ca_file: files.file(ca), identity }),
        ..config(vec![etcd.endpoint()])
    };
    let registry = open(with("ca.pem", identity.clone())).await;
    let at = perform(&*registry, [put("k", "x")]).await;
    let mut watch = watch_from(&*registry, at).await;
    assert_eq!(next(&mut *watch).await.0, at);
    for wrong in [with("other.pem", identity), with("ca.pem", None)] {
        let registry = open(wrong).await;
        assert_unavailable(bounded(registry.get("k")).await);
        assert_unavailable(bounded(registry.transact(all([put("k", "y")]))).await);
    }
}

/// A user may do what their role says. Their password is read from a file and shown nowhere.
#[tokio::test]
async fn users_and_their_passwords() {
    let Some(etcd) = etcd() else { return };
    let mut client = raw(&etcd).await;
    for (user, password, role) in [("root", "r00t", "root"), ("leaf", "s3cret", "of-test")] {
        client.user_add(user, password, None).await.unwrap();
        client.role_add(role).await.unwrap();
        client.user_grant_role(user, role).await.unwrap();
    }
    let below = Permission::new(PermissionType::Readwrite, "nautilus/test/").with_prefix();
    client.role_grant_permission("of-test", below).await.unwrap();
    client.auth_enable().await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let with = |password: &str| {
        let password_file = folder.path().join(password);
        std::fs::write(&password_file, format!("{password}\n")).unwrap();
        let user = Some(EtcdUser { name: "leaf".to_owned(), password_file });
        EtcdConfig { user, ..config(vec![etcd.endpoint()]) }
    };
    let registry = open(with("s3cret")).await;
    let lease = bounded(registry.grant_lease(Duration::from_secs(600))).await.unwrap();
    let put = super::put_under(Some(lease), "k", "x");
    let at = perform(&*registry, [put]).await;
    let mut watch = watch_from(&*registry, at).await;
    assert_eq!(next(&mut *watch).await.0, at);
    available(|| registry.keep_alive(lease)).await.unwrap();
    available(|| registry.revoke_lease(lease)).await.unwrap();

    let elsewhere = EtcdConfig { cluster: "other".to_owned(), ..with("s3cret") };
    let nobody = config(vec![etcd.endpoint()]);
    for denied in [elsewhere, with("wrong"), nobody] {
        let registry = open(denied).await;
        assert_unavailable(bounded(registry.list("")).await);
        let outcome = bounded(registry.transact(all([super::put("k", "y")]))).await;
        let shown = format!("{outcome:?}");
        assert_unavailable(outcome);
        assert!(!shown.contains("wrong") && !shown.contains("s3cret"), "{shown}");
        assert_unavailable(bounded(registry.watch("", at)).await.map(drop));
    }
}
