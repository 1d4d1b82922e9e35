//! `RootService` over gRPC: only deadline and conversion.

use std::sync::Arc;

use futures::stream::BoxStream;
use nautilus_proto::leaf::v1::ListResponse;
use nautilus_proto::root::v1::root_service_server::{RootService, RootServiceServer};
use nautilus_proto::root::v1::{
    FetchRequest, FetchResponse, GetStatusRequest, GetStatusResponse, ListRequest, ReplicasUpdate,
    SearchRequest, SearchResponse, SuggestRequest, SuggestResponse, WatchReplicasRequest,
};
use nautilus_service::server::MessageLimits;
use nautilus_service::with_message_limits;
use tonic::{Request, Response, Status};

use crate::Root;

/// The service.
#[derive(Debug, Clone)]
pub struct RootGrpc {
    root: Arc<Root>,
}

impl RootGrpc {
    /// The service of `root` with the bounds of its messages, ready for a server.
    #[must_use]
    pub fn server(root: impl Into<Arc<Root>>) -> RootServiceServer<Self> {
        let service = RootServiceServer::new(Self { root: root.into() });
        with_message_limits!(service, MessageLimits::INTERNAL)
    }
}

#[tonic::async_trait]
impl RootService for RootGrpc {
    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.search(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn search_shadow(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.search_shadow(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn fetch(
        &self,
        request: Request<FetchRequest>,
    ) -> Result<Response<FetchResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.fetch(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.list(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn suggest(
        &self,
        request: Request<SuggestRequest>,
    ) -> Result<Response<SuggestResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.suggest(request.into_inner(), deadline).await.map(Response::new)?)
    }

    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let deadline = self.root.deadline_of(&request);
        Ok(self.root.status(deadline).await.map(Response::new)?)
    }

    type WatchReplicasStream = BoxStream<'static, Result<ReplicasUpdate, Status>>;

    async fn watch_replicas(
        &self,
        _: Request<WatchReplicasRequest>,
    ) -> Result<Response<Self::WatchReplicasStream>, Status> {
        Ok(Response::new(Box::pin(self.root.watch_replicas())))
    }
}
