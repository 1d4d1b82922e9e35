//! Pages: all of them together are the one large page, whatever is written between them.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_catalog::Catalog as _;
use nautilus_proto::common::v1::{DocumentFilter, DocumentMetadata, NamespaceRef, Range, Sort};
use nautilus_proto::search::v1::{MatchMode, SearchRequest, SearchResponse, View};
use nautilus_query::{MatchMode as Words, QueryLimits, parse};
use proptest::prelude::*;
use proptest::test_runner::{Config as RunnerConfig, TestCaseResult, TestRunner};
use tonic::{Code, Status};

use crate::fake_root::{Doc, ranked};
use crate::system::{
    System, apart, fields_of, ids, namespace_name, partition_of, query, reason_of, user_id,
};

const QUERY: &str = "red fox";

fn pages(page_size: i32) -> SearchRequest {
    SearchRequest {
        page_size,
        match_mode: MatchMode::Any.into(),
        view: View::Ids.into(),
        ..query(QUERY)
    }
}

async fn next(
    system: &System,
    request: &SearchRequest,
    page_token: &str,
) -> Result<SearchResponse, Status> {
    let page_token = page_token.to_owned();
    system.search("ada", SearchRequest { page_token, ..request.clone() }).await
}

/// What a hit is known by.
type Id = (String, String);

fn shown(response: &SearchResponse) -> Vec<Id> {
    response.hits.iter().map(|hit| (hit.namespace.clone(), hit.document_id.clone())).collect()
}

fn id_of(doc: &Doc) -> Id {
    (String::from_utf8(doc.namespace.name.clone()).expect("text"), doc.id.clone())
}

#[derive(Debug, Clone)]
struct Text {
    red: usize,
    fox: usize,
    other: usize,
    size: u64,
    modified: i64,
}

impl Text {
    /// One namespace has hardly any foxes and one hardly anything red, so that what is rare in a
    /// part of the scope is common in all of it.
    fn doc(&self, n: usize, namespace: &NamespaceRef, id: &str, changed_at: u64) -> Doc {
        let (red, fox) = match n {
            0 if self.red > 0 => (self.red, 0),
            1 if self.fox > 0 => (0, self.fox),
            _ => (self.red, self.fox),
        };
        let words = [("red", red), ("fox", fox), ("tea", self.other)];
        let body: Vec<_> = words.iter().flat_map(|(word, n)| vec![*word; *n]).collect();
        let metadata = DocumentMetadata {
            size_bytes: self.size,
            modified_unix_ms: self.modified,
            ..DocumentMetadata::default()
        };
        Doc {
            namespace: namespace.clone(),
            id: id.to_owned(),
            body: body.join(" "),
            metadata,
            changed_at,
            ..Doc::default()
        }
    }
}

fn texts() -> impl Strategy<Value = Text> {
    (0..4_usize, 0..3_usize, 0..6_usize, 0..4_u64, -2..3_i64)
        .prop_map(|(red, fox, other, size, modified)| Text { red, fox, other, size, modified })
}

/// What happens between two pages: this document is written or deleted.
type Edit = (usize, String, Option<Text>);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = (0..3_usize, "[a-h][a-c]?", proptest::option::of(texts()));
    proptest::collection::vec(edit, 0..6)
}

#[derive(Debug, Clone)]
struct Case {
    docs: BTreeMap<(usize, String), Text>,
    page_size: i32,
    sort: Option<Sort>,
    filter: Option<DocumentFilter>,
    edits: Vec<Vec<Edit>>,
}

fn cases(with_edits: bool) -> impl Strategy<Value = Case> {
    let sort = (2..5_i32, any::<bool>()).prop_map(|(key, ascending)| Sort { key, ascending });
    let size = Range { min: Some(1), max: Some(2) };
    let filter = DocumentFilter { size_bytes: Some(size), ..DocumentFilter::default() };
    let rounds = if with_edits { 1..8_usize } else { 0..1 };
    (
        proptest::collection::btree_map((0..3_usize, "[a-h][a-c]?"), texts(), 0..40),
        1..8_i32,
        proptest::option::of(sort),
        prop_oneof![3 => Just(None), 1 => Just(Some(filter))],
        proptest::collection::vec(edits(), rounds),
    )
        .prop_map(|(docs, page_size, sort, filter, edits)| Case {
            docs,
            page_size,
            sort,
            filter,
            edits,
        })
}

