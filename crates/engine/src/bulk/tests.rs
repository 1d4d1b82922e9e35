use nautilus_types::{DocumentId, LogGeneration, PartitionId};
use proptest::prelude::*;

use super::*;
use crate::digest::{Depth, Digests};
use crate::mutation::{Attributes, Delete, Mutation, Operation};
use crate::{Partition, Writer, scrub};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: [3; 16],
    log_generation: LogGeneration(1),
    partition: PartitionId(7),
};

/// Where the log stands when a build begins.
const LOG_END: Offset = Offset(1_000);

#[derive(Debug, Clone)]
struct Document {
    namespace: NamespaceName,
    upsert: Upsert,
}

/// Few names, ids and versions, so that they meet; words that are common, escaped, folded and cut.
fn document() -> impl Strategy<Value = Document> {
    let text = |words| {
        let word = prop::sample::select(vec![
            "of",
            "the",
            "you",
            "Fox",
            "fox",
            "été",
            "東京都",
            "x1",
            "don't",
            "\u{0}",
            "longer",
        ]);
        prop::collection::vec(word, 0..words).prop_map(|words| words.join(" "))
    };
    let ids = (0..3_u8, 0..12_u8, prop::option::weighted(0.3, 0..4_u64));
    let numbers = (any::<[u8; 16]>(), prop::option::of(any::<i64>()), any::<u8>());
    (ids, text(4), text(3), text(40), numbers).prop_map(
        |((name, id, version), title, path, body, (content_hash, size_bytes, metadata))| Document {
            namespace: NamespaceName::new(format!("namespace-{name}")).expect("valid"),
            upsert: Upsert {
                document_id: DocumentId::new(format!("d{id}")).expect("valid"),
                version,
                condition: None,
                content_hash,
                title,
                path,
                body,
                metadata: vec![metadata],
                attributes: Attributes { size_bytes, ..Attributes::default() },
            },
        },
    )
}

fn open(dir: &Path, resources: &Resources) -> (Partition, Writer) {
    Partition::open(dir, &IDENTITY, resources, |_| Attributes::default()).expect("opens")
}

fn digests(partition: &Partition) -> Digests {
    let digests = partition.searcher().digests(Depth::Derive, &mut |_| true);
    digests.expect("sound").expect("goes on")
}

fn fed(dir: &Path, resources: &Resources, documents: &[Document]) -> (Partition, Writer) {
    let (partition, mut writer) = open(dir, resources);
    for (offset, document) in (0..).zip(documents) {
        let operation = Operation::Upsert(document.upsert.clone());
        let namespace = document.namespace.clone();
        let mutation = Mutation { namespace, incarnation: Incarnation(2), operation };
        writer.apply(Offset(offset), &mutation).expect("applies");
    }
    (partition, writer)
}

/// With runs after every few documents, or none at all.
fn built(
    dir: &Path,
    resources: &Resources,
    documents: &[Document],
    has_runs: bool,
) -> Result<BulkSummary, EngineError> {
    let mut builder = BulkBuilder::create(dir, &IDENTITY, Analyzer::new(), resources, 64 << 20)?;
    if has_runs {
        builder.inversion_bytes_max = 2_000;
        builder.spools = DocumentSpools::new(&builder.places.runs(), 1_000);
    }
    for (offset, document) in (0..).zip(documents) {
        let Document { namespace, upsert } = document;
        builder.add(namespace, Incarnation(2), Offset(offset), upsert)?;
    }
    builder.finish(LOG_END)
}

