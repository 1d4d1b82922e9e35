use nautilus_proto::common::v1::PartitionLabel;
use proptest::prelude::*;

use super::*;

const LIMIT: u32 = 5;
const LEAVES: usize = 2;

fn part(partition: u32, indexes: &[u32]) -> Part {
    Part { partition: PartitionId(partition), indexes: indexes.to_vec(), min_next_offset: 10 }
}

fn candidate(namespace_index: u32, id: &str) -> LeafCandidate {
    LeafCandidate {
        namespace_index,
        document_id: id.into(),
        length: 7,
        frequencies: vec![1, 0],
        local_score: 1.0,
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
    Outcome::Answered { answer, leaf: "leaf-1".into(), round_trip: Duration::from_micros(250) }
}

#[test]
fn answers_are_summed_and_indexes_put_back() {
    let parts = [part(1, &[2, 5]), part(3, &[0, 1])];
    let mut truncated = answer(3);
    truncated.truncated = true;
    let gathered = gather(&parts, vec![answered(answer(1)), answered(truncated)], LIMIT, LEAVES);
    let response = gathered.response;
    let indexes: Vec<_> = response.candidates.iter().map(|c| c.namespace_index).collect();
    assert_eq!(indexes, [2, 5, 0, 1]);
    let statistics = response.statistics.expect("summed");
    assert_eq!((statistics.documents, statistics.total_length), (40, 600));
    assert_eq!(statistics.document_frequencies, [6, 0]);
    assert_eq!((response.total_hits, response.truncated), (6, true));
    assert_eq!(response.answers[0].round_trip_us, 250);
    assert!(response.failures.is_empty() && gathered.rejected.is_empty());
}

#[test]
fn a_failure_leaves_the_others() {
    let parts = [part(1, &[2, 5]), part(3, &[0, 1])];
    let outcomes = vec![Outcome::Failed(Failure::deadline()), answered(answer(3))];
    let response = gather(&parts, outcomes, LIMIT, LEAVES).response;
    assert_eq!(response.answers.len(), 1);
    assert_eq!(response.failures[0].partition, 1);
    assert_eq!(response.failures[0].reason, "DEADLINE");
    assert_eq!(response.total_hits, 3);
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
        (change(|a| a.total_hits = 1), statistics),
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
        let gathered = gather(&[part(1, &[0, 1])], vec![answered(answer)], LIMIT, LEAVES);
        assert_eq!(gathered.rejected, [(PartitionId(1), problem)]);
        assert_eq!(gathered.response.failures[0].reason, "ANSWER_INVALID");
        assert_eq!(gathered.response.total_hits, 0);
        assert!(gathered.response.candidates.is_empty());
    }
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
                return Outcome::Failed(Failure::deadline());
            }
            let mut answer = answer(n + off / 3);
            answer.candidates[1].namespace_index = index;
            answer.candidates[0].frequencies = vec![1; leaves];
            answer.total_hits = total;
            answer.label.iter_mut().for_each(|label| label.next_offset = next);
            answered(answer)
        });
        let outcomes: Vec<_> = outcomes.collect();
        let response = gather(&parts, outcomes, LIMIT, LEAVES).response;
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
