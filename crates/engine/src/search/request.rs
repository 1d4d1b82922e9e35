//! What a search asks for: scope, query, filter, order, and from where in it.

use nautilus_query::Node;
use nautilus_types::{DocumentId, NamespaceName, Offset};

use super::{ScopeEntry, ScopeStatistics};
use crate::mutation::Attributes;

/// A search. [`Self::new`] gives the plain case: every match, by relevance, from the best on.
#[derive(Debug, Clone, Copy)]
pub struct SearchRequest<'a> {
    /// Namespaces to search, in the order they are searched. One that does not exist here, or not in this
    /// incarnation, contributes nothing, and one that is there twice counts once.
    pub scope: &'a [ScopeEntry],
    /// Well formed (`nautilus_query::validate`), of tokens of analyzer version 1 or of the partition's own.
    pub query: &'a Node,
    /// Candidates wanted.
    pub limit: usize,
    /// Which of the matches.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Candidates strictly after this place in the order. Counts and statistics do not depend on it.
    pub after: Option<&'a Cursor>,
    /// Score with these instead of the partition's own; one document frequency for each scoring leaf.
    pub statistics: Option<&'a ScopeStatistics>,
    /// Leave documents out of the candidates whose content a record at or above this offset changed, so that
    /// pages which are read while the partition changes repeat nothing. Counts do not depend on it.
    pub changed_before: Option<Offset>,
}

impl<'a> SearchRequest<'a> {
    /// The best `limit` documents of `scope` that match `query`.
    #[must_use]
    pub fn new(scope: &'a [ScopeEntry], query: &'a Node, limit: usize) -> Self {
        Self {
            scope,
            query,
            limit,
            filter: Filter::default(),
            sort: Sort::default(),
            after: None,
            statistics: None,
            changed_before: None,
        }
    }
}

/// Bounds of a number, both inclusive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NumberRange {
    /// The smallest allowed; `None` = no bound.
    pub min: Option<i64>,
    /// The largest allowed; `None` = no bound.
    pub max: Option<i64>,
}

impl NumberRange {
    /// Whether the number lies within. Where there is a bound, no number does not.
    #[must_use]
    pub fn contains(&self, number: Option<i64>) -> bool {
        match number {
            Some(number) => {
                self.min.is_none_or(|min| min <= number) && self.max.is_none_or(|max| number <= max)
            }
            None => self.is_open(),
        }
    }

    fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// Which documents, by their attributes; all of the ranges must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of [`Attributes::size_bytes`].
    pub size_bytes: NumberRange,
    /// Of [`Attributes::created_unix_ms`].
    pub created_unix_ms: NumberRange,
    /// Of [`Attributes::modified_unix_ms`].
    pub modified_unix_ms: NumberRange,
}

impl Filter {
    /// Whether a document with these attributes passes.
    #[must_use]
    pub fn accepts(&self, attributes: &Attributes) -> bool {
        self.size_bytes.contains(attributes.size_bytes)
            && self.created_unix_ms.contains(attributes.created_unix_ms)
            && self.modified_unix_ms.contains(attributes.modified_unix_ms)
    }

    /// Whether every document passes.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// What hits are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Score.
    #[default]
    Relevance,
    /// [`Attributes::modified_unix_ms`].
    Modified,
    /// [`Attributes::created_unix_ms`].
    Created,
    /// [`Attributes::size_bytes`].
    Size,
}

impl SortKey {
    /// The number sorted by; `None` for relevance, and for documents without it.
    #[must_use]
    pub fn value(self, attributes: &Attributes) -> Option<i64> {
        match self {
            Self::Relevance => None,
            Self::Modified => attributes.modified_unix_ms,
            Self::Created => attributes.created_unix_ms,
            Self::Size => attributes.size_bytes,
        }
    }
}

/// The order of hits. Ties break by document id, then by namespace, each by its bytes, ascending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sort {
    /// By what. By relevance, the highest score comes first.
    pub key: SortKey,
    /// Whether the smallest number comes first. Documents without one come last either way. By relevance, ignored.
    pub is_ascending: bool,
}

/// A place in the order of hits: that of one hit, which need not exist any more.
#[derive(Debug, Clone, PartialEq)]
pub struct Cursor {
    /// By relevance: its score, with the statistics of the request.
    pub score: f64,
    /// By another key: its number, if it has one.
    pub sort_value: Option<i64>,
    /// Its id.
    pub document_id: DocumentId,
    /// Its namespace.
    pub namespace: NamespaceName,
}
