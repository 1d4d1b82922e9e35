//! The public write API.

use std::sync::Arc;

use nautilus_proto::ingest::v1::ingest_service_server::{IngestService, IngestServiceServer};
use nautilus_proto::ingest::v1::{WriteRequest, WriteResponse};
use nautilus_service::server::MessageLimits;
use nautilus_service::with_message_limits;
use tonic::{Request, Response, Status};

use crate::caller::Callers;
use crate::ingest::{BATCH_BYTES_MAX, Ingest};
use crate::record::trace_context;

/// What the transport takes above the documented bound, so that a batch a little too large is told
/// so in our words; the transport itself only says OUT_OF_RANGE.
const BATCH_SLACK_BYTES: usize = 1024 * 1024;

/// The service.
#[derive(Clone)]
pub struct IngestGrpc {
    callers: Arc<Callers>,
    ingest: Arc<Ingest>,
}

impl IngestGrpc {
    pub(crate) fn server(callers: Arc<Callers>, ingest: Arc<Ingest>) -> IngestServiceServer<Self> {
        let limits = MessageLimits {
            decode_bytes_max: BATCH_BYTES_MAX + BATCH_SLACK_BYTES,
            ..MessageLimits::INGEST
        };
        with_message_limits!(IngestServiceServer::new(Self { callers, ingest }), limits)
    }
}

#[tonic::async_trait]
impl IngestService for IngestGrpc {
    async fn write(
        &self,
        request: Request<WriteRequest>,
    ) -> Result<Response<WriteResponse>, Status> {
        let _under_way = self.ingest.begin();
        let caller = self.callers.identify(request.metadata()).await?;
        let trace = request.metadata().get("traceparent");
        let trace = trace_context(trace.and_then(|value| value.to_str().ok())).to_owned();
        let answer = self.ingest.write(&caller, request.into_inner(), &trace).await?;
        Ok(Response::new(answer))
    }
}
