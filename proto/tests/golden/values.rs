//! The values behind the golden files: every field set, to something other than its default.

use std::collections::BTreeMap;

use nautilus_proto::common::v1::{
    Annotation, AnnotationFailure, AttributeValue, DocumentMetadata, NamespaceRef,
    attribute_value::Value,
};
use nautilus_proto::log::v1::{
    Activity, Condition, Delete, DeleteNamespace, MutationRecord, Patch, Skip, Upsert,
    condition::Condition as Holds, mutation_record::Operation,
};
use nautilus_proto::snapshot::v1::{Manifest, SlotRange, SnapshotFile, Upload};

/// Every operation of the log with the name of its file.
pub(crate) fn records() -> Vec<(&'static str, MutationRecord)> {
    vec![
        ("upsert", record(Operation::Upsert(upsert()))),
        ("annotated_upsert", record(Operation::Upsert(annotated_upsert()))),
        ("patch", record(Operation::Patch(patch()))),
        ("delete", record(Operation::Delete(delete()))),
        ("delete_namespace", record(Operation::DeleteNamespace(DeleteNamespace {}))),
        ("activity", record(Operation::Activity(activity()))),
        ("skip", record(Operation::Skip(skip()))),
    ]
}

/// The snapshot manifest.
pub(crate) fn manifest() -> Manifest {
    Manifest {
        manifest_version: 1,
        min_reader_version: 1,
        cluster_id: (0..16).collect(),
        log_generation: 3,
        partition: 2,
        slots: vec![
            SlotRange { first: 8192, last: 12_287 },
            SlotRange { first: 16_383, last: 16_383 },
        ],
        map_version: 4,
        build: "2026-11-03-a".to_owned(),
        epoch: 17,
        uploader: "leaf-7".to_owned(),
        created_unix_ms: 1_793_700_000_123,
        next_offset: 18_446_744_073_709_551_615,
        last_record_fingerprint: vec![0xfe; 16],
        format_version: 1,
        analyzer_version: 1,
        documents: 123_456_789,
        document_digest: vec![0x11; 16],
        posting_digest: vec![0x22; 16],
        files: vec![
            SnapshotFile {
                name: "000012.sst".to_owned(),
                size_bytes: 4096,
                sha256: vec![0x33; 32],
                stored_in: 0,
            },
            SnapshotFile {
                name: "CURRENT".to_owned(),
                size_bytes: 16,
                sha256: vec![0x44; 32],
                stored_in: 0,
            },
        ],
        uploads: Vec::new(),
    }
}

/// A manifest whose first file lies with an earlier upload.
pub(crate) fn manifest_with_uploads() -> Manifest {
    let mut manifest = manifest();
    (manifest.manifest_version, manifest.min_reader_version) = (2, 2);
    manifest.files[0].stored_in = 1;
    manifest.uploads = vec![Upload { snapshot: "earlier".to_owned(), upload_id: vec![0x55; 16] }];
    manifest
}

fn record(operation: Operation) -> MutationRecord {
    MutationRecord {
        schema_version: 1,
        cluster_id: (0..16).collect(),
        log_generation: 3,
        // Names and ids are any bytes.
        namespace: Some(NamespaceRef { name: b"team|\x00\xff".to_vec(), incarnation: 9 }),
        trace_context: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        accepted_unix_ms: 1_793_700_000_123,
        operation: Some(operation),
    }
}

fn upsert() -> Upsert {
    Upsert {
        document_id: b"doc\x00\x01".to_vec(),
        version: Some(0),
        condition: Some(Condition { condition: Some(Holds::Absent(true)) }),
        content_hash: (16..32).collect(),
        title: "Gezeiten".to_owned(),
        path: "notes/tide.md".to_owned(),
        body: "low at noon, high at six".to_owned(),
        metadata: Some(metadata()),
    }
}

fn patch() -> Patch {
    Patch {
        document_id: b"doc\x00\x01".to_vec(),
        version: Some(u64::MAX),
        condition: Some(Condition { condition: Some(Holds::Version(12)) }),
        content_hash: (16..32).collect(),
        // Given and empty is not the same as not given.
        title: Some(String::new()),
        path: Some("notes/tides.md".to_owned()),
        body: Some("low at one".to_owned()),
        metadata: Some(metadata()),
    }
}

fn delete() -> Delete {
    Delete {
        document_id: b"doc\x00\x01".to_vec(),
        version: Some(13),
        condition: Some(Condition { condition: Some(Holds::Version(12)) }),
    }
}

fn activity() -> Activity {
    Activity {
        document_id: b"doc\x00\x01".to_vec(),
        at_unix_ms: 1_793_700_000_456,
        kind: "opened".to_owned(),
        weight: 5,
    }
}

fn skip() -> Skip {
    Skip { skipped_offset: 4_294_967_296, reason: "killed its applier twice".to_owned() }
}

/// As written by a gateway that runs annotators.
fn annotated_upsert() -> Upsert {
    let text = |text: &str| AttributeValue { value: Some(Value::Text(text.to_owned())) };
    let failure =
        AnnotationFailure { reason: "TIME_LIMIT".to_owned(), detail: "took too long".to_owned() };
    let annotations = [
        ("dates", Annotation { version: 2, values: BTreeMap::new(), failure: Some(failure) }),
        (
            "language",
            Annotation {
                version: 1,
                values: [("code".to_owned(), text("nob"))].into(),
                failure: None,
            },
        ),
    ];
    let annotations = annotations.map(|(name, one)| (name.to_owned(), one)).into();
    let metadata = DocumentMetadata { annotations, ..metadata() };
    Upsert { metadata: Some(metadata), ..upsert() }
}

fn metadata() -> DocumentMetadata {
    let attributes = [
        ("colour", Value::Text("blå".to_owned())),
        ("edits", Value::Integer(-1)),
        ("share", Value::Number(0.25)),
        ("starred", Value::Flag(true)),
    ];
    let attributes = attributes
        .into_iter()
        .map(|(key, value)| (key.to_owned(), AttributeValue { value: Some(value) }));
    DocumentMetadata {
        created_unix_ms: -1,
        modified_unix_ms: 1_793_699_999_999,
        size_bytes: 8_589_934_592,
        media_type: "text/markdown".to_owned(),
        attributes: attributes.collect(),
        ..DocumentMetadata::default()
    }
}
