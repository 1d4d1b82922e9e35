//! What a search did and how long each step took, kept beside it so that also one that fails is
//! measured, counted and, where it was slow, logged.

use std::time::Duration;

use nautilus_proto::common::v1::Stage;
use nautilus_proto::root::v1 as root;
use nautilus_proto::search::v1::SearchResponse;
use nautilus_service::{Clock, RequestId};
use xxhash_rust::xxh3::xxh3_64;

use crate::MergerError;
use crate::merger::Core;
use crate::metrics::{inc_if, outcome_name};
use crate::shadow::Job;
use crate::stopwatch::{Stopwatch, micros};

/// The work of one search so far.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) watch: Stopwatch,
    /// Partitions that the last question concerned.
    pub(crate) partitions: usize,
    /// Rows that leaves read, for all questions.
    pub(crate) rows_scanned: u64,
    /// What the root's own time went into, for all questions.
    pub(crate) root_stages: Vec<Stage>,
    /// Where the root would have it shadowed.
    pub(crate) shadow_on: Option<root::ShadowTarget>,
    /// What is to be run again once the answer is out.
    pub(crate) shadow: Option<Box<Job>>,
    has_answer: bool,
}

impl Track {
    pub(crate) fn start(clock: &Clock) -> Self {
        let watch = Stopwatch::start(clock);
        Self {
            watch,
            partitions: 0,
            rows_scanned: 0,
            root_stages: Vec::new(),
            shadow_on: None,
            shadow: None,
            has_answer: false,
        }
    }

    /// The root answered, for `partitions`.
    pub(crate) fn answered(&mut self, partitions: usize, response: &root::SearchResponse) {
        self.partitions = partitions;
        // A search is drawn once, however many questions it takes.
        if !std::mem::replace(&mut self.has_answer, true) {
            self.shadow_on.clone_from(&response.shadow);
        }
        let rows = response.answers.iter().map(|answer| answer.rows_scanned);
        self.rows_scanned = rows.fold(self.rows_scanned, u64::saturating_add);
        for stage in &response.stages {
            match self.root_stages.iter_mut().find(|known| known.name == stage.name) {
                Some(known) => known.duration_us += stage.duration_us,
                None => self.root_stages.push(stage.clone()),
            }
        }
    }
}

impl Core {
    /// A search has ended: metrics and, where it was slow, a line in the log.
    pub(crate) fn searched(
        &self,
        query: &str,
        track: &Track,
        outcome: Result<&SearchResponse, &MergerError>,
    ) {
        let (total, stages) = (track.watch.total(), track.watch.stages());
        track.watch.record_spans();
        let failure = outcome.err().map(MergerError::class);
        let metrics = &self.metrics;
        metrics.searched(failure, total, &stages);
        if let Ok(response) = outcome {
            inc_if(&metrics.relaxed, response.relaxed);
            inc_if(&metrics.truncated, response.truncated);
            let is_partial = |coverage: &nautilus_proto::search::v1::Coverage| !coverage.complete;
            inc_if(&metrics.partial, response.coverage.as_ref().is_some_and(is_partial));
        }
        if total < self.config.slow_query_threshold {
            return;
        }
        metrics.slow.inc();
        let request_id = RequestId::current();
        tracing::info!(
            request_id = request_id.as_ref().map(RequestId::as_str),
            outcome = outcome_name(failure),
            duration_us = micros(total),
            stages = stages_text(&stages),
            partitions = track.partitions,
            rows_scanned = track.rows_scanned,
            // What people search for is their content: by default only whether it is the same.
            query_hash = format!("{:016x}", xxh3_64(query.as_bytes())),
            query = self.config.log_query_text.then_some(query),
            "slow search"
        );
    }
}

/// `authenticate=0.1ms root=480.0ms`.
fn stages_text(stages: &[(&'static str, Duration)]) -> String {
    let text = |(name, spent): &(&'static str, Duration)| {
        let us = spent.as_micros();
        format!("{name}={}.{}ms", us / 1_000, us % 1_000 / 100)
    };
    stages.iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stopwatch::stage;

    #[test]
    fn work_adds_up_over_questions() {
        let mut track = Track::start(&Clock::manual(0).0);
        let response = root::SearchResponse {
            answers: vec![
                root::PartitionAnswer { rows_scanned: 5, ..Default::default() },
                root::PartitionAnswer { rows_scanned: 2, ..Default::default() },
            ],
            stages: vec![stage("route", 3), stage("fan_out", 40)],
            ..Default::default()
        };
        track.answered(2, &response);
        track.answered(2, &response);
        assert_eq!((track.partitions, track.rows_scanned), (2, 14));
        assert_eq!(track.root_stages, [stage("route", 6), stage("fan_out", 80)]);
        let stages = [("root", Duration::from_micros(12_345)), ("rank", Duration::from_micros(60))];
        assert_eq!(stages_text(&stages), "root=12.3ms rank=0.0ms");
    }
}
