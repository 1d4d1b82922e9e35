//! Whether an engine's answer is the one that looking at every document gives.

use anyhow::{Result, ensure};
use nautilus_engine::SearchOutcome;
use tantivy::Score;

use super::data::Id;
use super::exhaustive::{Answer, Definition, PAGE};
use super::ours::number_of;
use super::queries::Query;

/// Ours: the same documents in the same order, the same bits of their scores, the same number of hits.
pub(crate) fn ours(query: &Query, outcome: &SearchOutcome, answer: &Answer) -> Result<()> {
    ensure!(
        outcome.total_hits == answer.hits,
        "{query:?}: {} hits, {} by looking at all documents",
        outcome.total_hits,
        answer.hits
    );
    let found: Vec<(Option<Id>, u64)> = outcome
        .candidates
        .iter()
        .map(|candidate| (number_of(&candidate.document_id), candidate.score.to_bits()))
        .collect();
    let best = answer.best(Definition::Ours);
    let expected: Vec<(Option<Id>, u64)> =
        best.iter().map(|&(id, score)| (Some(id), score.to_bits())).collect();
    ensure!(found == expected, "{query:?}: found {found:?}, expected {expected:?}");
    Ok(())
}

/// The peer's number of hits.
pub(crate) fn count(query: &Query, layout: &str, count: usize, answer: &Answer) -> Result<()> {
    ensure!(
        count as u64 == answer.hits,
        "{query:?}: {layout} counts {count} hits, there are {}",
        answer.hits
    );
    Ok(())
}

/// The peer's best ten: its scores, descending, are the best that there are by its definition, in single precision, and
/// its documents are those that have them. Which of equal ones it takes is its own affair.
pub(crate) fn peer(
    query: &Query,
    layout: &str,
    best: &[(Score, Id)],
    answer: &Answer,
    definition: Definition,
) -> Result<()> {
    let expected = answer.best(definition);
    let is_close = |a: f64, b: f64| (a - b).abs() <= 2e-4 * b.abs().max(1e-3);
    let last = expected.last().map_or(0.0, |&(_, score)| score);
    ensure!(best.len() == expected.len(), "{query:?}: {layout} returns {} documents", best.len());
    for (rank, (&(score, id), &(_, best_score))) in best.iter().zip(expected).enumerate() {
        ensure!(
            is_close(f64::from(score), best_score),
            "{query:?}: {layout} scores {score} at rank {rank}, expected {best_score}"
        );
        let is_its_own = expected.iter().any(|&(i, s)| i == id && is_close(f64::from(score), s));
        let is_tied_with_the_last = expected.len() == PAGE && is_close(f64::from(score), last);
        ensure!(
            answer.is_match(id) && (is_its_own || is_tied_with_the_last),
            "{query:?}: {layout} has document {id} at rank {rank} with {score}, expected {expected:?}"
        );
    }
    Ok(())
}