struct World {
    system: System,
    namespaces: Vec<NamespaceRef>,
}

impl World {
    /// Three namespaces in at least two partitions, of which each gives few candidates at first.
    async fn start() -> Self {
        let system = System::start_as(true, |config| config.candidates_per_partition = 2).await;
        system.user("ada").await;
        let (first, second) = apart();
        let mut namespaces = Vec::new();
        for name in [first.as_str(), second.as_str(), "third"] {
            namespaces.push(system.namespace(name, "ada").await);
        }
        Self { system, namespaces }
    }

    fn fill(&self, case: &Case) -> Vec<Doc> {
        let doc =
            |((n, id), text): (&(usize, String), &Text)| text.doc(*n, &self.namespaces[*n], id, 0);
        let docs: Vec<_> = case.docs.iter().map(doc).collect();
        let mut state = self.system.root.state();
        state.next_offset = 100;
        state.documents.clone_from(&docs);
        docs
    }

    fn edit(&self, edits: &[Edit]) -> BTreeSet<Id> {
        let mut state = self.system.root.state();
        let mut changed = BTreeSet::new();
        for (n, id, text) in edits {
            let namespace = &self.namespaces[*n];
            let is_it = |doc: &Doc| doc.namespace == *namespace && doc.id == *id;
            state.documents.retain(|doc| !is_it(doc));
            let offset = state.next_offset;
            if let Some(text) = text {
                state.documents.push(text.doc(*n, namespace, id, offset));
            }
            state.next_offset += 1;
            changed.insert((String::from_utf8(namespace.name.clone()).expect("text"), id.clone()));
        }
        changed
    }
}

