//! Checkpoints taken while a writer and another flush go on: each is exactly a prefix of the log.

use std::sync::atomic::{AtomicBool, Ordering};

use nautilus_engine::{
    Attributes, Checkpoint, Delete, EngineError, Mutation, Operation, Partition, PartitionIdentity,
    Resources, ScopeEntry, SearchRequest, Unlimited, Upsert,
};
use nautilus_query::{FieldSet, Node};
use nautilus_reference_engine as reference;
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: [5; 16],
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};
const CHECKPOINTS: u64 = 12;
/// Between checkpoints, so that each meets a writer at work.
const RECORDS_PER_CHECKPOINT: u64 = 300;
/// Documents, written again and again.
const DOCUMENTS: u64 = 40;

fn no_attributes(_: &[u8]) -> Attributes {
    Attributes::default()
}

fn name() -> NamespaceName {
    NamespaceName::new("team").expect("valid")
}

fn id(offset: u64) -> DocumentId {
    DocumentId::new((offset * 7 % DOCUMENTS).to_string()).expect("valid")
}

fn body(offset: u64) -> String {
    format!("all since {}", offset % 5)
}

/// Every eleventh record deletes.
fn is_delete(offset: u64) -> bool {
    offset.is_multiple_of(11)
}

fn record(offset: u64) -> Mutation {
    let operation = if is_delete(offset) {
        Operation::Delete(Delete { document_id: id(offset), version: None, condition: None })
    } else {
        Operation::Upsert(Upsert {
            document_id: id(offset),
            version: None,
            condition: None,
            content_hash: [0; 16],
            title: String::new(),
            path: String::new(),
            body: body(offset),
            metadata: Vec::new(),
            attributes: Attributes {
                size_bytes: i64::try_from(offset).ok(),
                ..Attributes::default()
            },
        })
    };
    Mutation { namespace: name(), incarnation: Incarnation(1), operation }
}

fn reference_record(offset: u64) -> reference::Mutation {
    let (namespace, incarnation) = (name(), Incarnation(1));
    let (id, version, expected) = (id(offset), None, None);
    if is_delete(offset) {
        return reference::Mutation::Delete { namespace, incarnation, id, version, expected };
    }
    let text = reference::Text { body: body(offset), ..reference::Text::default() };
    let size_bytes = i64::try_from(offset).ok();
    let attributes = reference::Attributes { size_bytes, ..reference::Attributes::default() };
    let metadata = reference::Metadata { bytes: Vec::new(), attributes };
    reference::Mutation::Upsert { namespace, incarnation, id, version, expected, text, metadata }
}

/// Opens the checkpoint and compares what it finds with the reference engine at its offset.
fn check(dir: &std::path::Path, checkpoint: Checkpoint, resources: &Resources) {
    let (partition, writer) =
        Partition::open(dir, &IDENTITY, resources, no_attributes).expect("opens");
    assert_eq!(writer.next_offset(), checkpoint.next_offset);
    let mut model = reference::ReferenceEngine::new();
    for offset in 0..checkpoint.next_offset.0 {
        model.apply(Offset(offset), &reference_record(offset));
    }
    let entry = ScopeEntry { namespace: name(), incarnation: Incarnation(1) };
    let scope = [(name(), Incarnation(1))];
    let ids = model.document_ids(&name(), Incarnation(1));
    assert_eq!(checkpoint.documents, ids.len() as u64);
    for token in ["all", "0", "3"] {
        let query = Node::Term { fields: FieldSet::ALL, token: token.to_owned() };
        let entries = [entry.clone()];
        let request = SearchRequest::new(&entries, &query, 1_000);
        let found = partition.searcher().search(&request, &mut Unlimited).expect("searches");
        assert_eq!(found.next_offset, checkpoint.next_offset);
        let found: Vec<_> =
            found.candidates.into_iter().map(|hit| (hit.document_id, hit.score)).collect();
        let expected = model.search(&scope, &query, 1_000).into_iter();
        assert_eq!(found, expected.map(|hit| (hit.id, hit.score)).collect::<Vec<_>>());
    }
}

#[test]
fn a_checkpoint_is_the_log_up_to_its_offset() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(8 << 20, 8 << 20);
    let (partition, mut writer) =
        Partition::open(&folder.path().join("p0"), &IDENTITY, &resources, no_attributes)
            .expect("opens");
    let is_done = AtomicBool::new(false);
    let taken: Vec<_> = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                let offset = writer.next_offset();
                writer.apply(offset, &record(offset.0)).expect("applies");
            }
        });
        scope.spawn(|| {
            while !is_done.load(Ordering::Acquire) {
                partition.flush().expect("flushes");
            }
        });
        let taken = (0..CHECKPOINTS)
            .map(|number| {
                let next = || partition.searcher().next_offset().expect("a label");
                while next().0 < number * RECORDS_PER_CHECKPOINT && !writing.is_finished() {
                    std::thread::yield_now();
                }
                let (dir, begun_at) = (folder.path().join(format!("c{number}")), next());
                let checkpoint = partition.checkpoint(&dir).expect("takes a checkpoint");
                (dir, begun_at, checkpoint)
            })
            .collect();
        is_done.store(true, Ordering::Release);
        taken
    });
    let later = taken.iter().filter(|(_, begun_at, taken)| taken.next_offset > *begun_at).count();
    println!("{CHECKPOINTS} checkpoints, {later} with records applied after they had begun");
    for (dir, begun_at, checkpoint) in taken {
        assert!(
            begun_at <= checkpoint.next_offset && checkpoint.next_offset <= writer.next_offset()
        );
        assert!(partition.durable_offset() >= checkpoint.next_offset);
        check(&dir, checkpoint, &resources);
    }
}

#[test]
fn a_checkpoint_of_nothing_and_one_that_is_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(1 << 20, 1 << 20);
    let (partition, _) =
        Partition::open(&folder.path().join("p0"), &IDENTITY, &resources, no_attributes)
            .expect("opens");
    let dir = folder.path().join("c0");
    let checkpoint = partition.checkpoint(&dir).expect("takes a checkpoint");
    assert_eq!(checkpoint, Checkpoint { next_offset: Offset(0), documents: 0 });
    let refused = partition.checkpoint(&dir).expect_err("refused");
    assert!(matches!(refused, EngineError::Folder { operation: "create", .. }), "{refused}");
    check(&dir, checkpoint, &resources);
}
