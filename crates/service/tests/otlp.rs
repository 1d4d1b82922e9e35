//! Spans of two roles and of a request's stages, as a collector receives them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nautilus_service::logging::{self, LogFormat, LogSettings};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::traces::{StageTime, TraceSettings, Traces, carry_on, record_stages};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tracing::Instrument;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const WAIT: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<(String, Span)>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let name = resource.attributes.into_iter().find(|a| a.key == "service.name");
            let name = name.map(|name| format!("{:?}", name.value)).unwrap_or_default();
            let scopes = of_resource.scope_spans.into_iter();
            spans.extend(scopes.flat_map(|scope| scope.spans).map(|span| (name.clone(), span)));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn span(&self, name: &str) -> Span {
        let spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = spans.iter().find(|(_, span)| span.name == name);
        found.unwrap_or_else(|| panic!("no span {name} in {spans:?}")).1.clone()
    }
}

async fn serve(tasks: &mut TaskGroup, server: GrpcServer) -> String {
    let bound = server.bind(ANY).await.expect("bound");
    let uri = format!("http://{}", bound.local_addr());
    tasks.spawn("server", |stop| bound.serve(stop));
    uri
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_a_request_reach_the_collector_as_one_trace() {
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    let collector = Collector::default();
    let server = GrpcServer::new("collector", ServerSettings::default(), Clock::system());
    let server = server.service(TraceServiceServer::new(collector.clone()));
    let endpoint = serve(&mut tasks, server).await;
    let traces = Traces::open(&TraceSettings::new(endpoint)).expect("opened");
    // A log that shows nothing does not make the trace empty.
    let log = LogSettings { format: LogFormat::Json, filter: "off".to_owned() };
    logging::init(&log, Some(&traces)).expect("first of this process");

    let role = GrpcServer::new("role", ServerSettings::default(), Clock::system());
    let uri = serve(&mut tasks, role).await;
    let channel = Channel::from_shared(uri).expect("uri").connect().await.expect("connects");
    let stages = [
        StageTime { name: "first", start: Duration::ZERO, duration: Duration::from_millis(3) },
        StageTime {
            name: "second",
            start: Duration::from_millis(3),
            duration: Duration::from_micros(1_500),
        },
    ];
    async {
        let mut request = Request::new(HealthCheckRequest::default());
        carry_on(&mut request);
        HealthClient::new(channel).check(request).await.expect("healthy");
        record_stages(&stages, Clock::system().unix_time());
    }
    .instrument(tracing::info_span!("caller"))
    .await;
    let flushed = tokio::task::spawn_blocking(move || traces.close());
    tokio::time::timeout(WAIT, flushed).await.expect("in time").expect("no panic");

    let caller = collector.span("caller");
    let served = collector.span("/grpc.health.v1.Health/Check");
    assert_eq!(served.trace_id, caller.trace_id, "one trace over both roles");
    assert_eq!(served.parent_span_id, caller.span_id);
    let role = served.attributes.iter().find(|attribute| attribute.key == "role");
    assert!(format!("{role:?}").contains("\"role\""), "{role:?}");
    for stage in &stages {
        let span = collector.span(stage.name);
        assert_eq!(
            (span.trace_id, span.parent_span_id),
            (caller.trace_id.clone(), caller.span_id.clone())
        );
        let took = span.end_time_unix_nano - span.start_time_unix_nano;
        assert_eq!(u128::from(took), stage.duration.as_nanos(), "{}", stage.name);
    }
    assert!(tasks.drain(WAIT).await.is_clean());
}
