//! Histories made by hand: good ones are let through, and every kind of lie is found.

use std::collections::BTreeMap;
use std::time::Duration;

use nautilus_query::{MatchMode, QueryLimits, parse};
use nautilus_reference_engine::{Mutation, ReferenceEngine, Text};
use nautilus_types::{DocumentId, Incarnation, NamespaceName, Offset, PartitionId};

use super::*;

/// Of a log of two partitions: one namespace in each.
const NAMESPACES: [&str; 2] = ["a", "abc"];

fn name(text: &str) -> NamespaceName {
    NamespaceName::new(text).expect("valid")
}

fn log_of(namespace: &str) -> (LogCopy, PartitionId) {
    let log = LogCopy::new(2);
    let partition = log.partition_of(&name(namespace));
    (log, partition)
}

fn upsert(namespace: &str, id: &str, version: u64, body: &str) -> Mutation {
    Mutation::Upsert {
        namespace: name(namespace),
        incarnation: Incarnation(1),
        id: DocumentId::new(id).expect("valid"),
        version: Some(version),
        expected: None,
        text: Text { body: body.to_owned(), ..Text::default() },
        metadata: nautilus_reference_engine::Metadata::default(),
    }
}

fn delete(namespace: &str, id: &str, version: u64) -> Mutation {
    Mutation::Delete {
        namespace: name(namespace),
        incarnation: Incarnation(1),
        id: DocumentId::new(id).expect("valid"),
        version: Some(version),
        expected: None,
    }
}

fn add(log: &mut LogCopy, offset: u64, mutation: Mutation) {
    let namespace = match &mutation {
        Mutation::Upsert { namespace, .. } | Mutation::Delete { namespace, .. } => namespace,
        Mutation::Patch { .. } | Mutation::DeleteNamespace { .. } | Mutation::Skip => return,
    };
    let partition = log.partition_of(namespace);
    log.add(partition, Entry { offset: Offset(offset), content_hash: vec![1], mutation });
}

/// Fox is added, a second one comes, the first is changed, the second goes.
fn history() -> LogCopy {
    let (mut log, _) = log_of(NAMESPACES[0]);
    add(&mut log, 0, upsert(NAMESPACES[0], "a", 1, "red fox"));
    add(&mut log, 1, upsert(NAMESPACES[0], "b", 1, "fox fox fox"));
    // An offset is left out, as transactions of Kafka do.
    add(&mut log, 3, upsert(NAMESPACES[0], "a", 2, "red wolf"));
    add(&mut log, 4, delete(NAMESPACES[0], "b", 2));
    for (offset, id) in [(0, "x"), (1, "y")] {
        add(&mut log, offset, upsert(NAMESPACES[1], id, 1, "a fox in the other team"));
    }
    log
}

fn label(log: &LogCopy, namespace: &str, next_offset: u64, leaf: &str) -> Label {
    let partition = log.partition_of(&name(namespace));
    let (leaf, build) = (leaf.to_owned(), String::new());
    Label { partition, next_offset: Offset(next_offset), epoch: 1, leaf, build }
}

/// The answer of a cluster that does it right, at these offsets.
fn answer(log: &LogCopy, query: &str, labels: &[(&str, u64)]) -> Answer {
    let limits = QueryLimits::default();
    let node = parse(query, MatchMode::All, &limits, &nautilus_analysis::Analyzer::new());
    let node = node.expect("a query");
    answer_by(&mut ReferenceEngine::new(), log, &node, query, labels)
}

