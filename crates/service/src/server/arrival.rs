//! First layer: what the caller states about its request, the deadline and the id.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use nautilus_types::Class;
use tonic::body::Body;

use super::settings::DeadlineRules;
use super::stage::{Inner, Rest, Stage};
use crate::clock::Clock;
use crate::deadline::{Deadline, GRPC_TIMEOUT, HOP_MARGIN, timeout_of};
use crate::request_id::{REQUEST_ID, RequestId};
use crate::status::RpcError;

/// Puts [`Deadline`] and [`RequestId`] on the request, cuts it off at the deadline, and echoes the
/// id on the answer.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) rules: Arc<DeadlineRules>,
    pub(crate) clock: Clock,
}

impl Stage for Arrival {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        let id = RequestId::of_headers(request.headers());
        let mut response = id.clone().scope(self.within_deadline(request, rest)).await;
        if let Some(value) = id.header_value() {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
}

impl Arrival {
    async fn within_deadline<S: Inner>(
        &self,
        mut request: Request<Body>,
        rest: Rest<S>,
    ) -> Response<Body> {
        let Ok(stated) = timeout_of(request.headers()) else {
            return bad_timeout().into_status().into_http();
        };
        if let Some(id) = RequestId::current() {
            request.extensions_mut().insert(id);
        }
        let budget = self.rules.policy(request.uri().path()).budget(stated).map(less_margin);
        let Some(budget) = budget else {
            return rest.run(request).await;
        };
        request.extensions_mut().insert(Deadline::after(self.clock.now(), budget));
        if budget.is_zero() {
            return deadline_exceeded().into_status().into_http();
        }
        match tokio::time::timeout(budget, rest.run(request)).await {
            Ok(response) => response,
            Err(_) => deadline_exceeded().into_status().into_http(),
        }
    }
}

/// The answer has to leave before the caller gives up, and before tonic's own timer, which stands
/// at exactly the stated timeout and would answer CANCELLED.
fn less_margin(budget: Duration) -> Duration {
    budget.saturating_sub(HOP_MARGIN.min(budget / 4))
}

fn deadline_exceeded() -> RpcError {
    RpcError::new(Class::Deadline, "DEADLINE_EXCEEDED", "no answer within the deadline")
}

fn bad_timeout() -> RpcError {
    RpcError::new(Class::Invalid, "BAD_TIMEOUT", "grpc-timeout does not parse")
        .field(GRPC_TIMEOUT, "expected one to eight digits and one of H, M, S, m, u, n")
}
