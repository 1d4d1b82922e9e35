//! Ranking: candidates scored with the whole scope's statistics and put in order. Pure.

use std::cmp::Ordering;

use nautilus_proto::leaf::v1::{Cursor, Statistics};
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
    /// What it is sorted by, where that is not the score; none = it has none.
    pub sort_value: Option<i64>,
}

/// What hits are ordered by. Ties go by document id bytes, then namespace bytes, ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// By score, the higher first.
    #[default]
    Relevance,
    /// By a number of the document's own; documents without it come last in either direction.
    Number {
        /// The smallest first.
        is_ascending: bool,
    },
}

/// A place in the order of hits: that of one hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// Its score.
    pub score: f64,
    /// Its number, where hits are ordered by one.
    pub sort_value: Option<i64>,
    /// Its document.
    pub document_id: DocumentId,
    /// Its namespace.
    pub namespace: NamespaceName,
}

/// What candidates are ranked by.
#[derive(Debug, Clone, Copy)]
pub struct Ranking<'r> {
    /// Of the whole scope.
    pub statistics: &'r Statistics,
    /// What candidates count their namespaces by.
    pub scope: &'r [Namespace],
    /// How many the query has.
    pub scoring_leaves: usize,
    /// Which come first.
    pub order: Order,
    /// Only hits after this place; none = from the first.
    pub after: Option<&'r Place>,
}

/// A candidate that is not one of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a candidate is not one of the request")]
pub struct CandidateInvalid;

impl Place {
    /// The place of a hit.
    #[must_use]
    pub fn of(hit: &Hit, scope: &[Namespace]) -> Option<Self> {
        let (namespace, _) = scope.get(hit.namespace_index)?;
        Some(Self {
            score: hit.score,
            sort_value: hit.sort_value,
            document_id: hit.document_id.clone(),
            namespace: namespace.clone(),
        })
    }

    /// For internal requests.
    #[must_use]
    pub fn to_proto(&self) -> Cursor {
        Cursor {
            score: self.score,
            sort_value: self.sort_value,
            document_id: self.document_id.as_bytes().to_vec(),
            namespace: self.namespace.as_bytes().to_vec(),
        }
    }
}

/// The first `hits_max` candidates in the order asked for.
pub fn rank(
    candidates: Vec<Candidate>,
    ranking: Ranking<'_>,
    hits_max: usize,
) -> Result<Vec<Hit>, CandidateInvalid> {
    let Ranking { statistics, scope, scoring_leaves, order, after } = ranking;
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
        Ok(Hit { namespace_index, document_id, score, sort_value: candidate.sort_value })
    };
    let mut hits = candidates.into_iter().map(hit).collect::<Result<Vec<_>, _>>()?;
    if let Some(after) = after {
        // Whoever chose them was told the place; a hit shown twice would still be our doing.
        let place = Key::of_place(after);
        hits.retain(|hit| order.compare(Key::of_hit(hit, scope), place) == Ordering::Greater);
    }
    let compare = |a: &Hit, b: &Hit| order.compare(Key::of_hit(a, scope), Key::of_hit(b, scope));
    if hits.len() > hits_max {
        hits.select_nth_unstable_by(hits_max, compare);
        hits.truncate(hits_max);
    }
    hits.sort_unstable_by(compare);
    Ok(hits)
}

/// What an order looks at.
#[derive(Clone, Copy)]
struct Key<'k> {
    score: f64,
    sort_value: Option<i64>,
    document_id: &'k [u8],
    namespace: &'k [u8],
}

impl<'k> Key<'k> {
    fn of_hit(hit: &'k Hit, scope: &'k [Namespace]) -> Self {
        let namespace = scope.get(hit.namespace_index).map(|(name, _)| name.as_bytes());
        Self {
            score: hit.score,
            sort_value: hit.sort_value,
            document_id: hit.document_id.as_bytes(),
            namespace: namespace.unwrap_or_default(),
        }
    }

    fn of_place(place: &'k Place) -> Self {
        Self {
            score: place.score,
            sort_value: place.sort_value,
            document_id: place.document_id.as_bytes(),
            namespace: place.namespace.as_bytes(),
        }
    }
}

impl Order {
    fn compare(self, a: Key<'_>, b: Key<'_>) -> Ordering {
        let by_key = match self {
            Self::Relevance => b.score.total_cmp(&a.score),
            Self::Number { is_ascending } => match (a.sort_value, b.sort_value) {
                (Some(a), Some(b)) if is_ascending => a.cmp(&b),
                (Some(a), Some(b)) => b.cmp(&a),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => Ordering::Equal,
            },
        };
        by_key
            .then_with(|| a.document_id.cmp(b.document_id))
            .then_with(|| a.namespace.cmp(b.namespace))
    }
}

#[cfg(test)]
mod tests;
