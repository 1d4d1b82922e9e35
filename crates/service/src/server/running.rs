//! A server that holds its address, and its life from there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower::ServiceBuilder;

use super::admission::Admission;
use super::arrival::Arrival;
use super::connection::{ServerTls, connections};
use super::containment::Contained;
use super::guard::{Guarded, RequestGuard};
use super::metrics::{Metered, ServerMetrics};
use super::peer::PeerChecked;
use super::settings::ServerSettings;
use super::stage::StageLayer;
use super::trace::Traced;
use super::{ServerError, set_health};
use crate::clock::Clock;
use crate::tls::ClientCertificates;

/// Age at which connections are closed where certificates say who is calling, unless told otherwise: each new one
/// shows its certificate again.
const CERTIFIED_AGE_MAX: Duration = Duration::from_secs(30 * 60);

/// A server that has its address and waits to be served.
#[derive(Debug)]
pub struct BoundServer {
    pub(super) name: String,
    pub(super) settings: ServerSettings,
    pub(super) clock: Clock,
    pub(super) tls: Option<ServerTls>,
    pub(super) guard: Option<Arc<dyn RequestGuard>>,
    pub(super) routes: Routes,
    pub(super) services: Vec<&'static str>,
    pub(super) health: HealthReporter,
    pub(super) metrics: Arc<ServerMetrics>,
    pub(super) listener: TcpListener,
    pub(super) address: SocketAddr,
}

impl BoundServer {
    /// Where it listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// To say which services are ready; all are, from the start, unless told otherwise.
    #[must_use]
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// Its counters.
    #[must_use]
    pub fn metrics(&self) -> Arc<ServerMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Serves until `stop`, then: health says NOT_SERVING, clients get `withdraw_delay` to notice,
    /// nothing new is accepted, and open requests get `drain_max`. Requests still open after that
    /// are left to the end of the process: they are streams, whose handlers should heed their own
    /// stop token.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), ServerError> {
        let settings = self.settings;
        let asks_peers = self
            .tls
            .as_ref()
            .is_some_and(|tls| matches!(tls.clients, ClientCertificates::Required));
        let age_max = settings.connection_age_max.or(asks_peers.then_some(CERTIFIED_AGE_MAX));
        let incoming = connections(
            self.listener,
            settings.keepalive_interval,
            self.tls,
            Arc::clone(&self.metrics),
        );
        let stages = ServiceBuilder::new()
            // The order and its reasons: module documentation of `server`.
            .layer(StageLayer(Arrival {
                rules: Arc::new(settings.deadlines),
                clock: self.clock.clone(),
            }))
            .layer(StageLayer(Admission::new(settings.in_flight_max, Arc::clone(&self.metrics))))
            .layer(StageLayer(PeerChecked { is_required: asks_peers }))
            .layer(StageLayer(Guarded { guard: self.guard }))
            .layer(StageLayer(Metered { metrics: self.metrics, clock: self.clock }))
            .layer(StageLayer(Traced { role: self.name.as_str().into() }))
            .layer(StageLayer(Contained))
            .service(self.routes);
        let mut transport = Server::builder()
            .max_concurrent_streams(settings.streams_per_connection_max)
            .http2_max_header_list_size(settings.header_bytes_max)
            .http2_keepalive_interval(Some(settings.keepalive_interval))
            .http2_keepalive_timeout(Some(settings.keepalive_timeout));
        if let Some(age) = age_max {
            transport = transport.max_connection_age(age);
        }

        let stop_accepting = CancellationToken::new();
        let serving = transport.serve_with_incoming_shutdown(
            stages,
            incoming,
            stop_accepting.clone().cancelled_owned(),
        );
        tokio::pin!(serving);
        let address = self.address;
        tracing::info!(server = self.name, %address, "serving");
        tokio::select! {
            ended = &mut serving => {
                return ended.map_err(|source| ServerError::Serve { address, source });
            }
            () = stop.cancelled() => {}
        }

        set_health(&self.health, &self.services, ServingStatus::NotServing).await;
        // Still serving while clients notice.
        let withdraw = tokio::time::timeout(settings.withdraw_delay, &mut serving).await;
        if let Ok(ended) = withdraw {
            return ended.map_err(|source| ServerError::Serve { address, source });
        }
        stop_accepting.cancel();
        match tokio::time::timeout(settings.drain_max, &mut serving).await {
            Ok(ended) => ended.map_err(|source| ServerError::Serve { address, source })?,
            Err(_) => tracing::warn!(
                server = self.name,
                %address,
                drain_ms = crate::clock::saturating_ms(settings.drain_max),
                "requests still open after the drain time"
            ),
        }
        tracing::info!(server = self.name, %address, "stopped");
        Ok(())
    }
}
