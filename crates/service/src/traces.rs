//! Traces: spans exported over OTLP, and the W3C context that joins the spans of several roles.
//!
//! ```text
//! caller ─ traceparent ─► server layer: span ─► handler ─► carry_on ─ traceparent ─► next role
//!                               └────────────► batch ─► OTLP collector
//! ```

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt, Tracer, TracerProvider as _};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tonic::metadata::{MetadataKey, MetadataValue};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::request_id::RequestId;

/// Name of the instrumentation in every span.
const SCOPE: &str = "nautilus";
/// How long the last spans may take to reach the collector when the process ends.
const FLUSH_MAX: Duration = Duration::from_secs(3);

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// URI of an OTLP collector that speaks gRPC, such as `http://127.0.0.1:4317`.
    pub otlp_endpoint: String,
    /// Share of the traces begun here that are kept, 0 to 1. Those that a caller began follow the caller.
    #[serde(default = "all")]
    pub sample_ratio: f64,
    /// `service.name` of the process.
    #[serde(default = "service_name")]
    pub service_name: String,
}

fn all() -> f64 {
    1.0
}

fn service_name() -> String {
    "nautilus".to_owned()
}

impl TraceSettings {
    /// Every span to this collector.
    #[must_use]
    pub fn new(otlp_endpoint: impl Into<String>) -> Self {
        let otlp_endpoint = otlp_endpoint.into();
        Self { otlp_endpoint, sample_ratio: all(), service_name: service_name() }
    }
}

/// The exporter of this process. Spans are exported in batches by a thread of its own; what does not fit
/// into its bounded queue is dropped, never waited for.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sets up the export. Must be called on a runtime; connects when there is something to send.
    pub fn open(settings: &TraceSettings) -> Result<Self, ExporterBuildError> {
        let exporter =
            SpanExporter::builder().with_tonic().with_endpoint(&settings.otlp_endpoint).build()?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            settings.sample_ratio.clamp(0.0, 1.0),
        )));
        let resource = Resource::builder()
            .with_service_name(settings.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    pub(crate) fn tracer(&self) -> opentelemetry_sdk::trace::SdkTracer {
        self.provider.tracer(SCOPE)
    }

    /// Sends what is waiting. Blocks: not for a thread that runs tasks.
    pub fn flush(&self) {
        if let Err(error) = self.provider.force_flush() {
            tracing::debug!(error = %error, "spans were not exported");
        }
    }

    /// Sends what is waiting, at most for a few seconds, and ends. Blocks as [`Self::flush`].
    pub fn close(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH_MAX) {
            tracing::debug!(error = %error, "the last spans were not exported");
        }
    }
}

/// Gives a span the parent that the caller states.
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    let context = TraceContextPropagator::new().extract(&Incoming(headers));
    if context.span().span_context().is_valid() {
        // Fails only where spans are not exported at all.
        let _ = span.set_parent(context);
    }
}

/// Puts the request id and the trace of what this task is doing on a request to the next role.
pub fn carry_on<T>(request: &mut tonic::Request<T>) {
    if let Some(id) = RequestId::current() {
        id.state_on(request);
    }
    let context = Span::current().context();
    TraceContextPropagator::new().inject_context(&context, &mut Outgoing(request));
}

/// One stage of a request: when it began, counted from the request's beginning, and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageTime {
    /// Its name, one of a fixed set.
    pub name: &'static str,
    /// After the beginning of the request.
    pub start: Duration,
    /// How long it took.
    pub duration: Duration,
}

/// Makes a span of each stage, below the current span, with exactly these times. `ended_at` is when the last
/// of them ended, in time since 1970.
pub fn record_stages(stages: &[StageTime], ended_at: Duration) {
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return;
    }
    let tracer = opentelemetry::global::tracer(SCOPE);
    let total = stages.iter().map(|stage| stage.start + stage.duration).max().unwrap_or_default();
    let begun_at = SystemTime::UNIX_EPOCH + ended_at.saturating_sub(total);
    for stage in stages {
        let start = begun_at + stage.start;
        let builder = SpanBuilder::from_name(stage.name).with_start_time(start);
        let mut span = tracer.build_with_context(builder, &context);
        span.end_with_timestamp(start + stage.duration);
    }
}

struct Incoming<'a>(&'a HeaderMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

struct Outgoing<'a, T>(&'a mut tonic::Request<T>);

impl<T> Injector for Outgoing<'_, T> {
    fn set(&mut self, key: &str, value: String) {
        let key = MetadataKey::from_bytes(key.as_bytes());
        if let (Ok(key), Ok(value)) = (key, MetadataValue::try_from(value)) {
            self.0.metadata_mut().insert(key, value);
        }
    }
}

/// Makes `traces` the one that [`record_stages`] uses.
pub(crate) fn install(traces: &Traces) {
    opentelemetry::global::set_tracer_provider(traces.provider.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_know_their_keys() {
        let settings: TraceSettings =
            toml::from_str("otlp_endpoint = 'http://127.0.0.1:4317'").expect("parses");
        assert_eq!(settings, TraceSettings::new("http://127.0.0.1:4317"));
        assert!(toml::from_str::<TraceSettings>("endpoint = 'x'").is_err());
    }

    #[test]
    fn without_a_trace_nothing_is_put_on_a_request() {
        let mut request = tonic::Request::new(());
        carry_on(&mut request);
        assert!(request.metadata().is_empty());
        record_stages(
            &[StageTime { name: "x", start: Duration::ZERO, duration: Duration::ZERO }],
            Duration::ZERO,
        );
    }
}
