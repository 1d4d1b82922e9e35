//! The writes: documents of a production-like size, each anew every so often.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_proto::ingest::v1::{DocumentContent, Write, WriteRequest, write::Operation};
use nautilus_service::CancellationToken;
use tonic::{Code, Status};

use super::connection::Connection;
use super::report::Report;
use super::{Settings, namespace};
use crate::rng::Rng;

/// Words of a document.
const WORDS: usize = 150;
/// Words there are.
const VOCABULARY: f64 = 20_000.0;
/// Of one request.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// Requests on their way; more wait, for writes have no deadline of a person.
const IN_FLIGHT_MAX: usize = 16;

/// Namespace, document, version.
type Key = (u64, u64, u64);

pub(super) async fn run(
    connection: &Connection,
    settings: &Settings,
    report: &Mutex<Report>,
    _began: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut rng = Rng::new(settings.seed).part(2);
    let batch = u64::from(settings.batch.max(1));
    let per_second =
        f64::from(settings.writes_per_second.max(1)) / f64::from(settings.batch.max(1));
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut in_flight = FuturesUnordered::new();
    let mut next = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick(), if settings.writes_per_second > 0 && in_flight.len() < IN_FLIGHT_MAX => {
                let keys: Vec<Key> = (next..next + batch).map(|number| key(settings, number)).collect();
                next += batch;
                let writes = keys.iter().map(|key| write(&mut rng, *key)).collect();
                let request = connection.request(WriteRequest { writes }, WRITE_TIME_MAX)?;
                let mut client = connection.ingest();
                in_flight.push(async move { (keys, client.write(request).await) });
            }
            Some((keys, answer)) = in_flight.next() => keep(report, &keys, answer),
        }
    }
    while let Some((keys, answer)) = in_flight.next().await {
        keep(report, &keys, answer);
    }
    Ok(())
}

/// Every namespace in turn, and in it every document in turn.
fn key(settings: &Settings, number: u64) -> Key {
    let namespaces = u64::from(settings.namespaces.max(1));
    let documents = settings.documents_per_namespace.max(1);
    let in_namespace = number / namespaces;
    (number % namespaces, in_namespace % documents, in_namespace / documents + 1)
}

fn write(rng: &mut Rng, (place, document, version): Key) -> Write {
    let mut body = String::with_capacity(WORDS * 6);
    for _ in 0..WORDS {
        body.push_str(&word(rng));
        body.push(' ');
    }
    body.push_str(&mark(document, version));
    Write {
        namespace: namespace(place),
        document_id: format!("d{document}"),
        version: Some(version),
        operation: Some(Operation::Upsert(DocumentContent {
            title: format!("document {document}"),
            body,
            ..DocumentContent::default()
        })),
        ..Write::default()
    }
}

/// A word that stands in this version of this document of each namespace and in nothing else.
#[must_use]
pub fn mark(document: u64, version: u64) -> String {
    format!("mark{document}v{version}")
}

/// A word whose frequency falls with its rank about as in prose (Zipf with exponent near 1).
pub(super) fn word(rng: &mut Rng) -> String {
    format!("w{:.0}", VOCABULARY.powf(rng.fraction()))
}

type Answer = Result<tonic::Response<nautilus_proto::ingest::v1::WriteResponse>, Status>;

fn keep(report: &Mutex<Report>, keys: &[Key], answer: Answer) {
    let codes: BTreeMap<usize, Code> = match answer {
        Ok(answer) => {
            let results = answer.into_inner().results.into_iter().enumerate();
            results.filter_map(|(at, it)| it.error.map(|e| (at, Code::from(e.code)))).collect()
        }
        Err(status) => (0..keys.len()).map(|at| (at, status.code())).collect(),
    };
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    for (at, &(place, document, version)) in keys.iter().enumerate() {
        match codes.get(&at) {
            None => {
                report.writes.acknowledged += 1;
                let stored = report.documents.entry((place, document)).or_default();
                stored.acknowledged = stored.acknowledged.max(version);
            }
            // Said of writes that did not happen.
            Some(Code::ResourceExhausted | Code::InvalidArgument | Code::FailedPrecondition) => {
                report.writes.refused += 1;
            }
            Some(_) => {
                report.writes.unknown += 1;
                report.documents.entry((place, document)).or_default().possible.push(version);
            }
        }
    }
}
