//! Third layer: asks the role's guard who is calling and whether they may.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, Response};
use tonic::body::Body;

use super::is_infrastructure;
use super::stage::{Inner, Rest, Stage};
use crate::status::RpcError;

/// Decides about a request before its message is read.
#[async_trait]
pub trait RequestGuard: Debug + Send + Sync {
    /// Lets the request pass, having put what it found (an identity, a grant) into its
    /// `extensions`, where the handler finds it by `tonic::Request::extensions`; or refuses it,
    /// usually as Unauthenticated or Denied. The method is `parts.uri.path()`.
    async fn check(&self, parts: &mut http::request::Parts) -> Result<(), RpcError>;
}

/// The layer; without a guard everything passes.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    pub(crate) guard: Option<Arc<dyn RequestGuard>>,
}

impl Stage for Guarded {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        let Some(guard) = &self.guard else {
            return rest.run(request).await;
        };
        if is_infrastructure(request.uri().path()) {
            return rest.run(request).await;
        }
        let (mut parts, body) = request.into_parts();
        match guard.check(&mut parts).await {
            Ok(()) => rest.run(Request::from_parts(parts, body)).await,
            Err(refusal) => refusal.into_status().into_http(),
        }
    }
}
