//! How processes speak to each other: over TLS with certificates that name roles, or in the clear on one machine.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_service::server::GrpcServer;
use nautilus_service::tls::{ClientCertificates, RELOAD_INTERVAL, Role, Tls, TlsFiles};
use nautilus_service::{Clock, TaskGroup};
use tonic::transport::{Channel, Endpoint};

use crate::config::ProcessConfig;

/// How long a connection to a root may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A root that says nothing for this long while it is asked something is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// The certificates of this process, where it has any.
pub(super) struct Transport {
    tls: Option<Arc<Tls>>,
    is_public: bool,
    allows_plaintext: bool,
}

impl Transport {
    /// Reads the files of `[tls]`, and keeps looking at them.
    pub(super) fn open(
        config: &ProcessConfig,
        clock: &Clock,
        tasks: &mut TaskGroup,
    ) -> anyhow::Result<Self> {
        let allows_plaintext = config.server.allow_plaintext;
        let Some(section) = &config.tls else {
            return Ok(Self { tls: None, is_public: false, allows_plaintext });
        };
        let files = TlsFiles {
            ca_file: section.ca_file.clone(),
            certificate_file: section.certificate_file.clone(),
            key_file: section.key_file.clone(),
        };
        let tls = Tls::load(files, clock.clone()).context("load the certificates of [tls]")?;
        let fresh = Arc::clone(&tls);
        tasks.spawn("tls-files", |stop| fresh.keep_fresh(RELOAD_INTERVAL, stop));
        Ok(Self { tls: Some(tls), is_public: section.public, allows_plaintext })
    }

    /// For the root's connections to leaves.
    pub(super) fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// A server for other processes of the cluster.
    pub(super) fn internal(&self, server: GrpcServer) -> GrpcServer {
        match &self.tls {
            Some(tls) => server.tls(Arc::clone(tls), ClientCertificates::Required),
            None => server.plaintext_beyond_loopback(self.allows_plaintext),
        }
    }

    /// A server for clients, who show tokens.
    pub(super) fn public(&self, server: GrpcServer) -> GrpcServer {
        match self.tls.as_ref().filter(|_| self.is_public) {
            Some(tls) => server.tls(Arc::clone(tls), ClientCertificates::NotAsked),
            None => server.plaintext_beyond_loopback(self.allows_plaintext),
        }
    }

    /// A connection to each root, made when it is used.
    pub(super) fn roots(&self, config: &ProcessConfig) -> anyhow::Result<Vec<Channel>> {
        anyhow::ensure!(!config.cluster.roots.is_empty(), "[cluster] roots names none");
        let channel = |uri: &String| {
            let endpoint = Endpoint::from_shared(uri.clone());
            let endpoint = endpoint.with_context(|| format!("[cluster] roots: {uri:?}"))?;
            let endpoint = endpoint
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_nodelay(true)
                .http2_keep_alive_interval(KEEP_ALIVE)
                .keep_alive_timeout(KEEP_ALIVE);
            Ok(match &self.tls {
                Some(tls) => tls.channel(&endpoint, Role::Root),
                None => endpoint.connect_lazy(),
            })
        };
        config.cluster.roots.iter().map(channel).collect()
    }
}
