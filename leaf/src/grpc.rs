//! `LeafService` over gRPC: only deadline and conversion.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt as _};
use nautilus_proto::leaf::v1::leaf_service_server::{LeafService, LeafServiceServer};
use nautilus_proto::leaf::v1::{
    FetchRequest, FetchResponse, GetStatusRequest, GetStatusResponse, LeafStatus, ListRequest,
    ListResponse, SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
    WatchStatusRequest,
};
use nautilus_service::server::MessageLimits;
use nautilus_service::with_message_limits;
use tonic::{Request, Response, Status};

use crate::Leaf;

/// The service.
#[derive(Clone)]
pub struct LeafGrpc {
    leaf: Arc<Leaf>,
}

impl LeafGrpc {
    /// The service of `leaf` alone, to be put into something else.
    #[must_use]
    pub fn new(leaf: Arc<Leaf>) -> Self {
        Self { leaf }
    }

    /// The service of `leaf` with the bounds of its messages, ready for a server.
    #[must_use]
    pub fn server(leaf: Arc<Leaf>) -> LeafServiceServer<Self> {
        with_message_limits!(LeafServiceServer::new(Self::new(leaf)), MessageLimits::INTERNAL)
    }
}

#[tonic::async_trait]
impl LeafService for LeafGrpc {
    type WatchStatusStream = Pin<Box<dyn Stream<Item = Result<LeafStatus, Status>> + Send>>;

    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        let deadline = self.leaf.deadline_of(&request);
        Ok(self.leaf.search(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn suggest(
        &self,
        request: Request<SuggestRequest>,
    ) -> Result<Response<SuggestResponse>, Status> {
        let deadline = self.leaf.deadline_of(&request);
        Ok(self.leaf.suggest(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let deadline = self.leaf.deadline_of(&request);
        Ok(self.leaf.fetch(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let deadline = self.leaf.deadline_of(&request);
        Ok(self.leaf.list(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn get_status(
        &self,
        _: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        Ok(Response::new(self.leaf.status().await))
    }

    async fn watch_status(
        &self,
        _: Request<WatchStatusRequest>,
    ) -> Result<Response<Self::WatchStatusStream>, Status> {
        let statuses = Arc::clone(&self.leaf).watch_status()?;
        Ok(Response::new(statuses.map(Ok).boxed()))
    }
}
