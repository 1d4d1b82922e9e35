//! What a registry on etcd needs to know.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::Uri;

use crate::RegistryError;

/// Longest name of a cluster, in bytes: with it and the port's bounds, the largest transaction stays within
/// etcd's 1.5 MiB for a request.
const CLUSTER_BYTES_MAX: usize = 63;

/// Settings of an [`EtcdRegistry`](crate::EtcdRegistry). Secrets stand in files that it names, so that it
/// may be logged.
#[derive(Debug, Clone)]
pub struct EtcdConfig {
    /// `http://HOST:PORT` or `https://HOST:PORT` of every member, in the order of preference.
    pub endpoints: Vec<String>,
    /// Name of the cluster, 1 to 63 of `a`–`z`, `0`–`9` and `-`: its keys are those under
    /// `nautilus/NAME/`, so that several may share one etcd.
    pub cluster: String,
    /// How long a call may take, with all its attempts.
    pub timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// Needed for `https`, refused otherwise.
    pub tls: Option<EtcdTls>,
    /// Where etcd's authentication is enabled.
    pub user: Option<EtcdUser>,
}

/// How members of etcd are known, and how they know us.
#[derive(Debug, Clone)]
pub struct EtcdTls {
    /// Certificates (PEM) of the authorities that sign members' certificates.
    pub ca_file: PathBuf,
    /// Where members ask for a client's certificate.
    pub identity: Option<EtcdIdentity>,
}

/// The certificate we show.
#[derive(Debug, Clone)]
pub struct EtcdIdentity {
    /// Certificate chain (PEM).
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
}

/// A user of etcd.
#[derive(Debug, Clone)]
pub struct EtcdUser {
    /// Their name.
    pub name: String,
    /// The file with their password; a line break at its end is not part of it.
    pub password_file: PathBuf,
}

impl EtcdConfig {
    /// Default of [`timeout`](Self::timeout): longer than etcd needs to elect a leader with its default
    /// timers (1 to 2 s).
    pub const TIMEOUT: Duration = Duration::from_secs(3);
    /// Default of [`connect_timeout`](Self::connect_timeout).
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

    /// The defaults, without TLS and without a user.
    #[must_use]
    pub fn new(endpoints: Vec<String>, cluster: impl Into<String>) -> Self {
        Self {
            endpoints,
            cluster: cluster.into(),
            timeout: Self::TIMEOUT,
            connect_timeout: Self::CONNECT_TIMEOUT,
            tls: None,
            user: None,
        }
    }

    /// Whether everything that can be said without reading files or connecting is right.
    pub(super) fn check(&self) -> Result<(), RegistryError> {
        if self.endpoints.is_empty() {
            return Err(invalid("no endpoint of etcd is named"));
        }
        for endpoint in &self.endpoints {
            self.check_endpoint(endpoint)?;
        }
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=CLUSTER_BYTES_MAX).contains(&self.cluster.len())
            || !self.cluster.bytes().all(is_name)
        {
            let name = self.cluster.escape_debug();
            return Err(invalid(format!("cluster \"{name}\" is not 1 to 63 of a-z, 0-9 and -")));
        }
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err(invalid("a timeout of etcd is zero"));
        }
        Ok(())
    }

    fn check_endpoint(&self, endpoint: &str) -> Result<(), RegistryError> {
        // Not shown: it may hold a password where none belongs.
        let uri: Uri = endpoint.parse().map_err(|_| invalid("an endpoint of etcd is no URI"))?;
        let is_bare = uri.path() == "/" && uri.query().is_none();
        let is_anonymous = uri.authority().is_some_and(|at| !at.as_str().contains('@'));
        if !is_bare || !is_anonymous {
            return Err(invalid("an endpoint of etcd is not just scheme, host and port"));
        }
        match (uri.scheme_str(), &self.tls) {
            (Some("https"), Some(_)) | (Some("http"), None) => Ok(()),
            (Some("https"), None) => Err(invalid(format!(
                "endpoint {endpoint} of etcd asks for TLS, which has no CA file"
            ))),
            (Some("http"), Some(_)) => {
                Err(invalid(format!("endpoint {endpoint} of etcd would be spoken to without TLS")))
            }
            (Some(_) | None, _) => {
                Err(invalid(format!("endpoint {endpoint} of etcd is neither http nor https")))
            }
        }
    }
}

pub(super) fn invalid(problem: impl Into<String>) -> RegistryError {
    RegistryError::Invalid { what: "configuration", problem: problem.into() }
}