fn check(with_edits: bool, cases_max: u32, test: impl Fn(&World, &Case) -> TestCaseResult) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let world = runtime.block_on(World::start());
    let mut runner = TestRunner::new(RunnerConfig::with_cases(cases_max));
    let outcome = runner.run(&cases(with_edits), |case| {
        let _inside = runtime.enter();
        test(&world, &case)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    runtime.block_on(world.system.stop());
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(future)
}

#[test]
fn pages_together_are_the_one_large_page() {
    check(false, 96, |world, case| {
        let docs = world.fill(case);
        let (filter, sort) = (case.filter, case.sort);
        let request = |page_size| SearchRequest { filter, sort, ..pages(page_size) };
        let whole = wait(next(&world.system, &request(100), "")).expect("found");

        let analyzer = nautilus_analysis::Analyzer::new();
        let tree = parse(QUERY, Words::Any, &QueryLimits::default(), &analyzer).expect("a tree");
        let all: Vec<_> = docs.iter().collect();
        let expected = ranked(&all, &tree, None, filter.as_ref(), sort.as_ref());
        let scores: Vec<_> = expected.iter().map(|one| (id_of(one.doc), one.score)).collect();
        let found: Vec<_> = whole.hits.iter().map(|hit| hit.score).collect();
        let found: Vec<_> = shown(&whole).into_iter().zip(found).collect();
        prop_assert_eq!(&found, &scores, "the page is the naive one to the last bit");
        prop_assert!(whole.next_page_token.is_empty() && !whole.truncated);

        let mut token = String::new();
        let mut paged = Vec::new();
        loop {
            let page = wait(next(&world.system, &request(case.page_size), &token)).expect("found");
            prop_assert_eq!(page.total_hits, whole.total_hits);
            prop_assert!(page.hits.len() <= usize::try_from(case.page_size).expect("small"));
            paged.extend(page.hits);
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        prop_assert_eq!(paged, whole.hits);
        Ok(())
    });
}

#[test]
fn writing_between_pages_repeats_nothing_and_omits_nothing_unchanged() {
    check(true, 96, |world, case| {
        world.fill(case);
        let (filter, sort) = (case.filter, case.sort);
        let request = SearchRequest { filter, sort, ..pages(case.page_size) };
        let before = wait(next(&world.system, &pages_of_all(&request), "")).expect("found");
        let mut rounds = case.edits.iter();
        let (mut token, mut changed) = (String::new(), BTreeSet::new());
        let mut seen = Vec::new();
        loop {
            let page = wait(next(&world.system, &request, &token)).expect("found");
            prop_assert_eq!(page.total_hits, before.total_hits, "as page one counted");
            seen.extend(shown(&page));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
            changed.extend(rounds.next().map(|edits| world.edit(edits)).unwrap_or_default());
        }
        let distinct: BTreeSet<_> = seen.iter().collect();
        prop_assert_eq!(distinct.len(), seen.len(), "nothing twice");
        let unchanged = |id: &Id| !changed.contains(id);
        let expected: Vec<_> = shown(&before).into_iter().filter(unchanged).collect();
        seen.retain(unchanged);
        prop_assert_eq!(seen, expected, "in the order of page one");
        Ok(())
    });
}

fn pages_of_all(request: &SearchRequest) -> SearchRequest {
    SearchRequest { page_size: 100, ..request.clone() }
}

#[tokio::test]
async fn what_page_one_was_served_at_bounds_the_others() {
    let world = World::start().await;
    let system = &world.system;
    for (n, namespace) in world.namespaces.iter().enumerate() {
        for id in ["a", "b", "c"] {
            system.feed(namespace, &format!("{id}{n}"), "", "red fox");
        }
    }
    let first = next(system, &pages(2), "").await.expect("found");
    assert_eq!(first.total_hits, 9);
    {
        let state = system.root.state();
        let [choice, exact] = &state.searches[..] else { panic!("asked twice") };
        assert!(choice.statistics.is_none() && exact.statistics.is_some());
        assert_eq!((choice.limit, exact.limit), (3, 3));
        assert!(exact.after.is_none() && exact.changed_before.is_empty());
    }
    system.root.state().next_offset = 150;
    next(system, &pages(2), &first.next_page_token).await.expect("found");
    {
        let state = system.root.state();
        let later = state.searches.last().expect("asked");
        assert_eq!(state.searches.len(), 3, "a later page needs one question");
        assert_eq!(later.statistics, state.searches[1].statistics);
        let offsets: BTreeSet<_> = later.changed_before.iter().map(|one| one.next_offset).collect();
        assert_eq!((offsets, &later.min_offsets), (BTreeSet::from([100]), &later.changed_before));
        assert_eq!(later.after.as_ref().expect("a place").document_id, b"a1");
    }
    world.system.stop().await;
}

#[tokio::test]
async fn a_relaxed_search_stays_relaxed() {
    let system = System::start().await;
    system.with_foxes().await;
    let request = SearchRequest { page_size: 1, view: View::Ids.into(), ..query("fox tea") };
    let first = next(&system, &request, "").await.expect("found");
    assert!(first.relaxed && !first.next_page_token.is_empty());
    let home = system.root.state().documents[0].namespace.clone();
    system.feed(&home, "both", "", "fox tea");
    let second = next(&system, &request, &first.next_page_token).await.expect("found");
    assert!(second.relaxed);
    assert_eq!((second.hits.len(), second.total_hits), (1, 3));
    system.stop().await;
}

#[tokio::test]
async fn a_page_token_is_of_one_search() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    system.share("home", "bob").await;
    let request = pages(1);
    let token = next(&system, &request, "").await.expect("found").next_page_token;
    let forged = format!("{}{}", &token[1..], &token[..1]);
    let sort = Some(Sort { key: 2, ascending: false });
    let size = Range { min: Some(1), max: None };
    let filter = Some(DocumentFilter { size_bytes: Some(size), ..DocumentFilter::default() });
    let cases = [
        (request.clone(), &*forged, "PAGE_TOKEN_INVALID"),
        (
            SearchRequest { query: "fox".into(), ..request.clone() },
            &*token,
            "PAGE_TOKEN_OF_ANOTHER_QUERY",
        ),
        (
            SearchRequest { namespaces: vec!["home".into()], ..request.clone() },
            &*token,
            "PAGE_TOKEN_OF_ANOTHER_SCOPE",
        ),
        (SearchRequest { sort, ..request.clone() }, &*token, "PAGE_TOKEN_OF_ANOTHER_ORDER"),
        (SearchRequest { filter, ..request.clone() }, &*token, "PAGE_TOKEN_OF_ANOTHER_FILTER"),
    ];
    for (request, token, reason) in cases {
        let status = next(&system, &request, token).await.expect_err(reason);
        assert_eq!((status.code(), &*reason_of(&status)), (Code::InvalidArgument, reason));
        assert_eq!(fields_of(&status), ["page_token"]);
    }
    let theirs = SearchRequest { page_token: token.clone(), ..request.clone() };
    let status = system.search("bob", theirs).await.expect_err("ada's");
    assert_eq!(reason_of(&status), "PAGE_TOKEN_OF_ANOTHER_USER");
    let larger = SearchRequest { page_size: 50, view: View::Basic.into(), ..request };
    next(&system, &larger, &token).await.expect("the size of pages may vary");
    system.stop().await;
}

#[tokio::test]
async fn the_scope_of_later_pages_only_shrinks() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let (first, second) = apart();
    for name in [&first, &second] {
        let namespace = system.namespace(name, "bob").await;
        system.feed(&namespace, name, "", "red fox");
    }
    system.share(&first, "ada").await;
    let page = next(&system, &pages(1), "").await.expect("found");
    assert_eq!(page.total_hits, 3);
    system.share(&second, "ada").await;
    let rest = next(&system, &pages(100), &page.next_page_token).await.expect("found");
    let all: BTreeSet<_> = ids(&page).into_iter().chain(ids(&rest)).collect();
    assert_eq!(all, BTreeSet::from(["grey", "red", first.as_str()]), "what is new is not added");

    // Also one that the request names disappears without a word: page one could read it.
    let named = SearchRequest { namespaces: vec!["home".into(), first.clone()], ..pages(1) };
    let page = next(&system, &named, "").await.expect("found");
    let (user, namespace) = (user_id("ada"), namespace_name(&first));
    system.catalog.revoke_membership(&user, &namespace).await.expect("revoked");
    let named = SearchRequest { page_size: 100, ..named };
    let rest = next(&system, &named, &page.next_page_token).await.expect("found");
    assert!(rest.hits.iter().all(|hit| hit.namespace == "home"));
    let status = next(&system, &named, "").await.expect_err("page one is strict");
    assert_eq!(reason_of(&status), "NAMESPACE_DENIED");
    system.stop().await;
}