/// The same by an engine that has applied nothing yet.
fn answer_by(
    engine: &mut ReferenceEngine,
    log: &LogCopy,
    node: &nautilus_query::Node,
    query: &str,
    labels: &[(&str, u64)],
) -> Answer {
    let mut records: Vec<&Entry> = Vec::new();
    for (namespace, next) in labels {
        let entries = log.entries(log.partition_of(&name(namespace))).iter();
        records.extend(entries.filter(|entry| entry.offset < Offset(*next)));
    }
    // One engine for all partitions: each record at an offset of its own.
    for (at, entry) in records.iter().enumerate() {
        engine.apply(Offset(at as u64), &entry.mutation);
    }
    let scope: Vec<_> = labels.iter().map(|(it, _)| (name(it), Incarnation(1))).collect();
    let hits = engine.search(&scope, node, Answer::PAGE_SIZE);
    let statistics = engine.statistics(&scope, node);
    let version = |hit: &nautilus_reference_engine::Hit| {
        engine.get(&hit.namespace, Incarnation(1), &hit.id).and_then(|stored| stored.version)
    };
    Answer {
        sent: Duration::from_millis(10),
        received: Duration::from_millis(20),
        query: query.to_owned(),
        namespaces: labels.iter().map(|(namespace, _)| (*namespace).to_owned()).collect(),
        page_size: Answer::PAGE_SIZE,
        demanded: BTreeMap::new(),
        is_complete: true,
        is_truncated: false,
        total_hits: hits.len() as u64,
        hits: hits
            .iter()
            .map(|hit| ShownHit {
                namespace: hit.namespace.to_lossy(),
                id: hit.id.to_lossy(),
                score: hit.score,
                version: version(hit),
            })
            .collect(),
        figures: Figures {
            documents: statistics.documents,
            total_length: statistics.total_length,
            frequencies: statistics.document_frequencies,
        },
        labels: labels
            .iter()
            .map(|(namespace, next)| label(log, namespace, *next, "leaf-1"))
            .collect(),
    }
}

fn found(log: &LogCopy, answer: &Answer) -> String {
    let verdict = check_answers(log, &[answer]);
    assert_eq!(verdict.checked, 1);
    verdict.smallest().map(ToString::to_string).unwrap_or_default()
}

/// As [`answer`], of a build with analyzer 2.
fn answer_of_build(log: &LogCopy, query: &str, labels: &[(&str, u64)]) -> Answer {
    let analyzer = nautilus_analysis::Analyzer::new();
    let node = parse(query, MatchMode::All, &QueryLimits::default(), &analyzer).expect("a query");
    let mut answer = answer_by(&mut ReferenceEngine::with_analyzer(2), log, &node, query, labels);
    for label in &mut answer.labels {
        label.build = "stems".to_owned();
    }
    answer
}

#[test]
fn answers_are_held_against_the_analyzer_of_their_build() {
    let mut log = history();
    let labels = [(NAMESPACES[0], 2), (NAMESPACES[1], 2)];
    let of_build = answer_of_build(&log, "foxes", &labels);
    assert!(!of_build.hits.is_empty() && answer(&log, "foxes", &labels).hits.is_empty());
    assert!(found(&log, &of_build).contains("nothing is known of build stems"));
    log.note_build("stems", 2);
    assert_eq!(found(&log, &of_build), "");
    let mut mislabelled = of_build.clone();
    mislabelled.labels.iter_mut().for_each(|label| label.build.clear());
    assert_ne!(found(&log, &mislabelled), "");
    let mut mixed = of_build;
    mixed.labels[0].build.clear();
    assert!(found(&log, &mixed).contains("several builds"));
}

/// What is said of an answer about foxes at the given offset after it was changed.
fn said(at: u64, change: impl FnOnce(&mut Answer)) -> String {
    let log = history();
    let mut answer = answer(&log, "fox", &[(NAMESPACES[0], at)]);
    change(&mut answer);
    found(&log, &answer)
}

#[test]
fn the_namespaces_are_in_different_partitions() {
    let log = history();
    assert_ne!(log.partition_of(&name(NAMESPACES[0])), log.partition_of(&name(NAMESPACES[1])));
}

#[test]
fn right_answers_are_right_at_every_label() {
    let log = history();
    let mut answers = Vec::new();
    for at in 0..=5 {
        answers.push(answer(&log, "fox", &[(NAMESPACES[0], at)]));
        answers.push(answer(&log, "red wolf", &[(NAMESPACES[0], at)]));
        answers.push(answer(&log, "fox", &[(NAMESPACES[0], at), (NAMESPACES[1], 2)]));
    }
    assert!(answers.iter().any(|answer| answer.hits.len() == 4));
    let verdict = check_answers(&log, &answers.iter().collect::<Vec<_>>());
    assert_eq!((verdict.checked, verdict.differences), (18, Vec::new()));
}