fn edit(writer: &mut Writer, partition: &Partition) {
    let operations = [
        Operation::Delete(Delete {
            document_id: DocumentId::new("d1").expect("valid"),
            version: None,
            condition: None,
        }),
        Operation::Upsert(Upsert {
            document_id: DocumentId::new("d2").expect("valid"),
            version: None,
            condition: None,
            content_hash: [9; 16],
            title: "of the".to_owned(),
            path: String::new(),
            body: "fox in the box".to_owned(),
            metadata: Vec::new(),
            attributes: Attributes::default(),
        }),
    ];
    for (offset, operation) in (2_000..).zip(operations) {
        let namespace = NamespaceName::new("namespace-1").expect("valid");
        let mutation = Mutation { namespace, incarnation: Incarnation(2), operation };
        writer.apply(Offset(offset), &mutation).expect("applies");
    }
    partition.flush().expect("flushes");
    partition.compact().expect("compacts");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A build holds what the log would have left, with runs and without, and goes on as a fed partition does.
    #[test]
    fn a_build_holds_what_feeding_leaves(
        documents in prop::collection::vec(document(), 0..60), has_runs in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let (by_log, mut log_writer) = fed(&folder.path().join("fed"), &resources, &documents);
        let dir = folder.path().join("built");
        let summary = built(&dir, &resources, &documents, has_runs).expect("builds");
        let (bulk, mut bulk_writer) = open(&dir, &resources);

        let (expected, found) = (digests(&by_log), digests(&bulk));
        prop_assert_eq!(found.next_offset, LOG_END);
        prop_assert_eq!(Digests { next_offset: expected.next_offset, ..found }, expected);
        prop_assert_eq!(summary.documents, expected.document_count);
        let statistics = |partition: &Partition| {
            let statistics = partition.statistics().expect("reads");
            (statistics.namespaces, statistics.documents)
        };
        prop_assert_eq!(statistics(&bulk), statistics(&by_log));
        let offered = documents.len() as u64;
        prop_assert_eq!(summary.documents + summary.replaced, offered);
        prop_assert!(has_runs || summary.runs == 0);

        edit(&mut log_writer, &by_log);
        edit(&mut bulk_writer, &bulk);
        prop_assert_eq!(digests(&bulk), digests(&by_log));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A build made of a partition holds what that does: also what it remembers of documents and namespaces that are gone.
    #[test]
    fn a_build_of_a_partition_holds_the_same(
        documents in prop::collection::vec(document(), 1..40), ended in 0..3_u8, is_revived in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let (old, mut writer) = fed(&folder.path().join("fed"), &resources, &documents);
        let namespace = NamespaceName::new(format!("namespace-{ended}")).expect("valid");
        let life = |incarnation, operation| Mutation {
            namespace: namespace.clone(), incarnation: Incarnation(incarnation), operation,
        };
        writer.apply(Offset(1_500), &life(2, Operation::DeleteNamespace)).expect("applies");
        if is_revived {
            let upsert = Operation::Upsert(documents[0].upsert.clone());
            writer.apply(Offset(1_501), &life(3, upsert)).expect("applies");
        }
        writer.skip(Offset(1_600), "no good").expect("applies");
        edit(&mut writer, &old);

        let dir = folder.path().join("built");
        let mut builder = BulkBuilder::create(&dir, &IDENTITY, Analyzer::new(), &resources, 0).expect("begins");
        let next_offset = builder.add_partition(&old).expect("reads");
        builder.finish(next_offset).expect("builds");
        let (new, writer) = open(&dir, &resources);
        prop_assert_eq!(digests(&new), digests(&old));
        prop_assert_eq!(new.skipped(9).expect("reads"), old.skipped(9).expect("reads"));
        prop_assert_eq!(writer.next_offset(), digests(&old).next_offset);
    }
}

fn documents(count: usize) -> Vec<Document> {
    let document = |at: usize| Document {
        namespace: NamespaceName::new(format!("namespace-{}", at % 3)).expect("valid"),
        upsert: Upsert {
            document_id: DocumentId::new(format!("d{at}")).expect("valid"),
            version: None,
            condition: None,
            content_hash: [1; 16],
            title: format!("number {at}"),
            path: String::new(),
            body: "of the fox ".repeat(at % 7) + &format!("word{}", at % 100),
            metadata: Vec::new(),
            attributes: Attributes::default(),
        },
    };
    (0..count).map(document).collect()
}

/// Lists of more than one chunk, over several runs, on disk as a scrub reads them.
#[test]
fn long_lists_go_on_over_chunks_and_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(1 << 20, 1 << 20);
    let documents = documents(60_000);
    let dir = folder.path().join("built");
    let mut builder =
        BulkBuilder::create(&dir, &IDENTITY, Analyzer::new(), &resources, MEMORY_BYTES_MIN)
            .expect("begins");
    for Document { namespace, upsert } in &documents {
        builder.add(namespace, Incarnation(2), Offset(1), upsert).expect("adds");
    }
    let summary = builder.finish(LOG_END).expect("builds");
    assert_eq!((summary.documents, summary.replaced, summary.namespaces), (60_000, 0, 3));
    assert!(summary.runs > 4, "{summary:?}");
    let (partition, writer) = open(&dir, &resources);
    drop(writer);
    let checkpoint = folder.path().join("checkpoint");
    partition.checkpoint(&checkpoint).expect("checkpoints");
    let scrubbed = scrub(&checkpoint, &mut |_| true).expect("sound").expect("goes on");
    assert_eq!(scrubbed.document_count, 60_000);
    assert_eq!(scrubbed, digests(&partition));
    // Nothing is left beside it.
    let left = std::fs::read_dir(folder.path()).expect("lists").count();
    assert_eq!(left, 2);
}

#[test]
fn what_a_build_does_not_take_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(1 << 20, 1 << 20);
    let dir = folder.path().join("built");
    let [Document { namespace, upsert }, ..] = &*documents(1) else { panic!("one") };
    let mut builder =
        BulkBuilder::create(&dir, &IDENTITY, Analyzer::new(), &resources, MEMORY_BYTES_MIN)
            .expect("begins");
    builder.add(namespace, Incarnation(2), Offset(0), upsert).expect("adds");
    let other = builder.add(namespace, Incarnation(3), Offset(0), upsert);
    assert!(matches!(other, Err(EngineError::BulkInput(_))), "{other:?}");
    let condition = Some(crate::Condition::Absent);
    let conditional = Upsert { condition, ..upsert.clone() };
    let refused = builder.add(namespace, Incarnation(2), Offset(0), &conditional);
    assert!(matches!(refused, Err(EngineError::BulkInput(_))), "{refused:?}");
    drop(builder);
    // An attempt that ended leaves no partition, and the next one its own.
    assert!(!dir.exists());
    built(&dir, &resources, &documents(5), false).expect("builds");
    let again = BulkBuilder::create(&dir, &IDENTITY, Analyzer::new(), &resources, MEMORY_BYTES_MIN);
    assert!(matches!(again.err(), Some(EngineError::Folder { .. })));
}
