//! Certificates and key as read from files, checked, and made into what the TLS library needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::server::{
    NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier,
};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore, ServerConfig};

use super::identity::{PeerIdentity, Role, describe};
use super::verify::RoleVerifier;
use super::{ClientCertificates, TlsError, TlsFiles};

const ALPN_HTTP_2: &[u8] = b"h2";

/// The contents of the three files.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    ca: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Contents {
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let key_file = &files.key_file;
        let read = |source| TlsError::Read { path: key_file.clone(), source };
        let mode = fs::metadata(key_file).map_err(read)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(TlsError::TooOpen { path: key_file.clone(), mode });
        }
        Ok(Self {
            ca: read_file(&files.ca_file)?,
            chain: read_file(&files.certificate_file)?,
            key: read_file(key_file)?,
        })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

/// One sound set of authority, certificate and key.
pub(super) struct Material {
    contents: Contents,
    pub(super) identity: PeerIdentity,
    pub(super) expires_unix_s: u64,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    mutual: Arc<ServerConfig>,
    public: Arc<ServerConfig>,
}

impl Material {
    /// Checks everything that a peer would check, so that a file that nobody would accept is noticed here.
    pub(super) fn new(
        contents: Contents,
        files: &TlsFiles,
        now_unix: std::time::Duration,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&contents.ca, &files.ca_file)? {
            let unusable = |source| TlsError::Unusable { path: files.ca_file.clone(), source };
            roots.add(certificate).map_err(unusable)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(&contents.chain, &files.certificate_file)?;
        let (own, intermediates) = chain.split_first().ok_or_else(|| TlsError::Pem {
            path: files.certificate_file.clone(),
            what: "certificate",
        })?;
        let unusable = |source| TlsError::Unusable { path: files.certificate_file.clone(), source };
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own).map_err(unusable)?,
            &roots,
            intermediates,
            UnixTime::since_unix_epoch(now_unix),
            provider.signature_verification_algorithms.all,
        )
        .map_err(unusable)?;
        let described = describe(own)
            .map_err(|source| TlsError::Nobody { path: files.certificate_file.clone(), source })?;
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| TlsError::Pem { path: files.key_file.clone(), what: "private key" })?;
        // These also find a key that does not belong to the certificate.
        let server = |clients| server_config(&provider, &roots, &chain, &key, clients);
        let (mutual, public) = (
            server(ClientCertificates::Required).map_err(unusable)?,
            server(ClientCertificates::NotAsked).map_err(unusable)?,
        );
        Ok(Self {
            contents,
            identity: described.identity,
            expires_unix_s: described.expires_unix_s,
            provider,
            roots,
            chain,
            key,
            mutual,
            public,
        })
    }

    pub(super) fn was_made_of(&self, contents: &Contents) -> bool {
        self.contents == *contents
    }

    pub(super) fn server(&self, clients: ClientCertificates) -> Arc<ServerConfig> {
        match clients {
            ClientCertificates::Required => Arc::clone(&self.mutual),
            ClientCertificates::NotAsked => Arc::clone(&self.public),
        }
    }

    /// For calling a process of this role in the own cluster.
    pub(super) fn client(&self, role: Role) -> Result<ClientConfig, rustls::Error> {
        let verifier = RoleVerifier {
            roots: Arc::clone(&self.roots),
            provider: Arc::clone(&self.provider),
            cluster: self.identity.cluster.clone(),
            role,
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![ALPN_HTTP_2.to_vec()];
        Ok(config)
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    clients: ClientCertificates,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?;
    let builder = match clients {
        ClientCertificates::Required => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(roots),
                Arc::clone(provider),
            );
            let verifier = verifier.build().map_err(|e| rustls::Error::General(e.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
        ClientCertificates::NotAsked => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain.to_vec(), key.clone_key())?;
    // A resumed session would bring its old certificate with it, unchecked.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![ALPN_HTTP_2.to_vec()];
    Ok(Arc::new(config))
}

fn certificates(text: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(TlsError::Pem { path: path.to_owned(), what: "certificate" }),
    }
}
