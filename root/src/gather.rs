//! Gathering: from the partitions' checked answers to one answer with its coverage. Pure.

use std::sync::Arc;
use std::time::Duration;

use nautilus_proto::common::v1::{NamespaceRef, Sort};
use nautilus_proto::leaf::v1::{
    Candidate as LeafCandidate, SearchResponse as LeafAnswer, Statistics,
};
use nautilus_proto::root::v1::{
    Attempt, Candidate, PartitionAnswer, PartitionFailure, SearchResponse,
};

use crate::failure::Failure;
use crate::plan::Part;
use crate::routing::LeafAddress;
use crate::stages::micros;

mod order;
pub mod suggest;

use order::Order;

/// Who gave an answer, and what it took to get it.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// Which leaf.
    pub leaf: Arc<LeafAddress>,
    /// From sent to received.
    pub round_trip: Duration,
    /// Every request that was sent; empty where nobody asked.
    pub attempts: Vec<Attempt>,
}

/// What came of a part: an answer that was checked, or none.
pub type Outcome = Result<(LeafAnswer, Source), Failure>;

/// What the request says about how answers are put together.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The request's namespaces, to which candidates point.
    pub namespaces: &'a [NamespaceRef],
    /// Scoring leaves of the query.
    pub scoring_leaves: usize,
    /// What candidates are ordered by.
    pub sort: Option<&'a Sort>,
}

/// Puts the outcomes of `parts` (in the same order) together: candidates in order and with their
/// index in the whole request's namespaces, statistics summed, and each part either among the answers
/// or among the failures.
///
/// By relevance the order is that of the leaves' own scores: without statistics in the request each
/// counts by its own, and whoever ranks scores them again.
#[must_use]
pub fn gather(parts: &[Part], outcomes: Vec<Outcome>, rules: Rules<'_>) -> SearchResponse {
    let document_frequencies = vec![0; rules.scoring_leaves];
    let mut statistics = Statistics { document_frequencies, ..Statistics::default() };
    let mut response = SearchResponse::default();
    let mut candidates = Vec::new();
    for (part, outcome) in parts.iter().zip(outcomes) {
        match outcome {
            Ok((answer, source)) => {
                add(&mut response, &answer, source);
                if let Some(of_part) = &answer.statistics {
                    add_statistics(&mut statistics, of_part);
                }
                candidates.extend(answer.candidates.into_iter().filter_map(|c| remapped(part, c)));
            }
            Err(failure) => response.failures.push(failed(part, failure)),
        }
    }
    let order = Order::of(rules.sort, rules.namespaces);
    candidates.sort_by(|a, b| order.compare(a, b));
    response.candidates = candidates.into_iter().map(|(candidate, _)| candidate).collect();
    response.statistics = Some(statistics);
    response
}

/// A part's failure as it goes on the wire.
#[must_use]
pub fn failed(part: &Part, failure: Failure) -> PartitionFailure {
    PartitionFailure { partition: part.partition.0, reason: failure.reason }
}

fn add(response: &mut SearchResponse, answer: &LeafAnswer, source: Source) {
    response.total_hits = response.total_hits.saturating_add(answer.total_hits);
    response.truncated |= answer.truncated;
    response.answers.push(PartitionAnswer {
        label: answer.label.clone(),
        leaf: source.leaf.leaf.to_string(),
        rows_scanned: answer.rows_scanned,
        queue_us: answer.queue_us,
        search_us: answer.search_us,
        round_trip_us: micros(source.round_trip),
        replica_group: source.leaf.group.to_string(),
        total_hits: answer.total_hits,
        truncated: answer.truncated,
        candidates: u32::try_from(answer.candidates.len()).unwrap_or(u32::MAX),
        attempts: source.attempts,
    });
}

fn add_statistics(sum: &mut Statistics, part: &Statistics) {
    sum.documents = sum.documents.saturating_add(part.documents);
    sum.total_length = sum.total_length.saturating_add(part.total_length);
    for (sum, df) in sum.document_frequencies.iter_mut().zip(&part.document_frequencies) {
        *sum = sum.saturating_add(*df);
    }
}

/// The candidate as the caller knows it, with its score.
fn remapped(part: &Part, candidate: LeafCandidate) -> Option<(Candidate, f64)> {
    let index = usize::try_from(candidate.namespace_index).ok()?;
    let score = candidate.local_score;
    let candidate = Candidate {
        namespace_index: *part.indexes.get(index)?,
        document_id: candidate.document_id,
        length: candidate.length,
        frequencies: candidate.frequencies,
        sort_value: candidate.sort_value,
    };
    Some((candidate, score))
}

#[cfg(test)]
mod tests;
