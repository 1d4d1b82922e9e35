//! The order of candidates: by score or number, then document id, then namespace. Pure.

use std::cmp::Ordering;

use nautilus_proto::common::v1::{NamespaceRef, Sort, SortKey};
use nautilus_proto::root::v1::Candidate;

/// What a request orders by.
pub(super) struct Order<'a> {
    namespaces: &'a [NamespaceRef],
    by: By,
}

enum By {
    Score,
    Ascending,
    Descending,
}

impl<'a> Order<'a> {
    pub(super) fn of(sort: Option<&Sort>, namespaces: &'a [NamespaceRef]) -> Self {
        let by = match sort.map(|sort| (sort.key(), sort.ascending)) {
            None | Some((SortKey::Unspecified | SortKey::Relevance, _)) => By::Score,
            Some((SortKey::Modified | SortKey::Created | SortKey::Size, true)) => By::Ascending,
            Some((SortKey::Modified | SortKey::Created | SortKey::Size, false)) => By::Descending,
        };
        Self { namespaces, by }
    }

    /// Candidates come with their score; those without the number they are ordered by come last.
    pub(super) fn compare(&self, a: &(Candidate, f64), b: &(Candidate, f64)) -> Ordering {
        let ((a, a_score), (b, b_score)) = (a, b);
        let (a_value, b_value) = (a.sort_value, b.sort_value);
        let absent_last = a_value.is_none().cmp(&b_value.is_none());
        let by_key = match self.by {
            By::Score => b_score.total_cmp(a_score),
            By::Ascending => absent_last.then(a_value.cmp(&b_value)),
            By::Descending => absent_last.then(b_value.cmp(&a_value)),
        };
        by_key
            .then_with(|| a.document_id.cmp(&b.document_id))
            .then_with(|| self.name(a).cmp(&self.name(b)))
    }

    fn name(&self, candidate: &Candidate) -> Option<&[u8]> {
        let index = usize::try_from(candidate.namespace_index).ok()?;
        self.namespaces.get(index).map(|namespace| namespace.name.as_slice())
    }
}
