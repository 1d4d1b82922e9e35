//! The writes: documents of a production-like size, each anew every so often.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_proto::ingest::v1::{
    DeleteDocument, DocumentContent, Write, WriteRequest, WriteResponse, write::Operation,
};
use nautilus_service::CancellationToken;
use tonic::{Code, Status};

use super::connection::Connection;
use super::report::{Latest, Report};
use super::{Settings, namespace};
use crate::history::Acknowledged;
use crate::rng::Rng;

/// Words of a document.
const WORDS: usize = 150;
/// Words there are.
const VOCABULARY: f64 = 20_000.0;
/// Of one request.
const WRITE_TIME_MAX: Duration = Duration::from_secs(30);
/// Requests on their way; more wait, for writes have no deadline of a person.
const IN_FLIGHT_MAX: usize = 64;

/// After its first version, one of so many writes of a document deletes it.
const DELETE_ONE_OF: u64 = 8;

/// Namespace, document, version.
pub(super) type Key = (u64, u64, u64);

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
            Some((keys, answer)) = in_flight.next() => keep(connection, report, &keys, answer)?,
        }
    }
    while let Some((keys, answer)) = in_flight.next().await {
        keep(connection, report, &keys, answer)?;
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
    let operation = if is_deletion(document, version) {
        Operation::Delete(DeleteDocument {})
    } else {
        let mut body = String::with_capacity(WORDS * 6);
        for _ in 0..WORDS {
            body.push_str(&word(rng));
            body.push(' ');
        }
        body.push_str(&mark(document, version));
        let title = format!("document {document}");
        Operation::Upsert(DocumentContent { title, body, ..DocumentContent::default() })
    };
    Write {
        namespace: namespace(place),
        document_id: format!("d{document}"),
        version: Some(version),
        operation: Some(operation),
        ..Write::default()
    }
}

/// Whether this version of this document is its deletion.
#[must_use]
pub fn is_deletion(document: u64, version: u64) -> bool {
    version > 1 && (document + version).is_multiple_of(DELETE_ONE_OF)
}

/// A word that stands in this version of this document of each namespace and in nothing else.
#[must_use]
pub fn mark(document: u64, version: u64) -> String {
    format!("mark{document}v{version}")
}

/// A word whose frequency falls with its rank about as in prose (Zipf with exponent near 1), or now and then one whose
/// forms an analyzer may take for one word.
pub(super) fn word(rng: &mut Rng) -> String {
    if rng.below(FORMS_ONE_OF) == 0 {
        return FORMS[rng.index(FORMS.len())].to_owned();
    }
    format!("w{:.0}", VOCABULARY.powf(rng.fraction()))
}

/// One word in so many is one of [`FORMS`]: about three in a text, and every fiftieth search.
const FORMS_ONE_OF: u64 = 50;
const FORMS: [&str; 6] = ["tide", "tides", "query", "queries", "box", "boxes"];

fn keep(
    connection: &Connection,
    report: &Mutex<Report>,
    keys: &[Key],
    answer: Result<tonic::Response<WriteResponse>, Status>,
) -> anyhow::Result<()> {
    let (answer, all_failed) = match answer {
        Ok(answer) => (answer.into_inner(), None),
        Err(status) => (WriteResponse::default(), Some(status.code())),
    };
    let below: BTreeMap<_, _> = match all_failed {
        None => connection.open_token(&answer.consistency_token)?.iter().collect(),
        Some(_) => BTreeMap::new(),
    };
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    for (at, &(place, document, version)) in keys.iter().enumerate() {
        let result = answer.results.get(at);
        let error = result.and_then(|result| result.error.as_ref());
        match all_failed.or_else(|| error.map(|error| Code::from(error.code))) {
            None => {
                report.writes.acknowledged += 1;
                let stored = report.documents.entry((place, document)).or_default();
                stored.acknowledged = stored.acknowledged.max(version);
                report.acknowledged.push(Acknowledged {
                    namespace: namespace(place),
                    id: format!("d{document}"),
                    version,
                    content_hash: result.map(|it| it.content_hash.clone()).unwrap_or_default(),
                    below: below.clone(),
                });
                let key = (place, document, version);
                report.latest = Some(Latest { key, token: answer.consistency_token.clone() });
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
    Ok(())
}
