use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

use super::*;
use crate::mutation::{Delete, Mutation, Operation, Upsert};
use crate::search::{ScopeEntry, SearchRequest, Unlimited};
use crate::{Depth, Digests, Writer};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: [3; 16],
    log_generation: LogGeneration(1),
    partition: PartitionId(7),
};

fn no_attributes(_: &[u8]) -> Attributes {
    Attributes::default()
}

fn open(dir: &Path, resources: &Resources) -> Result<(Partition, Writer), EngineError> {
    Partition::open(dir, &IDENTITY, resources, no_attributes)
}

fn name() -> NamespaceName {
    NamespaceName::new("team").expect("valid")
}

fn id(id: &str) -> DocumentId {
    DocumentId::new(id).expect("valid")
}

fn feed(writer: &mut Writer) {
    let operations = [
        upsert("1", "red fox"),
        upsert("2", "red wolf"),
        upsert("3", "grey wolf"),
        Operation::Delete(Delete { document_id: id("3"), version: Some(9), condition: None }),
    ];
    for (offset, operation) in (10..).zip(operations) {
        let (namespace, incarnation) = (name(), Incarnation(2));
        let mutation = Mutation { namespace, incarnation, operation };
        writer.apply(Offset(offset), &mutation).expect("applies");
    }
    writer.flush().expect("flushes");
}

fn upsert(document_id: &str, body: &str) -> Operation {
    Operation::Upsert(Upsert {
        document_id: id(document_id),
        version: None,
        condition: None,
        content_hash: [1; 16],
        title: String::new(),
        path: String::new(),
        body: body.to_owned(),
        metadata: vec![5],
        attributes: Attributes { size_bytes: Some(7), ..Attributes::default() },
    })
}

fn hits(partition: &Partition, token: &str) -> Vec<String> {
    let scope = [ScopeEntry { namespace: name(), incarnation: Incarnation(2) }];
    let query = Node::Term { fields: FieldSet::ALL, token: token.to_owned() };
    let request = SearchRequest::new(&scope, &query, 10);
    let found = partition.searcher().search(&request, &mut Unlimited).expect("finds");
    assert_eq!(found.statistics.documents, 2);
    assert_eq!(found.statistics.total_length, 4);
    found.candidates.iter().map(|hit| hit.document_id.to_lossy()).collect()
}

/// Makes the folder look as an older analyzer left it: other postings, other lengths.
fn age(dir: &Path, resources: &Resources) {
    let shared = Shared::open(dir, &IDENTITY, Analyzer::new(), resources).expect("opens");
    let mut batch = WriteBatch::default();
    batch.put(keys::meta(META_ANALYZER), 0_u64.to_be_bytes());
    let ns = NamespaceNumber(0);
    batch.delete_range([Kind::Posting as u8], [Kind::Posting as u8 + 1]);
    batch.put(keys::posting_chunk(Kind::Posting, ns, b"stale", 0), [0, 0, 0b0000_1100]);
    shared.write(batch).expect("writes");
    shared.flush().expect("flushes");
}

#[test]
fn an_old_partition_is_rebuilt_from_its_stored_fields() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("p7");
    let resources = Resources::new(1 << 20, 1 << 20);
    {
        let (_, mut writer) = open(&dir, &resources).expect("opens");
        feed(&mut writer);
    }
    age(&dir, &resources);
    let (partition, mut writer) = open(&dir, &resources).expect("rebuilds");
    assert_eq!(hits(&partition, "red"), ["1", "2"]);
    assert_eq!(hits(&partition, "stale"), [""; 0]);
    // Attributes are kept, and not read from the metadata again.
    let stored = |ordinal| partition.shared.db.get(keys::attributes(NamespaceNumber(0), ordinal));
    let seven = Attributes { size_bytes: Some(7), ..Attributes::default() };
    assert_eq!(stored(0).expect("reads"), attributes::encode(&seven));
    assert_eq!(stored(2).expect("reads"), None);
    assert_eq!(writer.next_offset(), Offset(14));
    // The deleted document's version is still known.
    let operation =
        Operation::Delete(Delete { document_id: id("3"), version: Some(9), condition: None });
    let mutation = Mutation { namespace: name(), incarnation: Incarnation(2), operation };
    let outcome = writer.apply(writer.next_offset(), &mutation).expect("applies");
    assert_eq!(outcome, crate::Outcome::StaleVersion);
}