#[test]
fn an_answer_of_another_offset_is_found() {
    let moved = |labels: &mut [Label], to| labels[0].next_offset = Offset(to);
    // Above and below what it shows: lost writes, and writes from the future.
    assert!(said(2, |answer| moved(&mut answer.labels, 1)).contains("right is"));
    assert!(said(1, |answer| moved(&mut answer.labels, 2)).contains("right is"));
    assert!(said(2, |answer| moved(&mut answer.labels, 5)).contains("right is"));
    // No record is at 2.
    assert_eq!(said(2, |answer| moved(&mut answer.labels, 3)), "");
}

#[test]
fn each_part_of_an_answer_is_looked_at() {
    assert_eq!(said(2, |_| {}), "");
    assert!(said(2, |answer| answer.total_hits = 1).contains("1 hits in all, right is 2"));
    assert!(said(2, |answer| answer.figures.documents = 3).contains("figures are"));
    assert!(said(2, |answer| answer.figures.frequencies[0] = 1).contains("figures are"));
    assert!(said(2, |answer| answer.hits[0].score *= 1.001).contains("scores"));
    assert!(said(2, |answer| answer.hits.swap(0, 1)).contains("b does not belong there"));
    let extra = ShownHit {
        namespace: NAMESPACES[0].to_owned(),
        id: "z".to_owned(),
        score: 0.1,
        version: Some(1),
    };
    assert!(said(2, |answer| answer.hits.push(extra)).contains("z does not belong there"));
}

#[test]
fn a_hit_may_only_be_missing_where_it_was_deleted_later() {
    // b is deleted at 4, a never.
    assert_eq!(said(2, |answer| answer.hits.retain(|hit| hit.id != "b")), "");
    assert!(said(2, |answer| answer.hits.retain(|hit| hit.id != "a")).contains("a is not where"));
}

#[test]
fn texts_are_of_the_version_searched_or_a_later_one() {
    let versions = |version| {
        said(2, |answer| {
            for hit in answer.hits.iter_mut().filter(|hit| hit.id == "a") {
                hit.version = version;
            }
        })
    };
    assert_eq!(versions(Some(2)), "");
    assert!(versions(Some(3)).contains("is shown at version"));
    assert!(versions(None).contains("is shown at version"));
}

#[test]
fn a_partition_counts_once() {
    let log = history();
    let both = [(NAMESPACES[0], 2), (NAMESPACES[1], 2)];
    let mut twice = answer(&log, "fox", &both);
    twice.labels.push(twice.labels[0].clone());
    assert!(found(&log, &twice).contains("has labels of"));
    let mut short = answer(&log, "fox", &both);
    short.labels.pop();
    assert!(found(&log, &short).contains("has labels of"));
}

#[test]
fn hits_of_several_partitions_are_ranked_by_the_figures_given() {
    let log = history();
    let both = [(NAMESPACES[0], 2), (NAMESPACES[1], 2)];
    let mut other = answer(&log, "fox", &both);
    other.figures.documents += 4;
    assert!(
        found(&log, &other).contains("scores"),
        "its scores are by other figures than it gives"
    );
    let verdict = check_answers(&log, &[&other]);
    assert_eq!(verdict.by_other_figures, 1);
    other.figures.frequencies.clear();
    assert!(
        check_answers(&log, &[&other]).differences.iter().any(|it| it.text.contains("figures"))
    );
}

#[test]
fn what_says_that_it_is_no_whole_answer_is_passed_over() {
    let log = history();
    let mut truncated = answer(&log, "fox", &[(NAMESPACES[0], 2)]);
    (truncated.is_truncated, truncated.total_hits) = (true, 99);
    let verdict = check_answers(&log, &[&truncated]);
    assert_eq!((verdict.checked, verdict.passed_over, verdict.differences.len()), (0, 1, 0));
}

#[test]
fn an_answer_below_its_token_is_found() {
    let log = history();
    let mut answer = answer(&log, "fox", &[(NAMESPACES[0], 1)]);
    let partition = answer.labels[0].partition;
    answer.demanded.insert(partition, Offset(1));
    assert_eq!(found(&log, &answer), "");
    answer.demanded.insert(partition, Offset(2));
    assert!(found(&log, &answer).contains("its token asks for 2, it shows 1"));
}

