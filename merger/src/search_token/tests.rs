use nautilus_proto::common::v1::{DocumentFilter, Range, Sort, SortKey};
use nautilus_proto::search::v1::SearchRequest;
use nautilus_types::{Incarnation, LogGeneration};
use proptest::prelude::*;

use super::*;

const LOG: LogIdentity = LogIdentity { cluster_id: [1; 16], generation: LogGeneration(2) };

fn life(name: &str, incarnation: u64) -> Namespace {
    (NamespaceName::new(name).expect("valid"), Incarnation(incarnation))
}

fn scope(count: usize) -> Vec<Namespace> {
    (0..count).map(|n| life(&format!("n{n}"), 1 + n as u64)).collect()
}

fn progress(namespaces: usize, partitions: u32, terms: usize) -> Progress {
    Progress {
        place: Place {
            score: 1.0 / 3.0,
            sort_value: Some(-5),
            document_id: DocumentId::new(vec![7; 200]).expect("valid"),
            namespace: NamespaceName::new("n1").expect("valid"),
        },
        statistics: Statistics {
            documents: 100_000_000,
            total_length: 20_000_000_000,
            document_frequencies: vec![123_456; terms],
        },
        total_hits: 99,
        is_relaxed: true,
        offsets: (0..partitions).map(|p| (PartitionId(p), Offset(9_000_000))).collect(),
        build: Some("b-2026".to_owned()),
        namespaces: NamespaceSet::of(&scope(namespaces)),
    }
}

fn request() -> SearchRequest {
    SearchRequest { query: "red fox".into(), ..SearchRequest::default() }
}

fn binding(user: &str, request: &SearchRequest) -> Binding {
    let wish = Wish::of(request).expect("sound");
    Binding::of(&UserId::new(user).expect("valid"), &request.query, &request.namespaces, &wish)
}

#[test]
fn a_token_brings_back_what_was_frozen() {
    let key = TokenKey::generate().expect("key");
    let ours = binding("ada", &request());
    for (namespaces, partitions, terms) in [(1, 1, 1), (64, 4, 0), (1_024, 256, 512)] {
        let progress = progress(namespaces, partitions, terms);
        let token = seal(&key, &LOG, &ours, &progress).expect("sealed").expect("fits");
        assert_eq!(open(&key, &LOG, &ours, &token), Ok(progress), "{} characters", token.len());
    }
    assert_eq!(seal(&key, &LOG, &ours, &progress(1, 257, 1)), Ok(None));
    assert_eq!(seal(&key, &LOG, &ours, &progress(1_024, 256, 1_024)), Ok(None), "too large");
}

#[test]
fn a_token_is_good_for_its_request_only() {
    let key = TokenKey::generate().expect("key");
    let token = seal(&key, &LOG, &binding("ada", &request()), &progress(1, 1, 1));
    let token = token.expect("sealed").expect("fits");
    let range = Range { min: Some(1), max: None };
    let filter = DocumentFilter { size_bytes: Some(range), ..DocumentFilter::default() };
    let sort = Sort { key: SortKey::Size.into(), ascending: false };
    let cases = [
        (SearchRequest { query: "red  fox".into(), ..request() }, PageTokenProblem::Query),
        (SearchRequest { syntax: 2, ..request() }, PageTokenProblem::Query),
        (SearchRequest { match_mode: 1, ..request() }, PageTokenProblem::Query),
        (SearchRequest { namespaces: vec!["n".into()], ..request() }, PageTokenProblem::Scope),
        (SearchRequest { filter: Some(filter), ..request() }, PageTokenProblem::Filter),
        (SearchRequest { sort: Some(sort), ..request() }, PageTokenProblem::Sort),
    ];
    for (other, problem) in cases {
        assert_eq!(open(&key, &LOG, &binding("ada", &other), &token), Err(problem));
    }
    let theirs = binding("bob", &request());
    assert_eq!(open(&key, &LOG, &theirs, &token), Err(PageTokenProblem::User));
    let ours = binding("ada", &request());
    let later = LogIdentity { generation: LogGeneration(3), ..LOG };
    assert_eq!(open(&key, &later, &ours, &token), Err(PageTokenProblem::Foreign));
    let other_key = TokenKey::generate().expect("key");
    assert_eq!(open(&other_key, &LOG, &ours, &token), Err(PageTokenProblem::Forged));
    let of_a_list = key.seal(TokenKind::Page, b"x").expect("sealed");
    assert_eq!(open(&key, &LOG, &ours, &of_a_list), Err(PageTokenProblem::Forged));

    // The same said in other words, and another size and view of the pages.
    let same = SearchRequest {
        page_size: 50,
        view: 1,
        syntax: 1,
        match_mode: 3,
        filter: Some(DocumentFilter::default()),
        sort: Some(Sort { key: SortKey::Relevance.into(), ascending: true }),
        ..request()
    };
    assert!(open(&key, &LOG, &binding("ada", &same), &token).is_ok());
}

proptest! {
    #[test]
    fn a_set_holds_its_lives_and_hardly_others(count in 0..300_usize) {
        let scope = scope(count);
        let set = NamespaceSet::of(&scope);
        prop_assert_eq!(NamespaceSet::of_gaps(&set.to_gaps()), Some(set.clone()));
        prop_assert!(scope.iter().all(|life| set.contains(life)));
        prop_assert!(!set.contains(&life("n0", 1_000_000)), "another life");
    }
}
