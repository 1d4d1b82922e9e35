//! A leaf with faults: some of its answers come late, and some requests are its death.
//!
//! ```text
//! test ─► faults/<leaf>.json ─► watcher in the leaf's process ─► FaultyLeaf ─► the leaf
//! ```
//!
//! Only the binary made for tests has it. Faults change while the leaf runs; the file beside with the ending
//! `taken` says which are in force.

mod faults;

use std::sync::Arc;
use std::time::Duration;

use nautilus_leaf::{Leaf, LeafGrpc};
use nautilus_proto::common::v1::QueryNode;
use nautilus_proto::leaf::v1::leaf_service_server::{LeafService, LeafServiceServer};
use nautilus_proto::leaf::v1::{
    FetchRequest, FetchResponse, GetStatusRequest, GetStatusResponse, ListRequest, ListResponse,
    SearchRequest, SearchResponse, SuggestRequest, SuggestResponse, WatchStatusRequest,
};
use nautilus_proto::query_from_proto;
use nautilus_service::server::{GrpcServer, MessageLimits};
use nautilus_service::with_message_limits;
use tonic::{Request, Response, Status};

use self::faults::Watched;
pub use self::faults::{FILE_VARIABLE, Faults, is_taken, write};

/// The server of `leaf`, with the faults of the file that the environment names, if it names one.
pub fn server(leaf: Arc<Leaf>) -> GrpcServer {
    let Some(faults) = Watched::of_environment() else { return leaf.server() };
    let server = leaf.empty_server();
    let faulty = FaultyLeaf { inner: LeafGrpc::new(leaf), faults: Arc::new(faults) };
    server.service(with_message_limits!(LeafServiceServer::new(faulty), MessageLimits::INTERNAL))
}

/// The service with faults.
#[derive(Clone)]
struct FaultyLeaf {
    inner: LeafGrpc,
    faults: Arc<Watched>,
}

impl FaultyLeaf {
    /// Waits where this answer is to be late. Whoever gives up waiting ends that too.
    async fn linger(&self) {
        if let Some(delay) = self.faults.delay() {
            tokio::time::sleep(delay).await;
        }
    }

    /// Dies as by a fault of the engine where the query is lethal.
    fn meet(&self, query: Option<&QueryNode>) {
        let Some(lethal) = self.faults.now().lethal_word else { return };
        let tree = query.and_then(|query| query_from_proto(query).ok());
        if tree.is_some_and(|tree| tree.to_string().contains(&lethal)) {
            eprintln!("a lethal query: this leaf dies");
            std::process::abort();
        }
    }
}

#[tonic::async_trait]
impl LeafService for FaultyLeaf {
    type WatchStatusStream = <LeafGrpc as LeafService>::WatchStatusStream;

    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        self.meet(request.get_ref().query.as_ref());
        self.linger().await;
        self.inner.search(request).await
    }

    async fn suggest(
        &self,
        request: Request<SuggestRequest>,
    ) -> Result<Response<SuggestResponse>, Status> {
        self.linger().await;
        self.inner.suggest(request).await
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        self.linger().await;
        self.inner.fetch(request).await
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        self.inner.list(request).await
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        self.inner.get_status(request).await
    }

    async fn watch_status(
        &self,
        request: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        self.inner.watch_status(request).await
    }
}

/// A share of answers that is late by this much.
#[must_use]
pub fn late(per_mille: u32, delay: Duration) -> Faults {
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Faults { delayed_per_mille: per_mille, delay_ms, ..Faults::default() }
}
