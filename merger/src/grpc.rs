//! `SearchService` and `ClusterService` over gRPC: only deadline, metadata and conversion.

use std::sync::Arc;

use nautilus_proto::admin::v1::cluster_service_server::ClusterService;
use nautilus_proto::admin::v1::{
    GetShadowReportRequest, GetShadowReportResponse, GetStatusRequest, GetStatusResponse,
};
use nautilus_proto::search::v1::search_service_server::SearchService;
use nautilus_proto::search::v1::{
    GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest, ListDocumentsResponse,
    SearchRequest, SearchResponse, SuggestRequest, SuggestResponse,
};
use tonic::{Request, Response, Status};

use crate::merger::Core;

/// The services.
#[derive(Clone)]
pub struct MergerGrpc {
    core: Arc<Core>,
}

impl MergerGrpc {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[tonic::async_trait]
impl SearchService for MergerGrpc {
    async fn search(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<Response<SearchResponse>, Status> {
        let deadline = self.core.deadline_of(&request);
        let (metadata, _, message) = request.into_parts();
        let _under_way = self.core.metrics.begin();
        Ok(self.core.search(&metadata, message, deadline).await.map(Response::new)?)
    }

    async fn suggest(
        &self,
        request: Request<SuggestRequest>,
    ) -> Result<Response<SuggestResponse>, Status> {
        let deadline = self.core.deadline_of(&request);
        let (metadata, _, message) = request.into_parts();
        let _under_way = self.core.metrics.begin();
        Ok(self.core.suggest(&metadata, message, deadline).await.map(Response::new)?)
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let deadline = self.core.deadline_of(&request);
        let (metadata, _, message) = request.into_parts();
        let _under_way = self.core.metrics.begin();
        Ok(self.core.get_document(&metadata, message, deadline).await.map(Response::new)?)
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let deadline = self.core.deadline_of(&request);
        let (metadata, _, message) = request.into_parts();
        let _under_way = self.core.metrics.begin();
        Ok(self.core.list_documents(&metadata, message, deadline).await.map(Response::new)?)
    }
}

#[tonic::async_trait]
impl ClusterService for MergerGrpc {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<GetStatusResponse>, Status> {
        let deadline = self.core.deadline_of(&request);
        let _under_way = self.core.metrics.begin();
        Ok(self.core.status(request.metadata(), deadline).await.map(Response::new)?)
    }

    async fn get_shadow_report(
        &self,
        request: Request<GetShadowReportRequest>,
    ) -> Result<Response<GetShadowReportResponse>, Status> {
        let _under_way = self.core.metrics.begin();
        Ok(self.core.shadow_report(request.metadata()).await.map(Response::new)?)
    }
}
