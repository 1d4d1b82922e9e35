//! A namespace of several chunks of ordinals, searched while it is new, after edits, and settled.

use nautilus_engine::{
    Attributes, Delete, Mutation, Operation, Partition, PartitionIdentity, Resources, ScopeEntry,
    SearchOutcome, SearchRequest, Unlimited, Upsert, Writer,
};
use nautilus_query::{FieldSet, Node};
use nautilus_types::{DocumentId, Incarnation, LogGeneration, NamespaceName, Offset, PartitionId};

const IDENTITY: PartitionIdentity = PartitionIdentity {
    cluster_id: *b"chunks-test-0000",
    log_generation: LogGeneration(1),
    partition: PartitionId(0),
};
/// Two chunks and a bit.
const DOCUMENTS: usize = 33_000;

/// Words of a document: every third has `red`, every 7th `fox` twice, and one in 5,000 `owl`, which the second chunk lacks.
fn body(number: usize) -> String {
    let mut words = vec!["the"];
    if number.is_multiple_of(3) {
        words.push("red");
    }
    if number.is_multiple_of(7) {
        words.extend(["fox", "fox"]);
    }
    if number.is_multiple_of(5_000) && number / 16_384 != 1 {
        words.push("owl");
    }
    words.join(" ")
}

fn id(number: usize) -> DocumentId {
    // Not in the order of ordinals.
    DocumentId::new(format!("{:05}", number * 7_919 % 99_991)).expect("valid")
}

fn apply(writer: &mut Writer, operation: Operation) {
    let namespace = NamespaceName::new("n").expect("valid");
    let mutation = Mutation { namespace, incarnation: Incarnation(1), operation };
    writer.apply(writer.next_offset(), &mutation).expect("applies");
}

fn put(writer: &mut Writer, number: usize, body: String) {
    let upsert = Upsert {
        document_id: id(number),
        version: None,
        condition: None,
        content_hash: [0; 16],
        title: String::new(),
        path: String::new(),
        body,
        metadata: Vec::new(),
        attributes: Attributes::default(),
    };
    apply(writer, Operation::Upsert(upsert));
}

fn term(token: &str) -> Node {
    Node::Term { fields: FieldSet::ALL, token: token.to_owned() }
}

fn search(partition: &Partition, query: &Node) -> SearchOutcome {
    let namespace = NamespaceName::new("n").expect("valid");
    let scope = [ScopeEntry { namespace, incarnation: Incarnation(1) }];
    let request = SearchRequest::new(&scope, query, 10);
    partition.searcher().search(&request, &mut Unlimited).expect("searches")
}

/// Which bodies match, and how often each scoring leaf stands in them.
fn check(
    partition: &Partition,
    bodies: &[Option<String>],
    query: &Node,
    leaves: &[&str],
    all: bool,
) {
    let tf = |body: &str, token: &str| body.split(' ').filter(|word| *word == token).count();
    let found = bodies.iter().enumerate().filter_map(|(number, body)| {
        let body = body.as_deref()?;
        let tfs: Vec<usize> = leaves.iter().map(|token| tf(body, token)).collect();
        let matches = if all { tfs.iter().all(|tf| *tf > 0) } else { tfs.iter().any(|tf| *tf > 0) };
        matches.then(|| (number, body.split(' ').count(), tfs))
    });
    let found: Vec<_> = found.collect();
    let outcome = search(partition, query);
    assert_eq!(outcome.total_hits, found.len() as u64, "{leaves:?}");
    let live = || bodies.iter().flatten();
    let statistics = &outcome.statistics;
    assert_eq!(statistics.documents, live().count() as u64);
    let collection = nautilus_query::scoring::Collection {
        documents: statistics.documents,
        total_length: statistics.total_length,
    };
    let dfs: Vec<u64> = leaves
        .iter()
        .map(|token| live().filter(|body| tf(body, token) > 0).count() as u64)
        .collect();
    assert_eq!(statistics.document_frequencies, dfs);
    let mut expected: Vec<_> = found
        .into_iter()
        .map(|(number, length, tfs)| {
            let tfs: Vec<u32> = tfs.iter().map(|tf| u32::try_from(*tf).expect("small")).collect();
            let length = u32::try_from(length).expect("small");
            let score = nautilus_query::scoring::score(collection, &dfs, length, &tfs);
            (score, id(number), tfs)
        })
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    expected.truncate(10);
    let got: Vec<_> = outcome
        .candidates
        .into_iter()
        .map(|hit| (hit.score, hit.document_id, hit.frequencies))
        .collect();
    assert_eq!(got, expected, "{leaves:?}");
}

fn check_all(partition: &Partition, bodies: &[Option<String>]) {
    for leaves in [&["the"][..], &["owl"], &["fox"], &["owl", "fox"], &["red", "the"], &["absent"]]
    {
        let terms: Vec<Node> = leaves.iter().map(|token| term(token)).collect();
        check(partition, bodies, &Node::And(terms.clone()), leaves, true);
        check(partition, bodies, &Node::Or(terms), leaves, false);
    }
    let prefix = Node::Prefix { fields: FieldSet::ALL, prefix: "fo".to_owned() };
    check(partition, bodies, &prefix, &["fox"], true);
    // More lists than have an iterator each.
    let words = ["the", "red", "fox", "owl", "a1", "a2", "a3", "a4", "a5", "late"];
    let many = Node::Or(words.iter().map(|token| term(token)).collect());
    check(partition, bodies, &many, &words, false);
}

#[test]
fn lists_of_several_chunks_are_read_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let resources = Resources::new(8 << 20, 64 << 20);
    let open = |_: &[u8]| Attributes::default();
    let (partition, mut writer) =
        Partition::open(folder.path(), &IDENTITY, &resources, open).expect("opens");
    let mut bodies: Vec<Option<String>> = Vec::new();
    for number in 0..DOCUMENTS {
        put(&mut writer, number, body(number));
        bodies.push(Some(body(number)));
    }
    assert_eq!(writer.next_offset(), Offset(DOCUMENTS as u64));
    check_all(&partition, &bodies);
    writer.flush().expect("flushes");
    partition.compact().expect("compacts");
    check_all(&partition, &bodies);
    // Lengths that are in memory change, and lists have changes on them.
    for number in (0..DOCUMENTS).step_by(997) {
        let text = format!("{} late fox fox fox", body(number));
        put(&mut writer, number, text.clone());
        bodies[number] = Some(text);
    }
    for number in (0..DOCUMENTS).step_by(1_499) {
        let delete = Delete { document_id: id(number), version: None, condition: None };
        apply(&mut writer, Operation::Delete(delete));
        bodies[number] = None;
    }
    check_all(&partition, &bodies);
    writer.flush().expect("flushes");
    partition.compact().expect("compacts");
    check_all(&partition, &bodies);
}
