use std::time::Duration;

use nautilus_proto::common::v1::{PartitionLabel, SortKey};
use nautilus_registry::layout::{GroupName, LeafName};
use nautilus_types::{Class, PartitionId};
use proptest::prelude::*;

use super::*;
use crate::answer::{AnswerProblem, SearchRules, check_search};

const LIMIT: u32 = 5;
const LEAVES: usize = 2;
const RULES: SearchRules =
    SearchRules { limit: LIMIT, scoring_leaves: LEAVES, are_statistics_given: false };

fn part(partition: u32, indexes: &[u32]) -> Part {
    Part {
        partition: PartitionId(partition),
        indexes: indexes.to_vec(),
        min_next_offset: 10,
        changed_before_offset: 0,
    }
}

fn source() -> Source {
    let leaf = LeafAddress {
        group: GroupName::new("a").expect("valid"),
        leaf: LeafName::new("leaf-1").expect("valid"),
        address: "http://leaf-1:1".into(),
    };
    let round_trip = Duration::from_micros(250);
    Source { leaf: Arc::new(leaf), round_trip, attempts: Vec::new() }
}

/// Namespaces `n0`, `n1`, …
fn namespaces(count: u32) -> Vec<NamespaceRef> {
    let namespace = |n| NamespaceRef { name: format!("n{n}").into(), incarnation: 1 };
    (0..count).map(namespace).collect()
}

fn gathered(parts: &[Part], outcomes: Vec<Outcome>, sort: Option<Sort>) -> SearchResponse {
    let namespaces = namespaces(60);
    let rules = Rules { namespaces: &namespaces, scoring_leaves: LEAVES, sort: sort.as_ref() };
    gather(parts, outcomes, rules)
}

fn late() -> Failure {
    Failure::new(Class::Deadline, "DEADLINE")
}

fn candidate(namespace_index: u32, id: &str) -> LeafCandidate {
    LeafCandidate {
        namespace_index,
        document_id: id.into(),
        length: 7,
        frequencies: vec![1, 0],
        local_score: 1.0,
        sort_value: None,
    }
}

fn answer(partition: u32) -> LeafAnswer {
    LeafAnswer {
        label: Some(PartitionLabel { partition, next_offset: 10, ..PartitionLabel::default() }),
        candidates: vec![candidate(0, "a"), candidate(1, "a")],
        statistics: Some(Statistics {
            documents: 20,
            total_length: 300,
            document_frequencies: vec![3, 0],
        }),
        total_hits: 3,
        ..LeafAnswer::default()
    }
}

fn answered(answer: LeafAnswer) -> Outcome {
    Ok((answer, source()))
}

#[test]
fn answers_are_summed_and_indexes_put_back() {
    let parts = [part(1, &[2, 5]), part(3, &[0, 1])];
    let mut truncated = answer(3);
    truncated.truncated = true;
    let response = gathered(&parts, vec![answered(answer(1)), answered(truncated)], None);
    let indexes: Vec<_> = response.candidates.iter().map(|c| c.namespace_index).collect();
    assert_eq!(indexes, [0, 1, 2, 5], "equal scores and ids: by namespace");
    let statistics = response.statistics.expect("summed");
    assert_eq!((statistics.documents, statistics.total_length), (40, 600));
    assert_eq!(statistics.document_frequencies, [6, 0]);
    assert_eq!((response.total_hits, response.truncated), (6, true));
    let of_first = &response.answers[0];
    assert_eq!((of_first.round_trip_us, of_first.leaf.as_str()), (250, "leaf-1"));
    assert_eq!((of_first.total_hits, of_first.candidates, of_first.truncated), (3, 2, false));
    assert!(response.answers[1].truncated);
    assert!(response.failures.is_empty());
}

#[test]
fn a_failure_leaves_the_others() {
    let parts = [part(1, &[2, 5]), part(3, &[0, 1])];
    let response = gathered(&parts, vec![Err(late()), answered(answer(3))], None);
    assert_eq!(response.answers.len(), 1);
    assert_eq!(response.failures[0].partition, 1);
    assert_eq!(response.failures[0].reason, "DEADLINE");
    assert_eq!(response.total_hits, 3);
}

#[test]
fn candidates_come_in_the_order_asked_for() {
    let ordered = |sort: Option<(SortKey, bool)>| {
        let candidate = |index, id: &str, local_score, sort_value| LeafCandidate {
            local_score,
            sort_value,
            ..candidate(index, id)
        };
        let mut one = answer(1);
        one.candidates = vec![
            candidate(0, "a", 1.0, Some(5)),
            candidate(1, "b", 3.0, None),
            candidate(1, "c", 2.0, Some(-1)),
        ];
        let mut two = answer(3);
        two.candidates = vec![candidate(0, "d", 2.0, Some(5)), candidate(0, "c", 2.0, Some(7))];
        let sort = sort.map(|(key, ascending)| Sort { key: key.into(), ascending });
        let parts = [part(1, &[0, 1]), part(3, &[2])];
        let response = gathered(&parts, vec![answered(one), answered(two)], sort);
        let id = |c: &Candidate| {
            format!("{}{}", String::from_utf8_lossy(&c.document_id), c.namespace_index)
        };
        response.candidates.iter().map(id).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ordered(None), "b1 c1 c2 d2 a0");
    assert_eq!(ordered(Some((SortKey::Relevance, true))), "b1 c1 c2 d2 a0");
    assert_eq!(ordered(Some((SortKey::Size, true))), "c1 a0 d2 c2 b1");
    assert_eq!(ordered(Some((SortKey::Modified, false))), "c2 a0 d2 c1 b1");
}

