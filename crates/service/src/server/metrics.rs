//! Fourth layer: counts requests by method and code.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use http::{Request, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;
use tonic::body::Body;

use super::stage::{Inner, Rest, Stage};
use crate::clock::Clock;
use crate::deadline::Deadline;

/// Distinct (method, code) pairs kept. Methods come from callers, so their number needs a bound;
/// our services have a few dozen.
const PAIRS_MAX: usize = 1024;
/// The method of requests nobody serves, and of all pairs beyond the bound.
const OTHER: &str = "other";

/// Upper bounds in seconds: those OpenTelemetry recommends for RPCs, with finer ones below.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    server: String,
    rpc_method: String,
    rpc_status_code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    server: String,
}

#[derive(Debug, Clone, Copy)]
struct CallHistogram;

impl MetricConstructor<Histogram> for CallHistogram {
    fn new_metric(&self) -> Histogram {
        Histogram::new(SECONDS)
    }
}

/// Calls of every server of the process: metrics are the process's, whoever of it is asked for them.
static CALLS: LazyLock<Family<CallLabels, Histogram, CallHistogram>> =
    LazyLock::new(|| Family::new_with_constructor(CallHistogram));

/// Failed handshakes of every server of the process.
static FAILED_HANDSHAKES: LazyLock<Family<ServerLabels, Counter>> = LazyLock::new(Family::default);

/// Adds the calls of all servers of this process to a registry.
pub fn register(registry: &mut Registry) {
    registry.register_with_unit(
        "grpc_server_call_duration",
        "From the arrival of a call until the head of its answer",
        Unit::Seconds,
        CALLS.clone(),
    );
    registry.register(
        "nautilus_server_failed_handshakes",
        "Callers without a certificate that holds up",
        FAILED_HANDSHAKES.clone(),
    );
}

/// Counters of one server.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    counts: RwLock<HashMap<(String, i32), Arc<Count>>>,
    shed: AtomicU64,
    failed_handshakes: AtomicU64,
    server: String,
}

#[derive(Debug)]
struct Count {
    answers: AtomicU64,
    total_us: AtomicU64,
    seconds: Histogram,
}

/// How often a method ended with a code, and how long that took altogether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodCount {
    /// Full path, `/package.Service/Method`.
    pub method: String,
    /// Code of the answer's head. A stream that fails after it began counts as OK here.
    pub code: Code,
    /// Answers.
    pub answers: u64,
    /// Sum of the times until the answer's head.
    pub total: Duration,
}

impl ServerMetrics {
    pub(crate) fn new(server: impl Into<String>) -> Self {
        Self { server: server.into(), ..Self::default() }
    }

    pub(crate) fn count_failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
        let labels = ServerLabels { server: self.server.clone() };
        FAILED_HANDSHAKES.get_or_create(&labels).inc();
    }

    /// Callers who showed no certificate, or one that does not hold up, or stopped half-way.
    #[must_use]
    pub fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_shed(&self) {
        self.shed.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests refused by the concurrency limit.
    #[must_use]
    pub fn shed(&self) -> u64 {
        self.shed.load(Ordering::Relaxed)
    }

    /// All counts, sorted by method and code.
    #[must_use]
    pub fn counts(&self) -> Vec<MethodCount> {
        let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<_> = counts
            .iter()
            .map(|((method, code), count)| MethodCount {
                method: method.clone(),
                code: Code::from_i32(*code),
                answers: count.answers.load(Ordering::Relaxed),
                total: Duration::from_micros(count.total_us.load(Ordering::Relaxed)),
            })
            .collect();
        drop(counts);
        rows.sort_by(|a, b| (&a.method, a.code as i32).cmp(&(&b.method, b.code as i32)));
        rows
    }

    fn count(&self, method: &str, code: Code, took: Duration) {
        // A method nobody serves is whatever the caller made up.
        let method = if code == Code::Unimplemented { OTHER } else { method };
        let count = self.entry(method, code);
        count.answers.fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count.total_us.fetch_add(took_us, Ordering::Relaxed);
        count.seconds.observe(took.as_secs_f64());
    }

    fn entry(&self, method: &str, code: Code) -> Arc<Count> {
        let key = (method.to_owned(), i32::from(code));
        {
            let counts = self.counts.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = counts.get(&key) {
                return Arc::clone(count);
            }
        }
        let mut counts = self.counts.write().unwrap_or_else(PoisonError::into_inner);
        let is_full = counts.len() >= PAIRS_MAX && !counts.contains_key(&key);
        let key = if is_full { (OTHER.to_owned(), key.1) } else { key };
        let labels = CallLabels {
            server: self.server.clone(),
            rpc_method: key.0.trim_start_matches('/').to_owned(),
            rpc_status_code: code_name(code),
        };
        let count = || Count {
            answers: AtomicU64::new(0),
            total_us: AtomicU64::new(0),
            seconds: CALLS.get_or_create_owned(&labels),
        };
        Arc::clone(counts.entry(key).or_insert_with(|| Arc::new(count())))
    }
}

/// The layer.
#[derive(Debug, Clone)]
pub(crate) struct Metered {
    pub(crate) metrics: Arc<ServerMetrics>,
    pub(crate) clock: Clock,
}

impl Stage for Metered {
    async fn handle<S: Inner>(&self, request: Request<Body>, rest: Rest<S>) -> Response<Body> {
        let mut pending = Pending {
            layer: self.clone(),
            method: request.uri().path().to_owned(),
            started: self.clock.now(),
            deadline: request.extensions().get::<Deadline>().copied(),
            answered: None,
        };
        let response = rest.run(request).await;
        pending.answered = Some(code_of_head(&response));
        response
    }
}

/// Counts at its end, also when the request is dropped unanswered.
struct Pending {
    layer: Metered,
    method: String,
    started: Instant,
    deadline: Option<Deadline>,
    answered: Option<Code>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let now = self.layer.clock.now();
        let is_late = self.deadline.is_some_and(|deadline| deadline.is_past(now));
        let dropped = if is_late { Code::DeadlineExceeded } else { Code::Cancelled };
        let code = self.answered.unwrap_or(dropped);
        let took = now.saturating_duration_since(self.started);
        self.layer.metrics.count(&self.method, code, took);
    }
}

/// As the gRPC specification writes it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Errors come in the head; an answer without a status there has begun well.
fn code_of_head(response: &Response<Body>) -> Code {
    let status = response.headers().get("grpc-status");
    status.map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_methods_do_not_grow_the_table() {
        let metrics = ServerMetrics::new("test");
        for number in 0..PAIRS_MAX + 500 {
            metrics.count(&format!("/x/{number}"), Code::Ok, Duration::from_micros(2));
        }
        metrics.count("/y/z", Code::Unimplemented, Duration::ZERO);
        let counts = metrics.counts();
        assert!(counts.len() <= PAIRS_MAX + 2, "{}", counts.len());
        let other = counts.iter().filter(|count| count.method == OTHER);
        assert_eq!(other.map(|count| count.answers).sum::<u64>(), 501);
    }
}
