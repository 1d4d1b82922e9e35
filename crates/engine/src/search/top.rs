//! The best matches: by score, ties by document id and then namespace.

use nautilus_query::scoring::{self, Collection, decode_length};
use nautilus_types::DocumentId;

use super::matches::Matches;
use super::{Candidate, ScopeEntry, ScopeStatistics};
use crate::error::EngineError;
use crate::keys;
use crate::read::Searcher;
use crate::rows::Malformed;
use crate::rows::document::Header;

/// Scores every match and returns the best `limit` with their ids.
pub(super) fn best(
    searcher: &Searcher<'_>,
    scope: &[ScopeEntry],
    statistics: &ScopeStatistics,
    matches: &Matches,
    limit: usize,
) -> Result<Vec<Candidate>, EngineError> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let collection =
        Collection { documents: statistics.documents, total_length: statistics.total_length };
    let mut scored: Vec<(f64, usize)> = matches
        .iter()
        .enumerate()
        .map(|(index, (found, frequencies))| {
            let score = scoring::score(
                collection,
                &statistics.document_frequencies,
                decode_length(found.length_code),
                frequencies,
            );
            (score, index)
        })
        .collect();
    if scored.len() > limit {
        // Ids are read only for what may be returned: everything that is not worse than the last place.
        let (_, last, _) = scored.select_nth_unstable_by(limit - 1, |a, b| b.0.total_cmp(&a.0));
        let last = last.0;
        scored.retain(|(score, _)| score.total_cmp(&last).is_ge());
    }
    let mut candidates = Vec::with_capacity(scored.len());
    for (score, index) in scored {
        let Some((found, frequencies)) = matches.get(index) else { continue };
        let header = searcher.get(&keys::header(found.ns, found.ordinal))?;
        let header = header.ok_or(EngineError::Missing { row: "header" })?;
        let id = Header::decode_document_id(&header)?;
        candidates.push(Candidate {
            scope_index: found.scope_index,
            document_id: DocumentId::new(id).map_err(|_| Malformed { row: "header" })?,
            length: decode_length(found.length_code),
            frequencies: frequencies.to_vec(),
            score,
        });
    }
    candidates.sort_by(|a, b| {
        b.score
            .total_cmp(&a.score)
            .then_with(|| a.document_id.cmp(&b.document_id))
            .then_with(|| scope[a.scope_index].namespace.cmp(&scope[b.scope_index].namespace))
    });
    candidates.truncate(limit);
    Ok(candidates)
}
