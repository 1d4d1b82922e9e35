//! Log records to mutations. Pure; a record that is not understood is an error, never skipped.

use nautilus_engine::{Condition, Delete, Mutation, Operation, Patch, Upsert};
use nautilus_mutation_log::LogIdentity;
use nautilus_proto::common::v1::DocumentMetadata;
use nautilus_proto::log::v1::condition::Condition as ConditionKind;
use nautilus_proto::log::v1::{self as log, MutationRecord, mutation_record};
use nautilus_types::{
    DocumentId, Incarnation, InvalidId, NamespaceName, Offset, PartitionId, PartitionMap,
};
use prost::Message as _;

use crate::convert::attributes;

/// The newest record layout this program understands.
const SCHEMA_VERSION_MAX: u32 = 1;

/// What a record asks of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// A change of stored documents.
    Mutation(Box<Mutation>),
    /// Nothing that is stored changes.
    PassOver,
    /// The record at this offset counts for nothing, because it stopped appliers.
    Skip {
        /// Its offset.
        skipped: Offset,
    },
}

/// Why a record cannot be applied.
///
/// Either the record is at fault, for every reader of this schema version alike, or reader and log do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("the record is no mutation record: {0}")]
    Malformed(String),
    #[error("the record has schema version {0}, this program understands {SCHEMA_VERSION_MAX}")]
    NewerSchema(u32),
    #[error("the record belongs to another cluster or log generation")]
    OtherLog,
    #[error("the record's namespace belongs to partition {0}")]
    OtherPartition(PartitionId),
    #[error("the record lacks its {0}")]
    Missing(&'static str),
    #[error("the record's {0}")]
    Id(#[from] InvalidId),
}

impl RecordError {
    /// Whether the record itself is at fault. Otherwise this reader may be: it is old, or was given the wrong log or
    /// map, and would pass over what others apply.
    pub(crate) fn is_of_record(&self) -> bool {
        match self {
            Self::Malformed(_) | Self::Missing(_) | Self::Id(_) => true,
            Self::NewerSchema(_) | Self::OtherLog | Self::OtherPartition(_) => false,
        }
    }
}

/// Which log and partition records must belong to.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    pub(crate) log: LogIdentity,
    pub(crate) map: PartitionMap,
    pub(crate) partition: PartitionId,
}

impl Decoder {
    /// The payload of the decision to pass over the record at `skipped`.
    pub(crate) fn encode_skip(&self, skipped: Offset, reason: &str, now_unix_ms: u64) -> Vec<u8> {
        let skip = log::Skip { skipped_offset: skipped.0, reason: reason.to_owned() };
        MutationRecord {
            schema_version: SCHEMA_VERSION_MAX,
            cluster_id: self.log.cluster_id.to_vec(),
            log_generation: self.log.generation.0,
            accepted_unix_ms: i64::try_from(now_unix_ms).unwrap_or(i64::MAX),
            operation: Some(mutation_record::Operation::Skip(skip)),
            ..MutationRecord::default()
        }
        .encode_to_vec()
    }

    /// Decodes and checks one record.
    pub(crate) fn decode(&self, payload: &[u8]) -> Result<Decoded, RecordError> {
        let record = MutationRecord::decode(payload)
            .map_err(|error| RecordError::Malformed(error.to_string()))?;
        if record.schema_version == 0 {
            return Err(RecordError::Missing("schema version"));
        }
        if record.schema_version > SCHEMA_VERSION_MAX {
            return Err(RecordError::NewerSchema(record.schema_version));
        }
        if record.cluster_id != self.log.cluster_id
            || record.log_generation != self.log.generation.0
        {
            return Err(RecordError::OtherLog);
        }
        let operation = record.operation.ok_or(RecordError::Missing("operation"))?;
        let operation = match operation {
            mutation_record::Operation::Upsert(upsert) => Operation::Upsert(decode_upsert(upsert)?),
            mutation_record::Operation::Patch(patch) => Operation::Patch(decode_patch(patch)?),
            mutation_record::Operation::Delete(delete) => Operation::Delete(Delete {
                document_id: DocumentId::new(delete.document_id)?,
                version: delete.version,
                condition: condition(delete.condition)?,
            }),
            mutation_record::Operation::DeleteNamespace(_) => Operation::DeleteNamespace,
            mutation_record::Operation::Activity(_) => return Ok(Decoded::PassOver),
            mutation_record::Operation::Skip(skip) => {
                return Ok(Decoded::Skip { skipped: Offset(skip.skipped_offset) });
            }
        };
        let namespace = record.namespace.ok_or(RecordError::Missing("namespace"))?;
        let incarnation = Incarnation(namespace.incarnation);
        let namespace = NamespaceName::new(namespace.name)?;
        let partition = self.map.partition_of(&namespace);
        if partition != self.partition {
            return Err(RecordError::OtherPartition(partition));
        }
        Ok(Decoded::Mutation(Box::new(Mutation { namespace, incarnation, operation })))
    }
}

