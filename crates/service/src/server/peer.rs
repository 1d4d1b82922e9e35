//! Third layer, on ports between processes: whether the role of the process that calls may call this method.

use http::{Request, Response};
use nautilus_types::Class;
use tonic::body::Body;

use super::connection::ConnectionInfo;
use super::stage::{Inner, Rest, Stage};
use crate::status::RpcError;
use crate::tls::may_call;

/// Reason of a refusal.
pub const ROLE_NOT_ALLOWED: &str = "ROLE_NOT_ALLOWED";
/// Reason of a refusal.
pub const NO_PEER: &str = "NO_PEER";

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct PeerChecked {
    /// Whether callers show certificates; where they do not, their tokens are all there is.
    pub(crate) is_required: bool,
}

impl Stage for PeerChecked {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        if !self.is_required {
            return rest.run(request).await;
        }
        let info = request.extensions().get::<ConnectionInfo>();
        let Some(peer) = info.and_then(|info| info.peer.as_deref()) else {
            let refusal = RpcError::new(Class::Unauthenticated, NO_PEER, "who is calling?");
            return refusal.into_status().into_http();
        };
        let path = request.uri().path();
        if may_call(peer.role, path) {
            return rest.run(request).await;
        }
        // Either the cluster is put together wrongly or a process does what it never should.
        tracing::warn!(%peer, method = ?path, "refused: not for this role");
        let refusal =
            RpcError::new(Class::Denied, ROLE_NOT_ALLOWED, "not for a process of this role");
        refusal.into_status().into_http()
    }
}
