//! Gathering: from the partitions' answers to one answer with its coverage. Pure.

use std::time::Duration;

use nautilus_proto::leaf::v1::{
    Candidate as LeafCandidate, SearchResponse as LeafAnswer, Statistics,
};
use nautilus_proto::root::v1::{Candidate, PartitionAnswer, PartitionFailure, SearchResponse};
use nautilus_types::{Class, PartitionId};

use crate::answer::{AnswerProblem, check_search};
use crate::failure::{ANSWER_INVALID, Failure};
use crate::plan::Part;

/// What came back from the leaf that was asked for a part.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// An answer, not yet checked.
    Answered {
        /// The answer.
        answer: LeafAnswer,
        /// Which leaf gave it.
        leaf: String,
        /// From sent to received.
        round_trip: Duration,
    },
    /// No answer.
    Failed(Failure),
}

/// One answer, and which leaves' answers were not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Gathered {
    /// The answer.
    pub response: SearchResponse,
    /// Answers that were not ones, for the log.
    pub rejected: Vec<(PartitionId, AnswerProblem)>,
}

/// Puts the outcomes of `parts` (in the same order) together: candidates with their index in the
/// whole request's namespaces, statistics summed, and each part either among the answers or among
/// the failures.
#[must_use]
pub fn gather(
    parts: &[Part],
    outcomes: Vec<Outcome>,
    limit: u32,
    scoring_leaves: usize,
) -> Gathered {
    let statistics =
        Statistics { document_frequencies: vec![0; scoring_leaves], ..Statistics::default() };
    let mut response = SearchResponse { statistics: Some(statistics), ..SearchResponse::default() };
    let mut rejected = Vec::new();
    for (part, outcome) in parts.iter().zip(outcomes) {
        let failure = match outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Answered { answer, leaf, round_trip } => {
                match check_search(part, limit, scoring_leaves, &answer) {
                    Ok(()) => {
                        add(&mut response, part, answer, leaf, round_trip);
                        continue;
                    }
                    Err(problem) => {
                        rejected.push((part.partition, problem));
                        Failure::new(Class::Bug, ANSWER_INVALID)
                    }
                }
            }
        };
        response
            .failures
            .push(PartitionFailure { partition: part.partition.0, reason: failure.reason });
    }
    Gathered { response, rejected }
}

/// Adds a checked answer.
fn add(
    response: &mut SearchResponse,
    part: &Part,
    answer: LeafAnswer,
    leaf: String,
    round_trip: Duration,
) {
    if let (Some(sum), Some(statistics)) = (&mut response.statistics, answer.statistics) {
        add_statistics(sum, &statistics);
    }
    response.candidates.extend(answer.candidates.into_iter().filter_map(|c| remapped(part, c)));
    response.total_hits = response.total_hits.saturating_add(answer.total_hits);
    response.truncated |= answer.truncated;
    response.answers.push(PartitionAnswer {
        label: answer.label,
        leaf,
        rows_scanned: answer.rows_scanned,
        queue_us: answer.queue_us,
        search_us: answer.search_us,
        round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
    });
}

fn add_statistics(sum: &mut Statistics, part: &Statistics) {
    sum.documents = sum.documents.saturating_add(part.documents);
    sum.total_length = sum.total_length.saturating_add(part.total_length);
    for (sum, df) in sum.document_frequencies.iter_mut().zip(&part.document_frequencies) {
        *sum = sum.saturating_add(*df);
    }
}

fn remapped(part: &Part, candidate: LeafCandidate) -> Option<Candidate> {
    let index = usize::try_from(candidate.namespace_index).ok()?;
    Some(Candidate {
        namespace_index: *part.indexes.get(index)?,
        document_id: candidate.document_id,
        length: candidate.length,
        frequencies: candidate.frequencies,
    })
}

#[cfg(test)]
mod tests;
