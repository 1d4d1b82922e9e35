//! Where a binary made for tests puts something between a leaf and its server.

use std::sync::{Arc, OnceLock};

use nautilus_leaf::Leaf;
use nautilus_service::server::GrpcServer;

/// Makes a leaf's server.
pub type LeafServer = fn(Arc<Leaf>) -> GrpcServer;

static LEAF_SERVER: OnceLock<LeafServer> = OnceLock::new();

/// Leaves of this process are served so. Only the first call counts.
pub(crate) fn serve_leaves_by(make: LeafServer) {
    let _ = LEAF_SERVER.set(make);
}

/// The server of this leaf.
pub(super) fn leaf_server(leaf: Arc<Leaf>) -> GrpcServer {
    match LEAF_SERVER.get() {
        Some(make) => make(leaf),
        None => leaf.server(),
    }
}
