//! What went wrong with documents before they came here, as their metadata says.

use nautilus_engine::{ListedDocument, ScopeEntry, Searcher};
use nautilus_proto::common::v1::{DocumentFailure, DocumentMetadata, attribute_value::Value};
use prost::Message as _;

use crate::LeafError;

/// The attribute in which whoever made text of a source says what could not be read, as `REASON: detail`.
const EXTRACTION_FAILURE: &str = "extraction.failure";

/// Of what an application says, in bytes: a page lists a thousand documents.
const DETAIL_BYTES_MAX: usize = 1_024;

/// The failures of each document, where they are wanted.
pub(crate) fn of(
    searcher: &Searcher<'_>,
    entry: &ScopeEntry,
    documents: &[ListedDocument],
    is_wanted: bool,
) -> Result<Vec<Vec<DocumentFailure>>, LeafError> {
    let failures = documents.iter().map(|document| {
        let stored =
            if is_wanted { searcher.fetch(entry, &document.document_id, false)? } else { None };
        let Some(stored) = stored else { return Ok(Vec::new()) };
        let metadata = DocumentMetadata::decode(stored.metadata.as_slice());
        Ok(in_metadata(metadata.map_err(LeafError::Metadata)?))
    });
    failures.collect()
}

fn in_metadata(metadata: DocumentMetadata) -> Vec<DocumentFailure> {
    let mut failures = Vec::new();
    let told = metadata.attributes.get(EXTRACTION_FAILURE).and_then(|told| told.value.as_ref());
    if let Some(Value::Text(told)) = told {
        let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let is_reason = |reason: &str| !reason.is_empty() && reason.bytes().all(is_part);
        let parts = told.split_once(": ").filter(|(reason, _)| is_reason(reason));
        let (reason, detail) = parts.unwrap_or(("FAILED", told));
        failures.push(DocumentFailure {
            stage: "extract".to_owned(),
            reason: reason.to_owned(),
            detail: detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)].to_owned(),
        });
    }
    for (name, annotation) in metadata.annotations {
        if let Some(failure) = annotation.failure {
            failures.push(DocumentFailure {
                stage: format!("annotate/{name}"),
                reason: failure.reason,
                detail: failure.detail,
            });
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use nautilus_proto::common::v1::{Annotation, AnnotationFailure, AttributeValue};

    use super::*;

    fn extracted(told: Value) -> Vec<DocumentFailure> {
        let value = AttributeValue { value: Some(told) };
        let attributes = [(EXTRACTION_FAILURE.to_owned(), value)].into();
        in_metadata(DocumentMetadata { attributes, ..DocumentMetadata::default() })
    }

    fn failure(stage: &str, reason: &str, detail: &str) -> DocumentFailure {
        let [stage, reason, detail] = [stage, reason, detail].map(str::to_owned);
        DocumentFailure { stage, reason, detail }
    }

    #[test]
    fn an_application_says_what_it_could_not_read() {
        let told = |text: &str| extracted(Value::Text(text.to_owned()));
        assert_eq!(told("NO_PARTS_2: a: b"), [failure("extract", "NO_PARTS_2", "a: b")]);
        assert_eq!(told("Oh: no"), [failure("extract", "FAILED", "Oh: no")]);
        assert_eq!(told(&format!("A: {}", "é".repeat(1_000)))[0].detail.len(), 1_024);
        assert_eq!(extracted(Value::Flag(true)), []);
    }

    #[test]
    fn an_annotation_without_values_says_why() {
        let failed = AnnotationFailure { reason: "PANICKED".to_owned(), detail: "so".to_owned() };
        let annotations = [
            ("dates".to_owned(), Annotation { failure: Some(failed), ..Annotation::default() }),
            ("title".to_owned(), Annotation::default()),
        ];
        let metadata =
            DocumentMetadata { annotations: annotations.into(), ..DocumentMetadata::default() };
        assert_eq!(in_metadata(metadata), [failure("annotate/dates", "PANICKED", "so")]);
    }
}