#[test]
fn wrong_answers_are_rejected_with_the_reason() {
    let change = |change: fn(&mut LeafAnswer)| {
        let mut answer = answer(1);
        change(&mut answer);
        answer
    };
    let label = |answer: &mut LeafAnswer, label: fn(&mut PartitionLabel)| {
        answer.label.as_mut().map(label);
    };
    let statistics = AnswerProblem::Statistics;
    let mut cases = vec![
        (change(|a| a.label = None), AnswerProblem::NoLabel),
        (
            change(|a| a.candidates[1].namespace_index = 2),
            AnswerProblem::NamespaceIndex { index: 2, count: 2 },
        ),
        (change(|a| a.candidates[1].namespace_index = 0), AnswerProblem::DocumentId),
        (change(|a| a.candidates[0].document_id.clear()), AnswerProblem::DocumentId),
        (
            change(|a| a.candidates[0].frequencies.push(1)),
            AnswerProblem::Frequencies { found: 3, asked: 2 },
        ),
        (change(|a| a.statistics = None), statistics),
        (change(|a| a.candidates[0].local_score = f64::NAN), AnswerProblem::Score),
        (change(|a| a.total_hits = 21), statistics),
        (
            change(|a| a.statistics.iter_mut().for_each(|s| s.document_frequencies[0] = 21)),
            statistics,
        ),
        (
            change(|a| a.statistics.iter_mut().for_each(|s| s.document_frequencies.clear())),
            AnswerProblem::Frequencies { found: 0, asked: 2 },
        ),
        (
            change(|a| a.candidates = (0..6).map(|n| candidate(0, &n.to_string())).collect()),
            AnswerProblem::Count { found: 6, asked: 5 },
        ),
    ];
    let mut other = answer(1);
    label(&mut other, |l| l.partition = 2);
    cases.push((other, AnswerProblem::OtherPartition { found: 2 }));
    let mut old = answer(1);
    label(&mut old, |l| l.next_offset = 9);
    cases.push((old, AnswerProblem::TooOld { found: 9, asked: 10 }));
    for (answer, problem) in cases {
        assert_eq!(check_search(&part(1, &[0, 1]), &RULES, &answer), Err(problem));
    }
    // Given statistics are not those of what was found.
    let given = SearchRules { are_statistics_given: true, ..RULES };
    let more = change(|a| a.total_hits = 21);
    assert_eq!(check_search(&part(1, &[0, 1]), &given, &more), Ok(()));
}

proptest! {
    /// Whatever the leaves say, each part is answered or failed, never both, and nothing of a
    /// namespace that was not asked comes through.
    #[test]
    fn every_part_is_accounted_for_once(
        answers in proptest::collection::vec(
            (any::<bool>(), 0..4_u32, 0..4_u32, 0..5_u64, 0..4_usize, 8..12_u64), 0..20),
    ) {
        let parts: Vec<_> = (0..).zip(&answers).map(|(n, _)| part(n, &[2 * n, 2 * n + 1])).collect();
        let outcomes = (0..).zip(&answers).map(|(n, &(fails, off, index, total, leaves, next))| {
            if fails {
                return Err(late());
            }
            let mut answer = answer(n + off / 3);
            answer.candidates[1].namespace_index = index;
            answer.candidates[0].frequencies = vec![1; leaves];
            answer.total_hits = total;
            answer.label.iter_mut().for_each(|label| label.next_offset = next);
            check_search(&parts[usize::try_from(n).expect("few")], &RULES, &answer)
                .map_err(|_| late())?;
            answered(answer)
        });
        let outcomes: Vec<_> = outcomes.collect();
        let response = gathered(&parts, outcomes, None);
        let answered: Vec<_> = response.answers.iter()
            .map(|a| a.label.as_ref().expect("checked").partition).collect();
        let failed: Vec<_> = response.failures.iter().map(|f| f.partition).collect();
        let mut all = [answered.clone(), failed].concat();
        all.sort_unstable();
        let expected: Vec<_> = parts.iter().map(|p| p.partition.0).collect();
        prop_assert_eq!(all, expected);
        for candidate in &response.candidates {
            prop_assert!(answered.contains(&(candidate.namespace_index / 2)));
            prop_assert_eq!(candidate.frequencies.len(), LEAVES);
        }
        let statistics = response.statistics.expect("always");
        prop_assert_eq!(statistics.documents, 20 * answered.len() as u64);
    }
}