#[tokio::test]
async fn without_the_time_to_settle_it_a_page_says_so() {
    let world = World::start().await;
    let system = &world.system;
    for namespace in &world.namespaces {
        for id in ["a", "b", "c", "d"] {
            system.feed(namespace, id, "", "red fox");
        }
    }
    // The second question does not get through to one of the partitions.
    let lost = partition_of(&String::from_utf8_lossy(&world.namespaces[1].name));
    let request = SearchRequest { allow_partial: true, ..pages(2) };
    system.root.state().lie = Some(|response| {
        if response.answers.iter().any(|answer| answer.candidates == 3) {
            response.truncated = true;
        }
    });
    let page = next(system, &request, "").await.expect("found");
    assert!(page.truncated && page.hits.len() == 2);
    system.root.state().lie = None;
    system.root.state().failures.insert(lost, "LEAF_UNAVAILABLE");
    let part = next(system, &request, "").await.expect("a part");
    assert!(!part.coverage.as_ref().expect("always").complete);
    // What was missing on page one comes in where it is first seen, and stays there.
    system.root.state().failures.clear();
    system.root.state().lie = None;
    let rest = SearchRequest { page_size: 100, ..request };
    let rest = next(system, &rest, &part.next_page_token).await.expect("found");
    assert!(rest.coverage.expect("always").complete);
    let all: Vec<_> = part.hits.iter().chain(&rest.hits).map(|hit| &hit.document_id).collect();
    assert!(all.is_sorted(), "{all:?}");
    world.system.stop().await;
}
