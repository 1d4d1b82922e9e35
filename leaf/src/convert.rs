//! Between the wire's messages and the engine's types: searches in, candidates and documents out. Pure.

use nautilus_engine::{
    Attributes, Cursor, Filter, NumberRange, ScopeStatistics, SearchOutcome, Sort, SortKey,
    StoredDocument, SuggestOutcome,
};
use nautilus_proto::common::v1::{self as common, DocumentMetadata, PartitionLabel};
use nautilus_proto::leaf::v1::{
    self as leaf, Candidate, FetchedDocument, SearchResponse, Statistics, SuggestResponse,
    Suggestion,
};
use nautilus_types::{DocumentId, NamespaceName, Offset};
use prost::Message as _;

use crate::LeafError;
use crate::request::field;

/// The numbers of a document that searches filter and sort by; 0 stands for "not given".
pub(crate) fn attributes(metadata: &DocumentMetadata) -> Attributes {
    let given = |number: i64| (number != 0).then_some(number);
    Attributes {
        size_bytes: given(i64::try_from(metadata.size_bytes).unwrap_or(i64::MAX)),
        created_unix_ms: given(metadata.created_unix_ms),
        modified_unix_ms: given(metadata.modified_unix_ms),
    }
}

/// The same from stored metadata, for folders that were made before there were such numbers. What does not read
/// has none: fetching the document says what is wrong with it.
pub fn attributes_of(stored: &[u8]) -> Attributes {
    DocumentMetadata::decode(stored).map_or_else(|_| Attributes::default(), |m| attributes(&m))
}

/// How a search is narrowed, ordered and continued.
pub(crate) struct Terms {
    pub(crate) filter: Filter,
    pub(crate) sort: Sort,
    pub(crate) after: Option<Cursor>,
    pub(crate) statistics: Option<ScopeStatistics>,
    pub(crate) changed_before: Option<Offset>,
}

impl Terms {
    /// Of a request; `scoring_leaves` is how many its query has.
    pub(crate) fn of(
        request: &leaf::SearchRequest,
        scoring_leaves: usize,
    ) -> Result<Self, LeafError> {
        let sort = sort(request.sort)?;
        let changed_before = request.changed_before_offset;
        Ok(Self {
            filter: filter(request.filter),
            after: request.after.as_ref().map(cursor).transpose()?,
            sort,
            statistics: statistics(request.statistics.as_ref(), scoring_leaves)?,
            changed_before: (changed_before > 0).then_some(Offset(changed_before)),
        })
    }
}

fn filter(filter: Option<common::DocumentFilter>) -> Filter {
    let filter = filter.unwrap_or_default();
    let range = |range: Option<common::Range>| {
        range.map_or_else(NumberRange::default, |range| NumberRange {
            min: range.min,
            max: range.max,
        })
    };
    Filter {
        size_bytes: range(filter.size_bytes),
        created_unix_ms: range(filter.created_unix_ms),
        modified_unix_ms: range(filter.modified_unix_ms),
    }
}

fn sort(sort: Option<common::Sort>) -> Result<Sort, LeafError> {
    let sort = sort.unwrap_or_default();
    let key = common::SortKey::try_from(sort.key)
        .map_err(|_| field("sort", format!("has the unknown key {}", sort.key)))?;
    let key = match key {
        common::SortKey::Unspecified | common::SortKey::Relevance => SortKey::Relevance,
        common::SortKey::Modified => SortKey::Modified,
        common::SortKey::Created => SortKey::Created,
        common::SortKey::Size => SortKey::Size,
    };
    // By relevance the best comes first, whatever is said.
    Ok(Sort { key, is_ascending: sort.ascending && key != SortKey::Relevance })
}

fn cursor(after: &leaf::Cursor) -> Result<Cursor, LeafError> {
    if !after.score.is_finite() {
        return Err(field("after", "has a score that is no number"));
    }
    Ok(Cursor {
        score: after.score,
        sort_value: after.sort_value,
        document_id: DocumentId::new(&after.document_id)?,
        namespace: NamespaceName::new(&after.namespace)?,
    })
}

fn statistics(
    statistics: Option<&Statistics>,
    scoring_leaves: usize,
) -> Result<Option<ScopeStatistics>, LeafError> {
    let Some(statistics) = statistics else { return Ok(None) };
    let given = statistics.document_frequencies.len();
    if given != scoring_leaves {
        return Err(field(
            "statistics",
            format!("are of {given} scoring leaves, the query has {scoring_leaves}"),
        ));
    }
    Ok(Some(ScopeStatistics {
        documents: statistics.documents,
        total_length: statistics.total_length,
        document_frequencies: statistics.document_frequencies.clone(),
    }))
}

/// Times of one answer, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Took {
    pub(crate) queue_us: u64,
    pub(crate) work_us: u64,
}

