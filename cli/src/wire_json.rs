//! Answers as JSON: the field names of the `.proto` files, enums as their names, hashes as hex.

use nautilus_proto::common::v1::{
    Annotation, AttributeValue, DocumentMetadata, Field, Stage, attribute_value,
};
use nautilus_proto::search::v1::{
    AttemptExplanation, Coverage, Document, Explanation, Highlight, Hit, PartitionExplanation,
    SearchResponse, SuggestResponse, Timing,
};
use serde_json::{Map, Value, json};

/// Suggestions.
pub(crate) fn suggest_response(answer: &SuggestResponse) -> Value {
    let suggestions = answer.suggestions.iter();
    json!({
        "suggestions": suggestions
            .map(|one| json!({ "text": one.text, "word": one.word, "documents": one.documents }))
            .collect::<Vec<_>>(),
        "truncated": answer.truncated,
        "coverage": answer.coverage.as_ref().map(coverage),
    })
}

fn coverage(coverage: &Coverage) -> Value {
    let missing = coverage.missing.iter();
    json!({
        "complete": coverage.complete,
        "partitions_asked": coverage.partitions_asked,
        "partitions_answered": coverage.partitions_answered,
        "build": coverage.build,
        "missing": missing
            .map(|one| json!({ "partition": one.partition, "reason": one.reason }))
            .collect::<Vec<_>>(),
    })
}

/// A search's answer.
pub(crate) fn search_response(answer: &SearchResponse) -> Value {
    json!({
        "hits": answer.hits.iter().map(hit).collect::<Vec<_>>(),
        "total_hits": answer.total_hits,
        "relaxed": answer.relaxed,
        "truncated": answer.truncated,
        "coverage": answer.coverage.as_ref().map(coverage),
        "timing": answer.timing.as_ref().map(timing),
        "consistency_token": answer.consistency_token,
        "next_page_token": answer.next_page_token,
        "explanation": answer.explanation.as_ref().map(explanation),
    })
}

fn timing(timing: &Timing) -> Value {
    json!({
        "total_us": timing.total_us,
        "unaccounted_us": timing.unaccounted_us,
        "stages": timing.stages.iter().map(stage).collect::<Vec<_>>(),
    })
}

fn stage(one: &Stage) -> Value {
    json!({
        "name": one.name,
        "duration_us": one.duration_us,
        "children": one.children.iter().map(stage).collect::<Vec<_>>(),
    })
}

fn explanation(explanation: &Explanation) -> Value {
    let terms = explanation.terms.iter();
    json!({
        "query": explanation.query,
        "namespaces": explanation.namespaces,
        "timing": explanation.timing.as_ref().map(timing),
        "partitions": explanation.partitions.iter().map(partition).collect::<Vec<_>>(),
        "documents": explanation.documents,
        "total_length": explanation.total_length,
        "terms": terms
            .map(|one| json!({ "term": one.term, "documents": one.documents }))
            .collect::<Vec<_>>(),
    })
}

fn partition(one: &PartitionExplanation) -> Value {
    let attempt = |one: &AttemptExplanation| {
        json!({
            "leaf": one.leaf,
            "replica_group": one.replica_group,
            "reason": one.reason,
            "outcome": one.outcome,
            "start_us": one.start_us,
            "duration_us": one.duration_us,
        })
    };
    json!({
        "partition": one.partition,
        "replica_group": one.replica_group,
        "leaf": one.leaf,
        "epoch": one.epoch,
        "build": one.build,
        "next_offset": one.next_offset,
        "rows_scanned": one.rows_scanned,
        "total_hits": one.total_hits,
        "truncated": one.truncated,
        "queue_us": one.queue_us,
        "search_us": one.search_us,
        "round_trip_us": one.round_trip_us,
        "attempts": one.attempts.iter().map(attempt).collect::<Vec<_>>(),
    })
}

fn hit(hit: &Hit) -> Value {
    json!({
        "namespace": hit.namespace,
        "document_id": hit.document_id,
        "score": hit.score,
        "title": hit.title,
        "path": hit.path,
        "metadata": hit.metadata.as_ref().map(metadata),
        "version": hit.version,
        "highlights": hit.highlights.iter().map(highlight).collect::<Vec<_>>(),
        "body": hit.body,
        "mount_path": hit.mount_path,
    })
}

fn highlight(highlight: &Highlight) -> Value {
    let field = Field::try_from(highlight.field).unwrap_or(Field::Unspecified);
    let ranges = highlight.ranges.iter();
    json!({
        "field": field.as_str_name(),
        "text": highlight.text,
        "ranges": ranges
            .map(|range| json!({ "start": range.start, "end": range.end }))
            .collect::<Vec<_>>(),
    })
}

/// A document as stored.
pub(crate) fn document(document: &Document) -> Value {
    json!({
        "namespace": document.namespace,
        "document_id": document.document_id,
        "version": document.version,
        "title": document.title,
        "path": document.path,
        "body": document.body,
        "metadata": document.metadata.as_ref().map(metadata),
        "content_hash": hex(&document.content_hash),
    })
}

fn metadata(metadata: &DocumentMetadata) -> Value {
    let attributes: Map<String, Value> =
        metadata.attributes.iter().map(|(key, value)| (key.clone(), attribute(value))).collect();
    let annotations: Map<String, Value> =
        metadata.annotations.iter().map(|(name, one)| (name.clone(), annotation(one))).collect();
    json!({
        "created_unix_ms": metadata.created_unix_ms,
        "modified_unix_ms": metadata.modified_unix_ms,
        "size_bytes": metadata.size_bytes,
        "media_type": metadata.media_type,
        "attributes": attributes,
        "annotations": annotations,
    })
}

fn annotation(annotation: &Annotation) -> Value {
    let values: Map<String, Value> =
        annotation.values.iter().map(|(key, value)| (key.clone(), attribute(value))).collect();
    let failure = annotation.failure.as_ref();
    json!({
        "version": annotation.version,
        "values": values,
        "failure": failure.map(|one| json!({ "reason": one.reason, "detail": one.detail })),
    })
}

/// An attribute as the plain JSON value it is.
pub(crate) fn attribute(value: &AttributeValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(attribute_value::Value::Text(text)) => json!(text),
        Some(attribute_value::Value::Integer(number)) => json!(number),
        Some(attribute_value::Value::Number(number)) => json!(number),
        Some(attribute_value::Value::Flag(flag)) => json!(flag),
    }
}

/// Bytes as hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_and_hashes_are_plain_values() {
        let value = |value| AttributeValue { value: Some(value) };
        assert_eq!(attribute(&value(attribute_value::Value::Flag(true))), json!(true));
        assert_eq!(attribute(&value(attribute_value::Value::Integer(-3))), json!(-3));
        assert_eq!(attribute(&AttributeValue { value: None }), Value::Null);
        assert_eq!(hex(&[0, 171, 255]), "00abff");
    }
}