fn decode_upsert(upsert: log::Upsert) -> Result<Upsert, RecordError> {
    Ok(Upsert {
        document_id: DocumentId::new(upsert.document_id)?,
        version: upsert.version,
        condition: condition(upsert.condition)?,
        content_hash: content_hash(&upsert.content_hash)?,
        title: upsert.title,
        path: upsert.path,
        body: upsert.body,
        attributes: upsert.metadata.as_ref().map(attributes).unwrap_or_default(),
        metadata: upsert.metadata.unwrap_or_default().encode_to_vec(),
    })
}

fn decode_patch(patch: log::Patch) -> Result<Patch, RecordError> {
    Ok(Patch {
        document_id: DocumentId::new(patch.document_id)?,
        version: patch.version,
        condition: condition(patch.condition)?,
        content_hash: content_hash(&patch.content_hash)?,
        title: patch.title,
        path: patch.path,
        body: patch.body,
        attributes: patch.metadata.as_ref().map(attributes).unwrap_or_default(),
        metadata: patch.metadata.as_ref().map(DocumentMetadata::encode_to_vec),
    })
}

fn condition(condition: Option<log::Condition>) -> Result<Option<Condition>, RecordError> {
    let Some(condition) = condition else { return Ok(None) };
    match condition.condition {
        Some(ConditionKind::Absent(true)) => Ok(Some(Condition::Absent)),
        Some(ConditionKind::Version(version)) => Ok(Some(Condition::Version(version))),
        // A condition of a kind that this program does not know must not be taken for none.
        Some(ConditionKind::Absent(false)) | None => Err(RecordError::Missing("condition")),
    }
}

fn content_hash(bytes: &[u8]) -> Result<[u8; 16], RecordError> {
    bytes.try_into().map_err(|_| RecordError::Missing("content hash"))
}

#[cfg(test)]
mod tests {
    use nautilus_proto::common::v1::NamespaceRef;
    use nautilus_types::LogGeneration;
    use proptest::prelude::*;

    use super::*;

    fn decoder() -> Decoder {
        let log = LogIdentity { cluster_id: [1; 16], generation: LogGeneration(7), partitions: 1 };
        Decoder { log, map: PartitionMap::divided(1), partition: PartitionId(0) }
    }

    fn record() -> MutationRecord {
        MutationRecord {
            schema_version: 1,
            cluster_id: vec![1; 16],
            log_generation: 7,
            namespace: Some(NamespaceRef { name: b"team".to_vec(), incarnation: 3 }),
            operation: Some(mutation_record::Operation::Delete(log::Delete {
                document_id: b"1".to_vec(),
                version: Some(4),
                condition: None,
            })),
            ..MutationRecord::default()
        }
    }

    fn refused(change: impl FnOnce(&mut MutationRecord)) -> RecordError {
        let mut record = record();
        change(&mut record);
        decoder().decode(&record.encode_to_vec()).expect_err("refused")
    }

    #[test]
    fn a_sound_record_becomes_its_mutation() {
        let decoded = decoder().decode(&record().encode_to_vec()).expect("decodes");
        let Decoded::Mutation(mutation) = decoded else { panic!("{decoded:?}") };
        assert_eq!(mutation.incarnation, Incarnation(3));
        assert!(matches!(mutation.operation, Operation::Delete(Delete { version: Some(4), .. })));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert_eq!(refused(|r| r.schema_version = 0), RecordError::Missing("schema version"));
        assert_eq!(refused(|r| r.schema_version = 2), RecordError::NewerSchema(2));
        assert_eq!(refused(|r| r.cluster_id = vec![2; 16]), RecordError::OtherLog);
        assert_eq!(refused(|r| r.log_generation = 8), RecordError::OtherLog);
        assert_eq!(refused(|r| r.operation = None), RecordError::Missing("operation"));
        assert_eq!(refused(|r| r.namespace = None), RecordError::Missing("namespace"));
        let unknown = log::Condition { condition: None };
        let with_condition = |r: &mut MutationRecord| {
            if let Some(mutation_record::Operation::Delete(delete)) = &mut r.operation {
                delete.condition = Some(unknown);
            }
        };
        assert_eq!(refused(with_condition), RecordError::Missing("condition"));
    }

    #[test]
    fn a_decision_reads_back() {
        let payload = decoder().encode_skip(Offset(8), "why", 9);
        assert_eq!(decoder().decode(&payload), Ok(Decoded::Skip { skipped: Offset(8) }));
    }

    #[test]
    fn only_the_record_itself_can_be_at_fault_for_everybody() {
        assert!(refused(|r| r.operation = None).is_of_record());
        assert!(refused(|r| r.schema_version = 0).is_of_record());
        assert!(!refused(|r| r.schema_version = 2).is_of_record());
        assert!(!refused(|r| r.log_generation = 8).is_of_record());
        assert!(!RecordError::OtherPartition(PartitionId(1)).is_of_record());
    }

    #[test]
    fn another_partitions_record_is_refused() {
        let map = PartitionMap::divided(64);
        let name = NamespaceName::new("team").expect("valid");
        let home = map.partition_of(&name);
        let elsewhere = PartitionId((home.0 + 1) % 64);
        let decoder = Decoder { map, partition: elsewhere, ..decoder() };
        let error = decoder.decode(&record().encode_to_vec()).expect_err("refused");
        assert_eq!(error, RecordError::OtherPartition(home));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _: Result<Decoded, RecordError> = decoder().decode(&bytes);
        }
    }
}