pub(crate) fn search_response(
    label: PartitionLabel,
    outcome: SearchOutcome,
    took: Took,
) -> SearchResponse {
    SearchResponse {
        label: Some(label),
        candidates: outcome.candidates.into_iter().map(candidate).collect(),
        statistics: Some(Statistics {
            documents: outcome.statistics.documents,
            total_length: outcome.statistics.total_length,
            document_frequencies: outcome.statistics.document_frequencies,
        }),
        total_hits: outcome.total_hits,
        truncated: outcome.truncated,
        rows_scanned: outcome.rows_scanned,
        queue_us: took.queue_us,
        search_us: took.work_us,
    }
}

fn candidate(candidate: nautilus_engine::Candidate) -> Candidate {
    Candidate {
        // A scope has at most GRANT_NAMESPACES_MAX entries.
        namespace_index: u32::try_from(candidate.scope_index).unwrap_or(u32::MAX),
        document_id: candidate.document_id.as_bytes().to_vec(),
        length: candidate.length,
        frequencies: candidate.frequencies,
        local_score: candidate.score,
        sort_value: candidate.sort_value,
    }
}

pub(crate) fn suggest_response(
    label: PartitionLabel,
    outcome: SuggestOutcome,
    took: Took,
) -> SuggestResponse {
    let suggestion = |suggestion: nautilus_engine::Suggestion| Suggestion {
        token: suggestion.token,
        documents: suggestion.documents,
    };
    SuggestResponse {
        label: Some(label),
        suggestions: outcome.suggestions.into_iter().map(suggestion).collect(),
        truncated: outcome.truncated,
        rows_scanned: outcome.rows_scanned,
        queue_us: took.queue_us,
        search_us: took.work_us,
    }
}

pub(crate) fn fetched_document(document: StoredDocument) -> Result<FetchedDocument, LeafError> {
    let metadata =
        DocumentMetadata::decode(document.metadata.as_slice()).map_err(LeafError::Metadata)?;
    Ok(FetchedDocument {
        found: true,
        version: document.version,
        title: document.title,
        path: document.path,
        body: document.body.unwrap_or_default(),
        metadata: Some(metadata),
        content_hash: document.content_hash.to_vec(),
        highlights: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_not_given_are_absent() {
        assert_eq!(attributes(&DocumentMetadata::default()), Attributes::default());
        let metadata = DocumentMetadata {
            size_bytes: u64::MAX,
            created_unix_ms: -5,
            modified_unix_ms: 7,
            ..DocumentMetadata::default()
        };
        let expected = Attributes {
            size_bytes: Some(i64::MAX),
            created_unix_ms: Some(-5),
            modified_unix_ms: Some(7),
        };
        assert_eq!(attributes(&metadata), expected);
        assert_eq!(attributes_of(&metadata.encode_to_vec()), expected);
        assert_eq!(attributes_of(b"\xff\xff"), Attributes::default());
    }

    #[test]
    fn terms_are_checked() {
        let request = leaf::SearchRequest::default;
        let terms = Terms::of(&request(), 1).expect("nothing asked for");
        assert_eq!(terms.sort, Sort { key: SortKey::Relevance, is_ascending: false });
        assert!(terms.after.is_none() && terms.statistics.is_none());
        assert_eq!(terms.changed_before, None);

        let sorted = |key: i32, ascending| Some(common::Sort { key, ascending });
        let after = leaf::Cursor {
            document_id: b"a".to_vec(),
            namespace: b"n".to_vec(),
            ..leaf::Cursor::default()
        };
        let refused = |request: leaf::SearchRequest| Terms::of(&request, 2).is_err();
        assert!(refused(leaf::SearchRequest { sort: sorted(9, false), ..request() }));
        let by_relevance = leaf::SearchRequest { sort: sorted(1, true), ..request() };
        assert!(!Terms::of(&by_relevance, 2).expect("sound").sort.is_ascending);
        for after in [
            leaf::Cursor { score: f64::NAN, ..after.clone() },
            leaf::Cursor { document_id: Vec::new(), ..after.clone() },
            leaf::Cursor { namespace: Vec::new(), ..after.clone() },
        ] {
            assert!(refused(leaf::SearchRequest { after: Some(after), ..request() }));
        }
        let of =
            |leaves| Statistics { document_frequencies: vec![1; leaves], ..Statistics::default() };
        assert!(refused(leaf::SearchRequest { statistics: Some(of(1)), ..request() }));
        assert!(!refused(leaf::SearchRequest { statistics: Some(of(2)), ..request() }));
        let by_size = leaf::SearchRequest {
            sort: sorted(common::SortKey::Size.into(), true),
            after: Some(leaf::Cursor { sort_value: Some(1), ..after }),
            changed_before_offset: 4,
            ..request()
        };
        let terms = Terms::of(&by_size, 1).expect("sound");
        assert_eq!(terms.sort, Sort { key: SortKey::Size, is_ascending: true });
        assert_eq!(terms.changed_before, Some(Offset(4)));
    }
}
