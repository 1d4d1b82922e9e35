//! The gRPC server every role is served by: limits, layers, health, reflection, graceful stop.
//!
//! Layers from the outside in, and why this order:
//! 1. `arrival`: the deadline and request id the caller states. First, because everything after
//!    it may be cut short by the one and logs the other.
//! 2. `admission`: sheds load above the concurrency limit, before any work is spent.
//! 3. `peer`, on ports between processes: whether the role in the caller's certificate may call this
//!    method; then `guard`: who is asking. After admission, so that checking signatures cannot be
//!    used to overload the process.
//! 4. `metrics`: counts what was let in, by method and code.
//! 5. `trace`: the span the handler runs in.
//! 6. `containment`: turns a handler's panic into an answer, which the layers above count and log.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use nautilus_types::Class;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::clock::Clock;
use crate::tls::{ClientCertificates, Tls, may_listen};

pub mod admission;
mod arrival;
mod connection;
mod containment;
pub mod guard;
pub mod metrics;
pub mod peer;
mod running;
mod settings;
mod stage;
#[cfg(test)]
mod tests;
mod trace;

pub use connection::ConnectionInfo;
use connection::ServerTls;
pub use guard::RequestGuard;
pub use metrics::{MethodCount, ServerMetrics};
pub use running::BoundServer;
pub use settings::{DeadlinePolicy, DeadlineRules, MessageLimits, ServerSettings};

/// Why a server could not be set up or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is not to be had: in use, or not of this machine.
    #[error("listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Other machines reach the address, and nothing would be encrypted.
    #[error("listening on {address} without TLS would show everything to other machines")]
    Exposed {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The descriptors for reflection do not decode.
    #[error("read file descriptors for reflection")]
    Descriptors(#[source] tonic_reflection::server::Error),
    /// The transport ended without being asked to.
    #[error("serve on {address}")]
    Serve {
        /// Where it was serving.
        address: SocketAddr,
        /// What the transport said.
        #[source]
        source: tonic::transport::Error,
    },
}

impl ServerError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Listen { .. } | Self::Serve { .. } => Class::Unavailable,
            Self::Exposed { .. } => Class::Invalid,
            Self::Descriptors(_) => Class::Bug,
        }
    }
}

/// A server being put together. Health (`grpc.health.v1`) is always served; reflection where
/// descriptors are given.
#[derive(Debug)]
pub struct GrpcServer {
    name: String,
    settings: ServerSettings,
    clock: Clock,
    tls: Option<ServerTls>,
    is_plaintext_allowed: bool,
    guard: Option<Arc<dyn RequestGuard>>,
    routes: RoutesBuilder,
    services: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
}

impl GrpcServer {
    /// An empty server. `name` says in logs which one it is, such as `merger`.
    #[must_use]
    pub fn new(name: impl Into<String>, settings: ServerSettings, clock: Clock) -> Self {
        Self {
            name: name.into(),
            settings,
            clock,
            tls: None,
            is_plaintext_allowed: false,
            guard: None,
            routes: RoutesBuilder::default(),
            services: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    /// Encrypts connections with these certificates. Where callers must show theirs, their role decides which
    /// methods they may call ([`may_call`](crate::tls::may_call)), health and reflection included.
    #[must_use]
    pub fn tls(mut self, tls: Arc<Tls>, clients: ClientCertificates) -> Self {
        self.tls = Some(ServerTls { tls, clients });
        self
    }

    /// Lets the server listen where other machines reach it although nothing is encrypted: for tests and trials,
    /// by a person who insists.
    #[must_use]
    pub fn plaintext_beyond_loopback(mut self, is_allowed: bool) -> Self {
        self.is_plaintext_allowed = is_allowed;
        self
    }

    /// Asks `guard` about every request but those to health and reflection.
    #[must_use]
    pub fn guarded_by(mut self, guard: Arc<dyn RequestGuard>) -> Self {
        self.guard = Some(guard);
        self
    }

    /// Adds a generated service. Give it its message limits first:
    /// [`with_message_limits!`](crate::with_message_limits).
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = http::Response<Body>>,
        S: tower::Service<Request<Body>, Error = std::convert::Infallible>,
        S: NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes.add_service(service);
        self.services.push(S::NAME);
        self
    }

    /// Serves reflection v1 over these encoded `FileDescriptorSet`s.
    #[must_use]
    pub fn reflection(mut self, descriptors: &[&'static [u8]]) -> Self {
        self.descriptors.extend_from_slice(descriptors);
        self
    }

    /// Takes the address; port 0 takes any free one. Connections queue in the kernel until
    /// [`BoundServer::serve`]. Beyond loopback only with TLS.
    pub async fn bind(mut self, address: SocketAddr) -> Result<BoundServer, ServerError> {
        if !may_listen(address, self.tls.is_some(), self.is_plaintext_allowed) {
            return Err(ServerError::Exposed { address });
        }
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (health, health_service) = tonic_health::server::health_reporter();
        for service in &self.services {
            health.set_service_status(service, ServingStatus::Serving).await;
        }
        self.routes.add_service(health_service);
        self.add_reflection()?;
        Ok(BoundServer {
            metrics: Arc::new(ServerMetrics::new(self.name.as_str())),
            name: self.name,
            settings: self.settings,
            clock: self.clock,
            tls: self.tls,
            guard: self.guard,
            routes: self.routes.routes().prepare(),
            services: self.services,
            health,
            listener,
            address,
        })
    }

    fn add_reflection(&mut self) -> Result<(), ServerError> {
        if self.descriptors.is_empty() {
            return Ok(());
        }
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
        for descriptors in &self.descriptors {
            builder = builder.register_encoded_file_descriptor_set(descriptors);
        }
        // Descriptors cover the whole contract; only what is served here is listed.
        for service in self.services.iter().copied().chain(INFRASTRUCTURE_SERVICES) {
            builder = builder.with_service_name(service);
        }
        self.routes.add_service(builder.build_v1().map_err(ServerError::Descriptors)?);
        Ok(())
    }
}

/// Served by every server beside its own services.
const INFRASTRUCTURE_SERVICES: [&str; 2] =
    ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"];

/// Whether this path belongs to health or reflection, which say nothing about documents: neither
/// guarded nor shed, so that an overloaded process is not taken for a dead one.
fn is_infrastructure(path: &str) -> bool {
    path.starts_with("/grpc.health.v1.Health/") || path.starts_with("/grpc.reflection.")
}

/// The part of the health reporter roles need: say that a service is ready, or not.
async fn set_health(health: &HealthReporter, services: &[&'static str], status: ServingStatus) {
    health.set_service_status("", status).await;
    for service in services {
        health.set_service_status(service, status).await;
    }
}
