//! The searches.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_identity::ConsistencyToken;
use nautilus_proto::search::v1::{MatchMode, SearchRequest, SearchResponse};
use nautilus_service::CancellationToken;
use nautilus_types::{Offset, PartitionId};
use tonic::{Response, Status};
use tonic_types::StatusExt as _;

use super::connection::Connection;
use super::report::{Outcome, Report, SearchSample};
use super::writes::word;
use super::{Settings, mark, namespace};
use crate::history::Answer;
use crate::rng::Rng;

/// More at once are not sent: the cluster is gone.
const IN_FLIGHT_MAX: usize = 2_000;
/// One of so many searches looks into several namespaces, which most often means several partitions.
const WIDE_ONE_OF: u64 = 10;
const WIDE_NAMESPACES: u64 = 3;
/// After so many searches, one looks for the latest acknowledged write, with its token.
const FRESH_AFTER: u64 = 20;

/// One search and what came of it.
struct Done {
    sample: SearchSample,
    is_fresh: bool,
    answer: Option<Answer>,
}

pub(super) async fn run(
    connection: &Connection,
    settings: &Settings,
    report: &Mutex<Report>,
    began: Instant,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut rng = Rng::new(settings.seed).part(1);
    let pause = Duration::from_secs(1) / settings.searches_per_second.max(1);
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut in_flight = FuturesUnordered::new();
    let mut count: u64 = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            due = ticks.tick(), if settings.searches_per_second > 0 && in_flight.len() < IN_FLIGHT_MAX => {
                let due = due.into_std();
                in_flight.push(search(connection, settings, general(settings, &mut rng), due, began));
                count += 1;
                let fresh = count.is_multiple_of(FRESH_AFTER).then(|| fresh(report)).flatten();
                in_flight.extend(fresh.map(|message| search(connection, settings, message, due, began)));
            }
            Some(done) = in_flight.next() => keep(report, done?),
        }
    }
    while let Some(done) = in_flight.next().await {
        keep(report, done?);
    }
    Ok(())
}

fn general(settings: &Settings, rng: &mut Rng) -> SearchRequest {
    let places = u64::from(settings.namespaces);
    let first = rng.below(places);
    let wide = if rng.below(WIDE_ONE_OF) == 0 { WIDE_NAMESPACES.min(places.max(1)) } else { 1 };
    SearchRequest {
        query: word(rng),
        match_mode: MatchMode::All.into(),
        namespaces: (first..first + wide).map(|number| namespace(number % places.max(1))).collect(),
        explain: true,
        ..SearchRequest::default()
    }
}

/// For the latest acknowledged write; none before the first.
fn fresh(report: &Mutex<Report>) -> Option<SearchRequest> {
    let latest = report.lock().unwrap_or_else(PoisonError::into_inner).latest.take()?;
    let (place, document, version) = latest.key;
    Some(SearchRequest {
        query: mark(document, version),
        match_mode: MatchMode::All.into(),
        namespaces: vec![namespace(place)],
        consistency_token: latest.token,
        explain: true,
        ..SearchRequest::default()
    })
}

async fn search(
    connection: &Connection,
    settings: &Settings,
    message: SearchRequest,
    due: Instant,
    began: Instant,
) -> anyhow::Result<Done> {
    let request = connection.request(message.clone(), settings.search_deadline)?;
    let since = |at: Instant| at.saturating_duration_since(began);
    let sent = since(connection.clock.now());
    let answer = connection.search().search(request).await;
    let received = connection.clock.now();
    let sample = SearchSample {
        due: since(due),
        took: received.saturating_duration_since(due),
        outcome: outcome(&answer),
    };
    let mut kept = None;
    if let Ok(answer) = answer {
        let mut answer = Answer::of(&message, answer.into_inner(), (sent, since(received)));
        if !message.consistency_token.is_empty() {
            let token = connection.open_token(&message.consistency_token)?;
            answer.demanded = demanded(&answer, &token);
        }
        kept = Some(answer);
    }
    Ok(Done { sample, is_fresh: !message.consistency_token.is_empty(), answer: kept })
}

/// Of what a token asks, what concerns the partitions of the answer.
fn demanded(answer: &Answer, token: &ConsistencyToken) -> BTreeMap<PartitionId, Offset> {
    let partitions = answer.labels.iter().map(|label| label.partition);
    partitions.map(|partition| (partition, token.of(partition))).collect()
}

fn outcome(answer: &Result<Response<SearchResponse>, Status>) -> Outcome {
    match answer {
        Ok(answer) if answer.get_ref().coverage.as_ref().is_some_and(|it| it.complete) => {
            Outcome::Complete
        }
        Ok(_) => Outcome::Incomplete,
        Err(status) => Outcome::Failed(status.code(), reason(status)),
    }
}

fn keep(report: &Mutex<Report>, done: Done) {
    let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
    report.answers.extend(done.answer);
    if done.is_fresh { &mut report.fresh } else { &mut report.searches }.push(done.sample);
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| status.message().to_owned(), |info| info.reason)
}
