//! Gathering suggestions: documents summed for each word. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use nautilus_proto::leaf::v1::{SuggestResponse as LeafAnswer, Suggestion};
use nautilus_proto::root::v1::{PartitionAnswer, SuggestResponse};

use super::{Source, failed};
use crate::failure::Failure;
use crate::plan::Part;
use crate::stages::micros;

/// What came of a part: an answer that was checked, or none.
pub type Outcome = Result<(LeafAnswer, Source), Failure>;

/// Puts the outcomes of `parts` (in the same order) together: of all words the `limit` in most
/// documents, those in equally many by bytes. A word that is not among a partition's first counts
/// nothing there, so a sum is a lower bound.
#[must_use]
pub fn gather(parts: &[Part], outcomes: Vec<Outcome>, limit: u32) -> SuggestResponse {
    let mut response = SuggestResponse::default();
    let mut documents: BTreeMap<String, u64> = BTreeMap::new();
    for (part, outcome) in parts.iter().zip(outcomes) {
        let (answer, source) = match outcome {
            Ok(answered) => answered,
            Err(failure) => {
                response.failures.push(failed(part, failure));
                continue;
            }
        };
        response.truncated |= answer.truncated;
        response.answers.push(PartitionAnswer {
            label: answer.label,
            leaf: source.leaf.leaf.to_string(),
            rows_scanned: answer.rows_scanned,
            queue_us: answer.queue_us,
            search_us: answer.search_us,
            round_trip_us: micros(source.round_trip),
            replica_group: source.leaf.group.to_string(),
            truncated: answer.truncated,
            ..PartitionAnswer::default()
        });
        for suggestion in answer.suggestions {
            let sum = documents.entry(suggestion.token).or_default();
            *sum = sum.saturating_add(suggestion.documents);
        }
    }
    let word = |(token, documents)| Suggestion { token, documents };
    // Already by bytes, and the sort keeps that among equals.
    let mut suggestions: Vec<_> = documents.into_iter().map(word).collect();
    suggestions.sort_by_key(|suggestion| Reverse(suggestion.documents));
    suggestions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    response.suggestions = suggestions;
    response
}
