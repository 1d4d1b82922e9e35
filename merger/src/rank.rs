//! Ranking: candidates scored with the whole scope's statistics and put in order. Pure.

use std::cmp::Ordering;

use nautilus_proto::leaf::v1::Statistics;
use nautilus_proto::root::v1::Candidate;
use nautilus_query::scoring::{Collection, score};
use nautilus_types::{DocumentId, Incarnation, NamespaceName};

/// A life of a namespace in the scope.
pub type Namespace = (NamespaceName, Incarnation);

/// A candidate in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Index into the scope.
    pub namespace_index: usize,
    /// Which document.
    pub document_id: DocumentId,
    /// Its score, by the whole scope's statistics.
    pub score: f64,
}

/// A candidate that is not one of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a candidate is not one of the request")]
pub struct CandidateInvalid;

/// The best `hits_max` candidates: by score, the higher first, then document id bytes, then
/// namespace bytes, ascending. `scoring_leaves` is how many the query has.
pub fn rank(
    candidates: Vec<Candidate>,
    statistics: &Statistics,
    scope: &[Namespace],
    scoring_leaves: usize,
    hits_max: usize,
) -> Result<Vec<Hit>, CandidateInvalid> {
    let collection =
        Collection { documents: statistics.documents, total_length: statistics.total_length };
    let df = &statistics.document_frequencies;
    if df.len() != scoring_leaves {
        return Err(CandidateInvalid);
    }
    let hit = |candidate: Candidate| {
        let namespace_index = usize::try_from(candidate.namespace_index).unwrap_or(usize::MAX);
        if namespace_index >= scope.len() || candidate.frequencies.len() != scoring_leaves {
            return Err(CandidateInvalid);
        }
        let document_id = DocumentId::new(&candidate.document_id).map_err(|_| CandidateInvalid)?;
        let score = score(collection, df, candidate.length, &candidate.frequencies);
        Ok(Hit { namespace_index, document_id, score })
    };
    let mut hits = candidates.into_iter().map(hit).collect::<Result<Vec<_>, _>>()?;
    let order = |a: &Hit, b: &Hit| compare(a, b, scope);
    if hits.len() > hits_max {
        hits.select_nth_unstable_by(hits_max, order);
        hits.truncate(hits_max);
    }
    hits.sort_unstable_by(order);
    Ok(hits)
}

fn compare(a: &Hit, b: &Hit, scope: &[Namespace]) -> Ordering {
    let namespace = |hit: &Hit| scope.get(hit.namespace_index).map(|(name, _)| name.as_bytes());
    b.score
        .total_cmp(&a.score)
        .then_with(|| a.document_id.cmp(&b.document_id))
        .then_with(|| namespace(a).cmp(&namespace(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scope(count: usize) -> Vec<Namespace> {
        let name = |n: usize| NamespaceName::new(format!("n{n}")).expect("valid");
        (0..count).map(|n| (name(n), Incarnation(1))).collect()
    }

    fn statistics() -> Statistics {
        Statistics { documents: 100, total_length: 5_000, document_frequencies: vec![3, 60] }
    }

    fn candidate(namespace_index: u32, id: &str, length: u32, frequencies: [u32; 2]) -> Candidate {
        let (document_id, frequencies) = (id.as_bytes().to_vec(), frequencies.to_vec());
        Candidate { namespace_index, document_id, length, frequencies }
    }

    fn ids(hits: &[Hit]) -> Vec<String> {
        hits.iter().map(|h| format!("{}/{}", h.namespace_index, h.document_id.to_lossy())).collect()
    }

    #[test]
    fn rarer_words_count_more_and_ties_go_by_id() {
        let candidates = vec![
            candidate(1, "common", 50, [0, 1]),
            candidate(1, "b", 50, [1, 0]),
            candidate(1, "a", 50, [1, 0]),
            candidate(0, "b", 50, [1, 0]),
            candidate(0, "short", 10, [1, 0]),
        ];
        let hits = rank(candidates, &statistics(), &scope(2), 2, 4).expect("sound");
        assert_eq!(ids(&hits), ["0/short", "1/a", "0/b", "1/b"]);
    }

    #[test]
    fn strangers_are_refused() {
        for bad in [
            candidate(2, "a", 1, [1, 1]),
            candidate(0, "", 1, [1, 1]),
            Candidate { frequencies: vec![1], ..candidate(0, "a", 1, [1, 1]) },
        ] {
            assert!(rank(vec![bad], &statistics(), &scope(2), 2, 4).is_err());
        }
        assert!(rank(vec![], &statistics(), &scope(2), 3, 4).is_err());
    }

    proptest! {
        /// The same as scoring all and sorting, whatever order they came in.
        #[test]
        fn the_page_is_the_head_of_the_sorted_whole(
            candidates in proptest::collection::vec(
                (0..4_u32, "[a-c]{1,2}", 1..60_u32, 0..3_u32, 0..3_u32), 0..60),
            hits_max in 1..20_usize,
        ) {
            let scope = scope(4);
            let candidates: Vec<_> = candidates.iter()
                .map(|(n, id, length, a, b)| candidate(*n, id, *length, [*a, *b])).collect();
            let whole = rank(candidates.clone(), &statistics(), &scope, 2, usize::MAX);
            let whole = whole.expect("sound");
            prop_assert!(whole.is_sorted_by(|a, b| a.score >= b.score));
            let mut reversed = candidates;
            reversed.reverse();
            let page = rank(reversed, &statistics(), &scope, 2, hits_max).expect("sound");
            let head: Vec<_> = whole.iter().take(hits_max).map(|h| (h.score, &h.document_id)).collect();
            let page: Vec<_> = page.iter().map(|h| (h.score, &h.document_id)).collect();
            prop_assert_eq!(page, head);
        }
    }
}
