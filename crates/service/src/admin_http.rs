//! The operators' plain HTTP port: metrics for Prometheus, and health for probes that speak no gRPC.
//!
//! It holds no data of anybody and needs no credentials; it listens on an address of its own, from before there is
//! anything to show: a process that waits for others at its start lives and is not ready.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::server::ServerError;

/// What a scrape gets (OpenMetrics 1.0).
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process can do its work now.
pub type Readiness = Arc<dyn Fn() -> bool + Send + Sync>;

/// A port that has its address and waits to be served.
pub struct AdminHttp {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    shown: Shown,
}

/// What the port shows, once there is something. Cheap to clone.
#[derive(Clone, Default)]
pub struct Shown(Arc<OnceLock<Shared>>);

struct Shared {
    registry: Registry,
    readiness: Readiness,
}

impl Shown {
    /// From now on these metrics and this readiness; a second call changes nothing.
    pub fn show(&self, registry: Registry, readiness: Readiness) {
        let _ = self.0.set(Shared { registry, readiness });
    }
}

impl AdminHttp {
    /// Takes the address; port 0 takes any free one. Alive and not ready until there is something to show.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServerError> {
        let listen = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let shown = Shown::default();
        let router = Router::new()
            .route("/metrics", get(metrics))
            .route("/health/livez", get(|| async { "ok\n" }))
            .route("/health/readyz", get(readyz))
            .with_state(shown.clone());
        Ok(Self { listener, address, router, shown })
    }

    /// Where to put what it shows.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }

    /// Where it listens, with the real port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), std::io::Error> {
        tracing::info!(server = "admin-http", address = %self.address, "serving");
        let serving = axum::serve(self.listener, self.router);
        serving.with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let Some(shared) = shown.0.get() else { return not_ready() };
    let mut text = String::new();
    match encode(&mut text, &shared.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn readyz(State(shown): State<Shown>) -> Response {
    let is_ready = shown.0.get().is_some_and(|shared| (shared.readiness)());
    if is_ready { "ok\n".into_response() } else { not_ready() }
}

fn not_ready() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::task_group::TaskGroup;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    #[tokio::test]
    async fn serves_metrics_and_health() {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        registry.register("nautilus_tests", "Tests that ran", counter.clone());
        let is_ready = Arc::new(AtomicBool::new(false));
        let readiness = Arc::clone(&is_ready);
        let http = AdminHttp::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("bound");
        let (address, shown) = (http.local_addr(), http.shown());
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        tasks.spawn("admin-http", |stop| http.serve(stop));
        assert!(ask(address, "/health/livez").await.starts_with("HTTP/1.1 200"));
        for path in ["/metrics", "/health/readyz"] {
            assert!(ask(address, path).await.starts_with("HTTP/1.1 503"), "{path}");
        }
        shown.show(registry, Arc::new(move || readiness.load(Ordering::SeqCst)));
        counter.inc();
        let scraped = ask(address, "/metrics").await;
        assert!(scraped.contains("nautilus_tests_total 1"), "{scraped}");
        assert!(scraped.contains("application/openmetrics-text"), "{scraped}");
        assert!(ask(address, "/health/livez").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/health/readyz").await.starts_with("HTTP/1.1 503"));
        is_ready.store(true, Ordering::SeqCst);
        assert!(ask(address, "/health/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "/elsewhere").await.starts_with("HTTP/1.1 404"));
        assert!(tasks.drain(Duration::from_secs(5)).await.is_clean());
    }
}
