//! One search through all roles: its answer, its trace and the metrics tell the same of it.

#[allow(dead_code, reason = "shared with the sandbox tests, which use the rest")]
#[path = "sandbox/world.rs"]
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use nautilus_proto::search::v1::SearchRequest;
use nautilus_service::logging::{self, LogFormat, LogSettings};
use nautilus_service::server::{GrpcServer, ServerSettings};
use nautilus_service::traces::{TraceSettings, Traces};
use nautilus_service::{CancellationToken, Clock, TaskGroup};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::{Request, Response, Status};

use crate::world::{WAIT, World, bounded, query, scrape, upsert};

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spans.extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// What the metrics add up for a stage of searches, in seconds.
fn seconds_of(metrics: &str, stage: &str) -> f64 {
    let line = format!("nautilus_search_stage_duration_seconds_sum{{stage=\"{stage}\"}} ");
    let value = metrics.lines().find_map(|candidate| candidate.strip_prefix(line.as_str()));
    value.unwrap_or_else(|| panic!("no metric of stage {stage}")).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answer_trace_and_metrics_of_a_search_agree() {
    let mut tasks = TaskGroup::new(&CancellationToken::new());
    let collector = Collector::default();
    let server = GrpcServer::new("collector", ServerSettings::default(), Clock::system())
        .service(TraceServiceServer::new(collector.clone()))
        .bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .await
        .expect("bound");
    let endpoint = format!("http://{}", server.local_addr());
    tasks.spawn("collector", |stop| server.serve(stop));
    let traces = Traces::open(&TraceSettings::new(endpoint)).expect("opened");
    let quiet = LogSettings { format: LogFormat::Json, filter: "off".to_owned() };
    logging::init(&quiet, Some(&traces)).expect("first of this process");

    let world = World::start().await;
    world.client.create("ada", "notes").await;
    let token = world.client.write("ada", vec![upsert("notes", "d", "red fox")]).await;
    let request =
        SearchRequest { consistency_token: token, include_timing: true, ..query("fox", "notes") };
    let found = world.client.search("ada", request).await.expect("found");
    assert_eq!(found.total_hits, 1);
    let timing = found.timing.expect("asked for");
    let metrics = scrape(world.cluster.admin_address()).await;
    world.stop().await;
    let closed = tokio::task::spawn_blocking(move || traces.close());
    bounded("the last spans are sent", closed).await.expect("no panic");

    let spans = collector.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let public = "/nautilus.search.v1.SearchService/Search";
    let search = spans.iter().find(|span| span.name == public).expect("the public call");
    let of_trace = |name: &str| -> Vec<&Span> {
        let of_trace = spans.iter().filter(|span| span.trace_id == search.trace_id);
        of_trace.filter(|span| span.name == name).collect()
    };
    for role in ["/nautilus.root.v1.RootService/Search", "/nautilus.leaf.v1.LeafService/Search"] {
        assert_eq!(of_trace(role).len(), 1, "{role} is in the trace of its caller");
    }
    // The first level: each stage with the same time in all three places.
    let mut accounted = 0;
    for stage in &timing.stages {
        accounted += stage.duration_us;
        let below: Vec<_> = of_trace(&stage.name)
            .into_iter()
            .filter(|span| span.parent_span_id == search.span_id)
            .collect();
        let traced_ns: u64 =
            below.iter().map(|span| span.end_time_unix_nano - span.start_time_unix_nano).sum();
        assert!(!below.is_empty(), "no span of stage {}", stage.name);
        assert_eq!(traced_ns / 1_000, stage.duration_us, "trace of {}", stage.name);
        let counted_us = seconds_of(&metrics, &stage.name) * 1e6;
        let shown_us = stage.duration_us as f64;
        assert!((counted_us - shown_us).abs() <= 1.0, "metrics of {}: {counted_us}", stage.name);
    }
    assert!(accounted * 100 >= timing.total_us * 95, "{accounted} of {} µs", timing.total_us);
    assert!(tasks.drain(WAIT).await.is_clean());
}
