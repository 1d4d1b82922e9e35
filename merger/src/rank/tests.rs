use proptest::prelude::*;

use super::*;

fn scope(count: usize) -> Vec<Namespace> {
    let name = |n: usize| NamespaceName::new(format!("n{n}")).expect("valid");
    (0..count).map(|n| (name(n), Incarnation(1))).collect()
}

fn statistics() -> Statistics {
    Statistics { documents: 100, total_length: 5_000, document_frequencies: vec![3, 60] }
}

fn candidate(namespace_index: u32, id: &str, length: u32, frequencies: [u32; 2]) -> Candidate {
    let (document_id, frequencies) = (id.as_bytes().to_vec(), frequencies.to_vec());
    Candidate { namespace_index, document_id, length, frequencies, sort_value: None }
}

fn ids(hits: &[Hit]) -> Vec<String> {
    hits.iter().map(|h| format!("{}/{}", h.namespace_index, h.document_id.to_lossy())).collect()
}

fn ranked(
    candidates: Vec<Candidate>,
    scope: &[Namespace],
    order: Order,
    after: Option<&Place>,
    hits_max: usize,
) -> Result<Vec<Hit>, CandidateInvalid> {
    let statistics = &statistics();
    rank(candidates, Ranking { statistics, scope, scoring_leaves: 2, order, after }, hits_max)
}

#[test]
fn rarer_words_count_more_and_ties_go_by_id() {
    let candidates = vec![
        candidate(1, "common", 50, [0, 1]),
        candidate(1, "b", 50, [1, 0]),
        candidate(1, "a", 50, [1, 0]),
        candidate(0, "b", 50, [1, 0]),
        candidate(0, "short", 10, [1, 0]),
    ];
    let hits = ranked(candidates, &scope(2), Order::Relevance, None, 4).expect("sound");
    assert_eq!(ids(&hits), ["0/short", "1/a", "0/b", "1/b"]);
}

#[test]
fn documents_without_the_number_come_last_in_either_direction() {
    let with = |id: &str, sort_value| Candidate { sort_value, ..candidate(0, id, 9, [1, 1]) };
    let candidates =
        [with("none", None), with("new", Some(9)), with("old", Some(-3)), with("a", None)];
    for (is_ascending, expected) in
        [(true, ["0/old", "0/new", "0/a", "0/none"]), (false, ["0/new", "0/old", "0/a", "0/none"])]
    {
        let order = Order::Number { is_ascending };
        let hits = ranked(candidates.to_vec(), &scope(1), order, None, 9).expect("sound");
        assert_eq!(ids(&hits), expected);
        assert!(hits[0].score > 0.0, "the score is still that of relevance");
    }
}

#[test]
fn strangers_are_refused() {
    for bad in [
        candidate(2, "a", 1, [1, 1]),
        candidate(0, "", 1, [1, 1]),
        Candidate { frequencies: vec![1], ..candidate(0, "a", 1, [1, 1]) },
    ] {
        assert!(ranked(vec![bad], &scope(2), Order::Relevance, None, 4).is_err());
    }
    let statistics = &statistics();
    let (scope, order) = (&scope(2), Order::Relevance);
    let three = Ranking { statistics, scope, scoring_leaves: 3, order, after: None };
    assert!(rank(vec![], three, 4).is_err());
}

fn orders() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Relevance),
        any::<bool>().prop_map(|is_ascending| Order::Number { is_ascending })
    ]
}

proptest! {
    /// The same as scoring all and sorting, whatever order they came in, and however it is paged.
    #[test]
    fn pages_are_pieces_of_the_sorted_whole(
        candidates in proptest::collection::btree_map(
            (0..4_u32, "[a-c]{1,2}"),
            (1..60_u32, 0..3_u32, 0..3_u32, proptest::option::of(-2..3_i64)),
            0..40,
        ),
        order in orders(),
        hits_max in 1..20_usize,
    ) {
        let scope = scope(4);
        let candidates: Vec<_> = candidates.iter().map(|((n, id), (length, a, b, sort_value))| {
            Candidate { sort_value: *sort_value, ..candidate(*n, id, *length, [*a, *b]) }
        }).collect();
        let whole = ranked(candidates.clone(), &scope, order, None, usize::MAX).expect("sound");
        let mut reversed = candidates;
        reversed.reverse();
        let mut paged = Vec::new();
        let mut after = None;
        loop {
            let page = ranked(reversed.clone(), &scope, order, after.as_ref(), hits_max);
            let page = page.expect("sound");
            let Some(last) = page.last() else { break };
            after = Place::of(last, &scope);
            paged.extend(page);
        }
        prop_assert_eq!(paged, whole);
    }
}
