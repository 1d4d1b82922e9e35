//! Second layer: refuses what is above the concurrency limit at once, instead of queueing it.

use std::sync::Arc;

use http::{Request, Response};
use nautilus_types::Class;
use tokio::sync::Semaphore;
use tonic::body::Body;

use super::is_infrastructure;
use super::metrics::ServerMetrics;
use super::stage::{Inner, Rest, Stage};
use crate::status::RpcError;

/// Reason of a refusal.
pub const TOO_MANY_REQUESTS: &str = "TOO_MANY_REQUESTS";

/// A counted place for each request until its answer begins; for a stream of answers, until the
/// first message is due.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    in_flight_max: usize,
    metrics: Arc<ServerMetrics>,
}

impl Admission {
    pub(crate) fn new(in_flight_max: usize, metrics: Arc<ServerMetrics>) -> Self {
        let in_flight_max = in_flight_max.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(in_flight_max)), in_flight_max, metrics }
    }
}

impl Stage for Admission {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        if is_infrastructure(request.uri().path()) {
            return rest.run(request).await;
        }
        let Ok(_place) = self.places.try_acquire() else {
            self.metrics.count_shed();
            return too_many(self.in_flight_max).into_status().into_http();
        };
        rest.run(request).await
    }
}

fn too_many(in_flight_max: usize) -> RpcError {
    RpcError::new(Class::Overloaded, TOO_MANY_REQUESTS, "too many requests at once")
        .quota("requests in flight", format!("at most {in_flight_max}"))
}
