//! Encryption and mutual authentication between processes of a cluster.
//!
//! ```text
//! files ─► Material (checked) ─► server: handshake ─► PeerIdentity ─► access table ─► guard ─► handler
//!    ▲           └─────────────► client: handshake, and is it the role I meant?
//!    └── looked at again every few minutes; what does not hold up leaves the old set in use
//! ```
//!
//! Every process has a certificate of the cluster's own authority that names its role ([`PeerIdentity`]). TLS 1.3
//! only, without resumption, so that each connection shows its certificate. Two authorities may be trusted at once,
//! one after the other in the same file, while certificates move from one to the other.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use nautilus_types::Class;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ClientConfig};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::status::error_chain;

mod access;
mod connect;
mod identity;
mod material;
mod verify;

pub use access::{Access, access_of, may_call};
pub(crate) use identity::describe;
pub use identity::{InvalidIdentity, PeerIdentity, Role};
use material::{Contents, Material};

/// How often files are looked at for new certificates, unless told otherwise.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// When the process's own certificate ends: a process has one.
static EXPIRES: LazyLock<Gauge> = LazyLock::new(Gauge::default);

/// Adds the end of the own certificate to a registry, in seconds since 1970; 0 without one.
pub fn register(registry: &mut Registry) {
    registry.register_with_unit(
        "nautilus_tls_certificate_expiry_time",
        "When the certificate of this process ends, in seconds since 1970",
        Unit::Seconds,
        EXPIRES.clone(),
    );
}

/// Where a process finds its certificates, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities of the cluster.
    pub ca_file: PathBuf,
    /// The process's own certificate first, then those between it and an authority.
    pub certificate_file: PathBuf,
    /// Its key, which nobody else may read.
    pub key_file: PathBuf,
}

/// Whether a server asks its callers for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    /// On ports between processes: without one, and of the same cluster, there is no connection; then its role
    /// decides which methods may be called.
    Required,
    /// On ports for clients, who show tokens.
    NotAsked,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is not to be had.
    #[error("read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Others may read the key.
    #[error("{} may be read by others (mode {mode:o})", path.display())]
    TooOpen {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// Expired, not yet valid, of another authority, or without its key.
    #[error("{} cannot be used", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: rustls::Error,
    },
    /// The certificate does not say which process of which cluster it is for.
    #[error("{} names no process of a cluster", path.display())]
    Nobody {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: InvalidIdentity,
    },
    /// A certificate that was to replace another one is for somebody else.
    #[error("{} is for {found}, this process is {held}", path.display())]
    SomebodyElse {
        /// Which file.
        path: PathBuf,
        /// Whom it is for.
        found: Box<PeerIdentity>,
        /// Who we are.
        held: Box<PeerIdentity>,
    },
}

impl TlsError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Read { .. }
            | Self::TooOpen { .. }
            | Self::Pem { .. }
            | Self::Unusable { .. }
            | Self::Nobody { .. }
            | Self::SomebodyElse { .. } => Class::Precondition,
        }
    }
}

/// The certificates of a process, the newest that hold up. Shared by all its servers and channels.
pub struct Tls {
    files: TlsFiles,
    clock: Clock,
    current: RwLock<Arc<Material>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("files", &self.files)
            .field("identity", &self.current().identity)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads and checks the files.
    pub fn load(files: TlsFiles, clock: Clock) -> Result<Arc<Self>, TlsError> {
        let material = Material::new(Contents::read(&files)?, &files, clock.unix_time())?;
        note_expiry(&material);
        let current = RwLock::new(Arc::new(material));
        Ok(Arc::new(Self { files, clock, current }))
    }

    /// Who this process is.
    #[must_use]
    pub fn identity(&self) -> PeerIdentity {
        self.current().identity.clone()
    }

    /// When its certificate ends, in seconds since 1970.
    #[must_use]
    pub fn expires_unix_s(&self) -> u64 {
        self.current().expires_unix_s
    }

    /// Looks at the files again; whether new ones are in use from now on, for new connections. On an error the
    /// former ones stay in use.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.files)?;
        let held = self.current();
        if held.was_made_of(&contents) {
            return Ok(false);
        }
        let material = Material::new(contents, &self.files, self.clock.unix_time())?;
        if material.identity != held.identity {
            return Err(TlsError::SomebodyElse {
                path: self.files.certificate_file.clone(),
                found: Box::new(material.identity),
                held: Box::new(held.identity.clone()),
            });
        }
        note_expiry(&material);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(material);
        Ok(true)
    }

    /// Reloads every `interval` until `stop`, and says when something changed or does not hold up.
    pub async fn keep_fresh(self: Arc<Self>, interval: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(interval) => {}
            }
            match self.reload() {
                Ok(true) => {
                    let expires_unix_s = self.expires_unix_s();
                    tracing::info!(expires_unix_s, "new certificates are in use");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    error = error_chain(&error),
                    "new certificates do not hold up; the former ones stay in use"
                ),
            }
        }
    }

    /// For one connection, with the certificates of this moment.
    pub(crate) fn acceptor(&self, clients: ClientCertificates) -> TlsAcceptor {
        TlsAcceptor::from(self.current().server(clients))
    }

    fn client_config(&self, role: Role) -> Result<ClientConfig, rustls::Error> {
        self.current().client(role)
    }

    fn current(&self) -> Arc<Material> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn note_expiry(material: &Material) {
    EXPIRES.set(i64::try_from(material.expires_unix_s).unwrap_or(i64::MAX));
}

/// Whether a server may listen on this address: beyond loopback only with TLS, or where a person insists.
#[must_use]
pub fn may_listen(address: SocketAddr, has_tls: bool, is_plaintext_allowed: bool) -> bool {
    has_tls || is_plaintext_allowed || address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_tls_only_loopback_is_listened_on() {
        for (address, is_loopback) in [
            ("127.0.0.1:1", true),
            ("127.8.0.1:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("10.0.0.1:1", false),
            ("[::ffff:10.0.0.1]:1", false),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(may_listen(address, false, false), is_loopback, "{address}");
            assert!(may_listen(address, true, false) && may_listen(address, false, true));
        }
    }
}
