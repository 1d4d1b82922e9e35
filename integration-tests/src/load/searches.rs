//! The searches.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use nautilus_proto::search::v1::{MatchMode, SearchRequest};
use nautilus_service::CancellationToken;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::connection::Connection;
use super::report::{Outcome, Report, SearchSample};
use super::writes::word;
use super::{Settings, namespace};
use crate::rng::Rng;

/// More at once are not sent: the cluster is gone.
const IN_FLIGHT_MAX: usize = 2_000;

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
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            due = ticks.tick(), if settings.searches_per_second > 0 && in_flight.len() < IN_FLIGHT_MAX => {
                let due = due.into_std();
                let message = SearchRequest {
                    query: word(&mut rng),
                    match_mode: MatchMode::All.into(),
                    namespaces: vec![namespace(rng.below(settings.namespaces.into()))],
                    ..SearchRequest::default()
                };
                let request = connection.request(message, settings.search_deadline)?;
                let mut client = connection.search();
                let clock = connection.clock.clone();
                in_flight.push(async move {
                    let outcome = match client.search(request).await {
                        Ok(answer) if answer.get_ref().coverage.as_ref().is_some_and(|it| it.complete) => {
                            Outcome::Complete
                        }
                        Ok(_) => Outcome::Incomplete,
                        Err(status) => Outcome::Failed(status.code(), reason(&status)),
                    };
                    let took = clock.now().saturating_duration_since(due);
                    SearchSample { due: due.saturating_duration_since(began), took, outcome }
                });
            }
            Some(sample) = in_flight.next() => keep(report, sample),
        }
    }
    while let Some(sample) = in_flight.next().await {
        keep(report, sample);
    }
    Ok(())
}

fn keep(report: &Mutex<Report>, sample: SearchSample) {
    report.lock().unwrap_or_else(PoisonError::into_inner).searches.push(sample);
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info();
    info.map_or_else(|| status.message().to_owned(), |info| info.reason)
}
