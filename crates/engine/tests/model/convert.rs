//! A record of a history as each engine understands it.

use nautilus_engine as engine;
use nautilus_reference_engine as reference;

use super::history::{Change, Condition, Document, Extra, Record, Text};

pub(crate) fn to_engine(record: &Record) -> engine::Mutation {
    let condition = |condition: &Option<Condition>| {
        condition.map(|condition| match condition {
            Condition::Absent => engine::Condition::Absent,
            Condition::Version(version) => engine::Condition::Version(version),
        })
    };
    let attributes = |extra: &Extra| {
        let [size_bytes, created_unix_ms, modified_unix_ms] = extra.numbers;
        engine::Attributes { size_bytes, created_unix_ms, modified_unix_ms }
    };
    let operation = match &record.change {
        Change::Upsert { id, version, condition: when, document: Document { text, extra } } => {
            engine::Operation::Upsert(engine::Upsert {
                document_id: id.clone(),
                version: *version,
                condition: condition(when),
                content_hash: [7; 16],
                title: text.title.clone(),
                path: text.path.clone(),
                body: text.body.clone(),
                metadata: extra.metadata.clone(),
                attributes: attributes(extra),
            })
        }
        Change::Patch { id, version, condition: when, title, path, body, extra } => {
            engine::Operation::Patch(engine::Patch {
                document_id: id.clone(),
                version: *version,
                condition: condition(when),
                content_hash: [8; 16],
                title: title.clone(),
                path: path.clone(),
                body: body.clone(),
                metadata: extra.as_ref().map(|extra| extra.metadata.clone()),
                attributes: extra.as_ref().map(attributes).unwrap_or_default(),
            })
        }
        Change::Delete { id, version, condition: when } => {
            engine::Operation::Delete(engine::Delete {
                document_id: id.clone(),
                version: *version,
                condition: condition(when),
            })
        }
        Change::DeleteNamespace => engine::Operation::DeleteNamespace,
    };
    engine::Mutation {
        namespace: record.namespace.clone(),
        incarnation: record.incarnation,
        operation,
    }
}

pub(crate) fn to_reference(record: &Record) -> reference::Mutation {
    let expected = |condition: &Option<Condition>| {
        condition.map(|condition| match condition {
            Condition::Absent => reference::ExpectedVersion::Absent,
            Condition::Version(version) => reference::ExpectedVersion::Exactly(version),
        })
    };
    let metadata = |extra: &Extra| {
        let [size_bytes, created_unix_ms, modified_unix_ms] = extra.numbers;
        let attributes = reference::Attributes { size_bytes, created_unix_ms, modified_unix_ms };
        reference::Metadata { bytes: extra.metadata.clone(), attributes }
    };
    let (namespace, incarnation) = (record.namespace.clone(), record.incarnation);
    match &record.change {
        Change::Upsert { id, version, condition, document: Document { text, extra } } => {
            let Text { title, path, body } = text.clone();
            reference::Mutation::Upsert {
                namespace,
                incarnation,
                id: id.clone(),
                version: *version,
                expected: expected(condition),
                text: reference::Text { title, path, body },
                metadata: metadata(extra),
            }
        }
        Change::Patch { id, version, condition, title, path, body, extra } => {
            reference::Mutation::Patch {
                namespace,
                incarnation,
                id: id.clone(),
                version: *version,
                expected: expected(condition),
                parts: reference::Parts {
                    title: title.clone(),
                    path: path.clone(),
                    body: body.clone(),
                    metadata: extra.as_ref().map(metadata),
                },
            }
        }
        Change::Delete { id, version, condition } => reference::Mutation::Delete {
            namespace,
            incarnation,
            id: id.clone(),
            version: *version,
            expected: expected(condition),
        },
        Change::DeleteNamespace => reference::Mutation::DeleteNamespace { namespace, incarnation },
    }
}
