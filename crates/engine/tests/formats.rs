//! Folders of old bytes: what an earlier program wrote is read, and rebuilt where its format is older.
//!
//! `tests/formats/v<N>` was written by a program of format N (`examples/write_format.rs`) and is never written again.

use std::fs;
use std::path::Path;

use nautilus_engine::{
    Attributes, Delete, FORMAT_VERSION, Filter, Mutation, NumberRange, Operation, Outcome,
    Partition, PartitionIdentity, Resources, ScopeEntry, SearchRequest, Searcher, Sort, SortKey,
    Unlimited, Writer,
};
use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"folder-of-format",
    log_generation: LogGeneration(4),
    partition: PartitionId(7),
};

/// The metadata of these folders is nothing, or `size ` and a number.
fn attributes_of(metadata: &[u8]) -> Attributes {
    let text = std::str::from_utf8(metadata).expect("text");
    let size_bytes = text.strip_prefix("size ").map(|number| number.parse().expect("a number"));
    Attributes { size_bytes, ..Attributes::default() }
}

/// A copy of the folder of that format, opened.
fn open(format: u32) -> (tempfile::TempDir, Partition, Writer) {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("p7");
    fs::create_dir(&dir).expect("creates");
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/formats/v{format}"));
    for file in fs::read_dir(kept).expect("lists").flatten() {
        fs::copy(file.path(), dir.join(file.file_name())).expect("copies");
    }
    let (partition, writer) = reopen(&dir);
    (folder, partition, writer)
}

fn reopen(dir: &Path) -> (Partition, Writer) {
    let resources = Resources::new(1 << 20, 1 << 20);
    Partition::open(dir, &IDENTITY, &resources, attributes_of).expect("opens")
}

fn id(id: &[u8]) -> DocumentId {
    DocumentId::new(id).expect("valid")
}

fn entry(name: &[u8], incarnation: u64) -> ScopeEntry {
    let namespace = NamespaceName::new(name).expect("valid");
    ScopeEntry { namespace, incarnation: Incarnation(incarnation) }
}

fn found(searcher: &Searcher<'_>, request: &SearchRequest<'_>) -> Vec<(String, Option<i64>)> {
    let outcome = searcher.search(request, &mut Unlimited).expect("searches");
    let candidates = outcome.candidates.into_iter();
    candidates.map(|hit| (hit.document_id.to_lossy(), hit.sort_value)).collect()
}

fn check(partition: &Partition, writer: &mut Writer) {
    assert_eq!((writer.next_offset(), partition.durable_offset()), (Offset(21), Offset(21)));
    let statistics = partition.statistics().expect("counts");
    assert_eq!((statistics.namespaces, statistics.documents), (2, 4));
    let searcher = partition.searcher();
    let team = [entry(b"team", 2)];
    let term = |token: &str| Node::Term { fields: FieldSet::ALL, token: token.to_owned() };
    let any = Node::Or(["red", "grey"].map(term).to_vec());

    // Texts, postings and phrases.
    let fox = term("fox");
    assert_eq!(found(&searcher, &SearchRequest::new(&team, &fox, 9)), [("1".to_owned(), None)]);
    let phrase = Node::Phrase { fields: FieldSet::ALL, tokens: vec!["grey".into(), "wolf".into()] };
    assert_eq!(found(&searcher, &SearchRequest::new(&team, &phrase, 9)), [("2".to_owned(), None)]);
    let deleted = term("deleted");
    assert_eq!(found(&searcher, &SearchRequest::new(&team, &deleted, 9)), []);
    let owl = searcher.fetch(&team[0], &id(b"3"), true).expect("reads").expect("is there");
    assert_eq!((owl.title.as_str(), owl.body.as_deref()), ("Owl", Some("grey owl")));
    assert_eq!((owl.version, owl.metadata.as_slice()), (Some(2), &b"size 300"[..]));

    // Attributes come from the metadata.
    let sort = Sort { key: SortKey::Size, is_ascending: false };
    let by_size = SearchRequest { sort, ..SearchRequest::new(&team, &any, 9) };
    let sizes = [("3", 300), ("2", 200), ("1", 100)].map(|(id, size)| (id.to_owned(), Some(size)));
    assert_eq!(found(&searcher, &by_size), sizes);
    let size_bytes = NumberRange { min: Some(101), max: Some(299) };
    let filter = Filter { size_bytes, ..Filter::default() };
    let large = SearchRequest { filter, ..by_size };
    assert_eq!(found(&searcher, &large), sizes[1..2]);

    // The last change of a document is that of its id row: 1 was written again at 20, 2 at 12, 3 patched at 16.
    for (bound, ids) in [(21, "321"), (20, "32"), (16, "2"), (12, "")] {
        let request = SearchRequest { changed_before: Some(Offset(bound)), ..by_size };
        let ids_found: String = found(&searcher, &request).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids_found, ids, "{bound}");
    }

    // Other namespaces, dead lives, and the words of all.
    let red = term("red");
    let odd = [entry(b"a\0\xff", 1)];
    assert_eq!(found(&searcher, &SearchRequest::new(&odd, &red, 9)).len(), 1);
    for gone in [entry(b"team", 1), entry(b"over", 5)] {
        assert_eq!(found(&searcher, &SearchRequest::new(&[gone], &red, 9)), []);
    }
    let words = searcher.suggest(&team, "", 0b111, 3, &mut Unlimited).expect("suggests");
    let words: Vec<_> = words.suggestions.into_iter().map(|s| (s.token, s.documents)).collect();
    assert_eq!(words, [("animals", 2), ("grey", 2), ("red", 2)].map(|(w, n)| (w.to_owned(), n)));

    // A deleted document's version is still known.
    let delete = Delete { document_id: id(b"4"), version: Some(9), condition: None };
    let mutation = Mutation {
        namespace: team[0].namespace.clone(),
        incarnation: Incarnation(2),
        operation: Operation::Delete(delete),
    };
    assert_eq!(writer.apply(Offset(21), &mutation).expect("applies"), Outcome::StaleVersion);
}

#[test]
fn every_format_is_read_and_the_older_rebuilt() {
    for format in 1..=FORMAT_VERSION {
        let (folder, partition, mut writer) = open(format);
        check(&partition, &mut writer);
        drop((partition, writer));
        // A second time it is of this format.
        let (partition, writer) = reopen(&folder.path().join("p7"));
        assert_eq!(writer.next_offset(), Offset(22));
        assert_eq!(partition.statistics().expect("counts").documents, 4);
    }
}
