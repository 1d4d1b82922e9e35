//! Fifth layer: the span a handler runs in.

use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tracing::Instrument;

use super::stage::{Inner, Rest, Stage};
use crate::request_id::RequestId;

/// Opens a span with the method and the request id, below the one the caller names.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    /// Name of the server.
    pub(crate) role: Arc<str>,
}

impl Stage for Traced {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>().map(RequestId::as_str);
        // The path is the caller's text: shown with escapes, so that it cannot forge log lines.
        let span = tracing::info_span!(
            "rpc",
            otel.name = request.uri().path(),
            otel.kind = "server",
            role = self.role.as_ref(),
            method = ?request.uri().path(),
            request_id = id
        );
        crate::traces::adopt(&span, request.headers());
        rest.run(request).instrument(span).await
    }
}