#[test]
fn another_analyzer_is_taken_when_asked_for_and_kept_otherwise() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("p7");
    let resources = Resources::new(1 << 20, 1 << 20);
    assert_eq!(Partition::build_of_folder(&dir).expect("readable"), None);
    {
        let (partition, mut writer) = open(&dir, &resources).expect("opens");
        feed(&mut writer);
        partition.set_build("b2").expect("written");
    }
    let digests = |partition: &Partition| {
        let searcher = partition.searcher();
        searcher.digests(Depth::Derive, &mut |_| true).expect("sound").expect("goes on")
    };
    let first = {
        let (partition, _) = open(&dir, &resources).expect("opens");
        assert_eq!(hits(&partition, "foxes"), [""; 0]);
        digests(&partition)
    };
    let singular = Analyzer::of(2).expect("there is one");
    let open_with =
        |analyzer| Partition::open_with(&dir, &IDENTITY, analyzer, &resources, no_attributes);
    {
        let (partition, mut writer) = open_with(singular).expect("rebuilds");
        assert_eq!(hits(&partition, "foxes"), ["1"]);
        let more = |body| {
            let operation = upsert("1", body);
            Mutation { namespace: name(), incarnation: Incarnation(2), operation }
        };
        writer.apply(Offset(14), &more("red foxes")).expect("applies");
        assert_eq!(hits(&partition, "fox"), ["1"]);
        writer.apply(Offset(15), &more("red fox")).expect("applies");
        let second = digests(&partition);
        assert_eq!((first.analyzer_version, second.analyzer_version), (1, 2));
        assert_eq!(first.documents, second.documents);
        writer.flush().expect("flushes");
    }
    {
        // Nobody says which: it stays.
        let (partition, _) = open(&dir, &resources).expect("opens");
        assert_eq!((partition.analyzer().version(), hits(&partition, "foxes").len()), (2, 1));
    }
    let (partition, _) = open_with(Analyzer::new()).expect("rebuilds");
    assert_eq!(Digests { next_offset: first.next_offset, ..digests(&partition) }, first);
    assert_eq!(partition.build().expect("readable"), "b2");
    drop(partition);
    assert_eq!(Partition::build_of_folder(&dir).expect("readable").as_deref(), Some("b2"));
}

#[test]
fn a_rebuild_interrupted_anywhere_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(1 << 20, 1 << 20);
    let made = folder.path().join("made");
    {
        let (_, mut writer) = open(&made, &resources).expect("opens");
        feed(&mut writer);
    }
    // What a crash leaves: (folders with the partition, folders with rubbish).
    let states: [(&[&str], &[&str]); 5] = [
        (&["p7"], &["p7.rebuild"]),
        (&["p7", "p7.rebuilt"], &[]),
        (&["p7.old", "p7.rebuilt"], &[]),
        (&["p7", "p7.old"], &[]),
        (&["p7"], &[]),
    ];
    for (whole, rubbish) in states {
        let root = tempfile::tempdir().expect("a folder");
        for folder in whole {
            let to = root.path().join(folder);
            fs::create_dir(&to).expect("creates");
            for file in fs::read_dir(&made).expect("lists").flatten() {
                fs::copy(file.path(), to.join(file.file_name())).expect("copies");
            }
        }
        for folder in rubbish {
            fs::create_dir(root.path().join(folder)).expect("creates");
            fs::write(root.path().join(folder).join("CURRENT"), "rubbish").expect("writes");
        }
        let dir = root.path().join("p7");
        let (partition, _) = open(&dir, &resources).expect("opens");
        assert_eq!(hits(&partition, "wolf"), ["2"], "{whole:?} {rubbish:?}");
        let left = fs::read_dir(root.path()).expect("lists").count();
        assert_eq!(left, 1, "{whole:?} {rubbish:?}");
    }
}

#[test]
fn another_identity_and_a_newer_format_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("p7");
    let resources = Resources::new(1 << 20, 1 << 20);
    drop(open(&dir, &resources).expect("opens"));
    let other = PartitionIdentity { partition: PartitionId(8), ..IDENTITY };
    let refused = Partition::open(&dir, &other, &resources, no_attributes).err().expect("refused");
    assert!(matches!(refused, EngineError::OtherIdentity { .. }), "{refused}");
    {
        let shared = Shared::open(&dir, &IDENTITY, Analyzer::new(), &resources).expect("opens");
        let mut batch = WriteBatch::default();
        batch.put(keys::meta(META_FORMAT), 99_u64.to_be_bytes());
        shared.write(batch).expect("writes");
        shared.flush().expect("flushes");
    }
    let refused = open(&dir, &resources).err().expect("refused");
    assert!(matches!(refused, EngineError::NewerFormat { .. }), "{refused}");
}
