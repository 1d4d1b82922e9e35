//! From a checked write to the bytes of its log record. Pure.

use bytes::Bytes;
use nautilus_mutation_log::LogIdentity;
use nautilus_proto::common::v1::NamespaceRef;
use nautilus_proto::log::v1::{
    Condition, Delete, DeleteNamespace, MutationRecord, Upsert, condition::Condition as Holds,
    mutation_record::Operation,
};
use nautilus_types::{Incarnation, NamespaceName};
use prost::Message as _;

use crate::validate::{ValidCondition, ValidOperation, ValidWrite};

/// Version of the record's layout that is written (`docs/formats/mutation-record.md`).
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// What all records of one request share.
#[derive(Debug, Clone)]
pub(crate) struct Origin<'a> {
    /// The log they go to.
    pub(crate) log: &'a LogIdentity,
    /// W3C `traceparent`, or empty.
    pub(crate) trace_context: &'a str,
    /// When the gateway took them.
    pub(crate) accepted_unix_ms: u64,
}

impl Origin<'_> {
    /// The record of a write to this life of its namespace.
    pub(crate) fn write(&self, incarnation: Incarnation, write: ValidWrite) -> Bytes {
        let document_id = write.document_id.as_bytes().to_vec();
        let (version, condition) = (write.version, write.condition.map(condition));
        let operation = match write.operation {
            ValidOperation::Upsert { content, content_hash } => Operation::Upsert(Upsert {
                document_id,
                version,
                condition,
                content_hash: content_hash.to_vec(),
                title: content.title,
                path: content.path,
                body: content.body,
                metadata: content.metadata,
            }),
            ValidOperation::Delete => Operation::Delete(Delete { document_id, version, condition }),
        };
        self.record(&write.namespace, incarnation, operation)
    }

    /// The record that ends this life of the namespace.
    pub(crate) fn delete_namespace(&self, name: &NamespaceName, incarnation: Incarnation) -> Bytes {
        self.record(name, incarnation, Operation::DeleteNamespace(DeleteNamespace {}))
    }

    fn record(&self, name: &NamespaceName, life: Incarnation, operation: Operation) -> Bytes {
        let record = MutationRecord {
            schema_version: SCHEMA_VERSION,
            cluster_id: self.log.cluster_id.to_vec(),
            log_generation: self.log.generation.0,
            namespace: Some(NamespaceRef { name: name.as_bytes().to_vec(), incarnation: life.0 }),
            trace_context: self.trace_context.to_owned(),
            accepted_unix_ms: i64::try_from(self.accepted_unix_ms).unwrap_or(i64::MAX),
            operation: Some(operation),
        };
        Bytes::from(record.encode_to_vec())
    }
}

fn condition(condition: ValidCondition) -> Condition {
    let holds = match condition {
        ValidCondition::Absent => Holds::Absent(true),
        ValidCondition::Version(version) => Holds::Version(version),
    };
    Condition { condition: Some(holds) }
}

/// A `traceparent` of W3C Trace Context (section 3.2): `00-<32 hex>-<16 hex>-<2 hex>`; anything else is
/// dropped, since it is kept for as long as the log.
pub(crate) fn trace_context(value: Option<&str>) -> &str {
    let is_well_formed = |value: &&str| {
        let parts: Vec<&str> = value.split('-').collect();
        let lengths = [2, 32, 16, 2];
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.len() == lengths.len()
            && parts.iter().zip(lengths).all(|(part, length)| part.len() == length)
            && parts.iter().all(|part| part.bytes().all(is_hex))
    };
    value.filter(is_well_formed).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use nautilus_proto::ingest::v1::DocumentContent;
    use nautilus_types::{DocumentId, LogGeneration};

    use super::*;

    fn identity() -> LogIdentity {
        LogIdentity { cluster_id: [7; 16], generation: LogGeneration(3), partitions: 4 }
    }

    fn write(operation: ValidOperation) -> ValidWrite {
        ValidWrite {
            namespace: NamespaceName::new("team").expect("valid"),
            document_id: DocumentId::new("tide").expect("valid"),
            version: Some(5),
            condition: Some(ValidCondition::Version(4)),
            operation,
        }
    }

    #[test]
    fn a_record_says_where_it_belongs_and_what_to_do() {
        let log = identity();
        let origin = Origin { log: &log, trace_context: "t", accepted_unix_ms: 99 };
        let content = DocumentContent { title: "Tide".to_owned(), ..DocumentContent::default() };
        let upsert = ValidOperation::Upsert { content, content_hash: [9; 16] };
        let bytes = origin.write(Incarnation(2), write(upsert));
        let record = MutationRecord::decode(bytes).expect("decodes");
        assert_eq!(record.schema_version, 1);
        assert_eq!((&*record.cluster_id, record.log_generation), (&[7; 16][..], 3));
        assert_eq!((&*record.trace_context, record.accepted_unix_ms), ("t", 99));
        let namespace = record.namespace.expect("there");
        assert_eq!((&*namespace.name, namespace.incarnation), (&b"team"[..], 2));
        let Some(Operation::Upsert(upsert)) = record.operation else { panic!("an upsert") };
        assert_eq!((&*upsert.document_id, &*upsert.title), (&b"tide"[..], "Tide"));
        assert_eq!((upsert.version, &*upsert.content_hash), (Some(5), &[9; 16][..]));
        assert_eq!(upsert.condition, Some(condition(ValidCondition::Version(4))));

        let bytes = origin.write(Incarnation(2), write(ValidOperation::Delete));
        let record = MutationRecord::decode(bytes).expect("decodes");
        assert!(
            matches!(record.operation, Some(Operation::Delete(delete)) if delete.version == Some(5))
        );

        let name = NamespaceName::new("team").expect("valid");
        let record = MutationRecord::decode(origin.delete_namespace(&name, Incarnation(8)));
        let record = record.expect("decodes");
        assert_eq!(record.namespace.map(|namespace| namespace.incarnation), Some(8));
        assert!(matches!(record.operation, Some(Operation::DeleteNamespace(_))));
    }

    #[test]
    fn only_a_traceparent_is_kept() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_context(Some(good)), good);
        for bad in [None, Some(""), Some("00-4bf9-00f0-01"), Some(&*good.to_uppercase())] {
            assert_eq!(trace_context(bad), "");
        }
    }
}
