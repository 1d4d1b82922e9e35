//! Where another binary puts what is its own: annotators of an application, and between a leaf and its server what
//! tests need there.

use std::sync::{Arc, OnceLock};

use nautilus_annotate::Annotator;
use nautilus_leaf::Leaf;
use nautilus_service::server::GrpcServer;

/// Makes a leaf's server.
pub type LeafServer = fn(Arc<Leaf>) -> GrpcServer;

static LEAF_SERVER: OnceLock<LeafServer> = OnceLock::new();

static ANNOTATORS: OnceLock<Vec<Arc<dyn Annotator>>> = OnceLock::new();

/// Index builders of this process run these too. Only the first call counts.
pub(crate) fn annotate_by(annotators: Vec<Arc<dyn Annotator>>) {
    let _ = ANNOTATORS.set(annotators);
}

/// The annotators that this binary adds.
pub(crate) fn annotators() -> Vec<Arc<dyn Annotator>> {
    ANNOTATORS.get().cloned().unwrap_or_default()
}

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