#[test]
fn the_smallest_example_is_shown() {
    let log = history();
    let mut large = answer(&log, "fox", &[(NAMESPACES[0], 2)]);
    let mut small = answer(&log, "wolf", &[(NAMESPACES[0], 5)]);
    (large.total_hits, small.total_hits) = (9, 9);
    let verdict = check_answers(&log, &[&large, &small]);
    assert_eq!(verdict.differences.len(), 2);
    assert!(verdict.smallest().is_some_and(|it| it.text.starts_with("\"wolf\"")));
}

#[test]
fn labels_of_a_leaf_do_not_go_back() {
    let log = history();
    let at = |sent, received, offset, leaf: &str| {
        let mut answer = answer(&log, "fox", &[(NAMESPACES[0], offset)]);
        answer.labels[0].leaf = leaf.to_owned();
        (answer.sent, answer.received) = (Duration::from_secs(sent), Duration::from_secs(received));
        answer
    };
    let wrong =
        |answers: &[Answer]| check_labels(&answers.iter().collect::<Vec<_>>()).differences.len();
    // One leaf may be behind another, and answers to searches sent at the same time may come in any order.
    assert_eq!(wrong(&[at(1, 2, 4, "x"), at(3, 4, 2, "y"), at(5, 6, 4, "x")]), 0);
    assert_eq!(wrong(&[at(1, 5, 4, "x"), at(2, 3, 2, "x")]), 0);
    assert_eq!(wrong(&[at(1, 2, 4, "x"), at(3, 4, 2, "x")]), 1);
}

#[test]
fn acknowledged_writes_are_looked_for() {
    let mut log = history();
    let partition = log.partition_of(&name(NAMESPACES[0]));
    let write = Acknowledged {
        namespace: NAMESPACES[0].to_owned(),
        id: "a".to_owned(),
        version: 2,
        content_hash: vec![1],
        below: BTreeMap::from([(partition, Offset(4))]),
    };
    let said = |log: &LogCopy, write: Acknowledged| {
        let verdict = check_acknowledged(log, &[write]);
        verdict.smallest().map(ToString::to_string).unwrap_or_default()
    };
    assert_eq!(said(&log, write.clone()), "");
    let lost = Acknowledged { version: 3, ..write.clone() };
    assert!(said(&log, lost).contains("is in the log 0 times"));
    let other = Acknowledged { content_hash: vec![2], ..write.clone() };
    assert!(said(&log, other).contains("other content"));
    let above = Acknowledged { below: BTreeMap::from([(partition, Offset(3))]), ..write.clone() };
    assert!(said(&log, above).contains("its token says below"));
    add(&mut log, 5, upsert(NAMESPACES[0], "a", 2, "red wolf"));
    assert!(said(&log, write).contains("is in the log 2 times"));
}

#[test]
fn records_are_read_as_they_are_written() {
    use nautilus_proto::common::v1::NamespaceRef;
    use nautilus_proto::log::v1::{self as wire, mutation_record::Operation};
    use prost::Message as _;

    let (mut log, partition) = log_of(NAMESPACES[0]);
    let record = |operation| {
        wire::MutationRecord {
            schema_version: 1,
            namespace: Some(NamespaceRef { name: NAMESPACES[0].into(), incarnation: 1 }),
            operation,
            ..wire::MutationRecord::default()
        }
        .encode_to_vec()
    };
    let written = record(Some(Operation::Upsert(wire::Upsert {
        document_id: b"a".to_vec(),
        version: Some(1),
        content_hash: vec![1],
        body: "red fox".to_owned(),
        ..wire::Upsert::default()
    })));
    log.push(partition, Offset(7), &written).expect("reads");
    let entry = &log.entries(partition)[0];
    assert_eq!((entry.offset, &entry.content_hash), (Offset(7), &vec![1]));
    assert_eq!(entry.mutation, upsert(NAMESPACES[0], "a", 1, "red fox"));
    let none = log.push(partition, Offset(8), &record(None)).expect_err("no operation");
    assert_eq!(
        none.to_string(),
        format!("the record at 8 of partition {partition}: it has no operation")
    );
    let skip = record(Some(Operation::Skip(wire::Skip::default())));
    assert!(log.push(partition, Offset(8), &skip).is_err());
    let condition = Some(wire::Condition { condition: None });
    let delete = wire::Delete { document_id: b"a".to_vec(), condition, ..wire::Delete::default() };
    assert!(log.push(partition, Offset(8), &record(Some(Operation::Delete(delete)))).is_err());
}
