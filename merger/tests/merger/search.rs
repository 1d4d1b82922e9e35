//! What a search finds and shows, and what it says when something is wrong or missing.

use std::time::Duration;

use nautilus_proto::common::v1::{DocumentFilter, Field, Range, Sort};
use nautilus_proto::search::v1::{MatchMode, QuerySyntax, SearchRequest, View};
use nautilus_service::RpcError;
use nautilus_service::deadline::set_timeout;
use nautilus_types::Class;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::system::{System, apart, authorized, fields_of, ids, partition_of, query, reason_of};

#[tokio::test]
async fn a_page_is_ranked_highlighted_and_measured() {
    let system = System::start().await;
    system.with_foxes().await;
    let request = SearchRequest { include_timing: true, ..query("FOX") };
    let response = system.search("ada", request).await.expect("found");
    assert_eq!(ids(&response), ["red", "grey"]);
    assert!(response.hits[0].score > response.hits[1].score);
    let coverage = response.coverage.expect("always");
    assert!(coverage.complete && coverage.partitions_asked == 1);
    assert!(!response.consistency_token.is_empty());

    let red = &response.hits[0];
    assert_eq!((red.namespace.as_str(), red.title.as_str()), ("home", "Red fox"));
    assert_eq!((red.path.as_str(), red.version), ("docs/red.md", Some(7)));
    assert_eq!(red.body, "", "only in full view");
    let marked: Vec<_> = red
        .highlights
        .iter()
        .map(|h| {
            let range = &h.ranges[0];
            let at = |at: u32| usize::try_from(at).expect("small");
            (h.field(), &h.text[at(range.start)..at(range.end)])
        })
        .collect();
    assert_eq!(marked, [(Field::Title, "fox"), (Field::Body, "fox")]);

    let timing = response.timing.expect("asked for");
    let stages: Vec<_> = timing.stages.iter().map(|stage| stage.name.as_str()).collect();
    let expected = [
        "authenticate",
        "open_tokens",
        "scope",
        "parse",
        "root",
        "rank",
        "access_check",
        "fetch",
        "seal_tokens",
        "assemble",
    ];
    assert_eq!(stages, expected);
    let sum: u64 = timing.stages.iter().map(|stage| stage.duration_us).sum();
    assert!(timing.total_us >= sum && sum * 100 >= timing.total_us * 95, "{timing:?}");
    system.stop().await;
}

#[tokio::test]
async fn views_show_what_they_say() {
    let system = System::start().await;
    system.with_foxes().await;
    let ids_only = SearchRequest { view: View::Ids.into(), ..query("fox") };
    let response = system.search("ada", ids_only).await.expect("found");
    assert_eq!(ids(&response), ["red", "grey"]);
    assert!(response.hits.iter().all(|hit| hit.title.is_empty() && hit.highlights.is_empty()));
    assert!(response.timing.is_none());
    assert!(system.root.state().fetches.is_empty(), "ids need no texts");
    let full = SearchRequest { view: View::Full.into(), ..query("fox") };
    let response = system.search("ada", full).await.expect("found");
    assert_eq!(response.hits[0].body, "the red fox jumps over the lazy dog");
    system.stop().await;
}

#[tokio::test]
async fn auto_relaxes_and_says_so() {
    let system = System::start().await;
    system.with_foxes().await;
    let both = system.search("ada", query("fox forest")).await.expect("found");
    assert_eq!((ids(&both), both.relaxed), (vec!["grey"], false));
    let none = system.search("ada", query("fox tea")).await.expect("found");
    assert!(none.relaxed);
    assert_eq!((ids(&none).len(), none.total_hits), (3, 3));
    assert_eq!(system.root.state().searches.len(), 3, "asked again only where nothing was found");
    let all = SearchRequest { match_mode: MatchMode::All.into(), ..query("fox tea") };
    let all = system.search("ada", all).await.expect("an answer");
    assert_eq!((ids(&all).len(), all.relaxed), (0, false));
    let any = SearchRequest { match_mode: MatchMode::Any.into(), ..query("fox tea") };
    assert!(!system.search("ada", any).await.expect("found").relaxed);
    let single = system.search("ada", query("unicorn")).await.expect("an answer");
    assert!(!single.relaxed && single.hits.is_empty());
    assert_eq!(system.merger.counts().relaxed, 1);
    system.stop().await;
}

#[tokio::test]
async fn pages_have_a_default_and_a_cap() {
    let system = System::start().await;
    system.user("ada").await;
    let home = system.namespace("home", "ada").await;
    for n in 0..150 {
        system.feed(&home, &format!("{n:03}"), "", "fox");
    }
    for (page_size, count) in [(0, 10), (1, 1), (100, 100), (101, 100), (i32::MAX, 100)] {
        let response = system.search("ada", SearchRequest { page_size, ..query("fox") }).await;
        let response = response.expect("found");
        assert_eq!((response.hits.len(), response.total_hits), (count, 150), "{page_size}");
        // Equal scores: by id.
        assert!(ids(&response).is_sorted());
    }
    let negative = SearchRequest { page_size: -1, ..query("fox") };
    let status = system.search("ada", negative).await.expect_err("negative");
    assert_eq!(
        (status.code(), fields_of(&status)),
        (Code::InvalidArgument, vec!["page_size".into()])
    );
    let keys = system.root.state().fetches.iter().map(|f| f.keys.len()).max();
    assert_eq!(keys, Some(10), "texts come in pieces that fit a message");
    system.stop().await;
}

#[tokio::test]
async fn bad_queries_name_the_place() {
    let system = System::start().await;
    system.with_foxes().await;
    let long = "x".repeat(2_049);
    let wide = "a ".repeat(65);
    let cases = [
        ("", "QUERY_NO_WORDS", "0"),
        ("fox AND", "QUERY_SYNTAX", "7"),
        ("é \"b", "QUERY_SYNTAX", "3"),
        ("(a OR b", "QUERY_SYNTAX", "0"),
        ("-fox", "QUERY_ONLY_NEGATIVE", "0"),
        (&long, "QUERY_TOO_LONG", "2048"),
        (&wide, "QUERY_TOO_MANY_WORDS", "128"),
    ];
    for (text, reason, position) in cases {
        let status = system.search("ada", query(text)).await.expect_err(text);
        assert_eq!((status.code(), &*reason_of(&status)), (Code::InvalidArgument, reason));
        let details = status.get_error_details();
        let violation = &details.bad_request().expect("always").field_violations[0];
        assert_eq!(violation.field, "query");
        assert!(violation.description.ends_with(&format!("at byte {position}")));
        assert_eq!(details.error_info().expect("always").metadata["position"], position);
    }
    let literal = SearchRequest { syntax: QuerySyntax::Literal.into(), ..query("(fox AND") };
    system.search("ada", literal).await.expect("just words");
    assert_eq!(system.root.state().searches.len(), 1, "the others never got there");
    system.stop().await;
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let system = System::start().await;
    system.with_foxes().await;
    let fox = || query("fox");
    let range = Range { min: Some(2), max: Some(1) };
    let upside_down = DocumentFilter { size_bytes: Some(range), ..DocumentFilter::default() };
    let cases = [
        (SearchRequest { view: 9, ..fox() }, "view"),
        (SearchRequest { match_mode: -1, ..fox() }, "match_mode"),
        (SearchRequest { syntax: 3, ..fox() }, "syntax"),
        (SearchRequest { sort: Some(Sort { key: 9, ascending: true }), ..fox() }, "sort.key"),
        (SearchRequest { filter: Some(upside_down), ..fox() }, "filter.size_bytes"),
    ];
    for (request, field) in cases {
        let status = system.search("ada", request).await.expect_err(field);
        assert_eq!(
            (status.code(), fields_of(&status)),
            (Code::InvalidArgument, vec![field.into()])
        );
    }
    let long = SearchRequest { budget_ms: 60_000, ..fox() };
    system.search("ada", long).await.expect("found");
    assert_eq!(system.root.state().searches[0].budget_us, 5_000_000, "quietly the most");
    // Over 64 KiB a message is not even read.
    let huge = SearchRequest { namespaces: vec!["x".repeat(70_000)], ..fox() };
    let status = system.search("ada", huge).await.expect_err("too large");
    assert_eq!(status.code(), Code::OutOfRange);
    system.stop().await;
}

#[tokio::test]
async fn operators_may_choose_a_replica_group() {
    let system = System::start().await;
    system.with_foxes().await;
    let green = || SearchRequest { replica_group: "green".into(), ..query("fox") };
    let status = system.search("ada", green()).await.expect_err("not an operator");
    let reason = reason_of(&status);
    assert_eq!((status.code(), &*reason), (Code::PermissionDenied, "REPLICA_GROUP_DENIED"));
    assert!(system.root.state().searches.is_empty());

    system.search_as_operator("ada", green()).await.expect("found");
    system.search("ada", query("fox")).await.expect("found");
    let groups = {
        let state = system.root.state();
        let searches = state.searches.iter().map(|one| one.replica_group.clone());
        let fetches = state.fetches.iter().map(|one| one.replica_group.clone());
        searches.zip(fetches).collect::<Vec<_>>()
    };
    let both = |name: &str| (name.to_owned(), name.to_owned());
    assert_eq!(groups, [both("green"), both("")], "texts come from where hits do");

    system.root.state().refusal = Some(|| {
        let error = RpcError::new(Class::Invalid, "ARGUMENT_INVALID", "no such group");
        error.field("replica_group", "is unknown").into_status()
    });
    let status = system.search_as_operator("ada", green()).await.expect_err("unknown");
    assert_eq!(
        (status.code(), fields_of(&status)),
        (Code::InvalidArgument, vec!["replica_group".into()])
    );
    system.stop().await;
}

#[tokio::test]
async fn a_missing_part_is_an_error_unless_allowed() {
    let system = System::start().await;
    system.user("ada").await;
    let (first, second) = apart();
    for name in [&first, &second] {
        let namespace = system.namespace(name, "ada").await;
        system.feed(&namespace, name, "", "fox");
    }
    let lost = partition_of(&second);
    system.root.state().failures.insert(lost, "LEAF_UNAVAILABLE");

    let status = system.search("ada", query("fox")).await.expect_err("partial");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "PARTIAL_COVERAGE"));
    let details = status.get_error_details();
    assert!(details.retry_info().is_some());
    let metadata = &details.error_info().expect("always").metadata;
    assert_eq!(metadata["missing"], format!("{lost}:LEAF_UNAVAILABLE"));

    let partly = SearchRequest { allow_partial: true, ..query("fox") };
    let response = system.search("ada", partly.clone()).await.expect("a part");
    let coverage = response.coverage.clone().expect("always");
    assert_eq!(ids(&response), [first.as_str()]);
    assert!(!coverage.complete);
    assert_eq!((coverage.partitions_asked, coverage.partitions_answered), (2, 1));
    assert_eq!(coverage.missing[0].partition, lost.0);
    assert_eq!(coverage.missing[0].reason, "LEAF_UNAVAILABLE");
    assert_eq!(system.merger.counts().partial, 1);

    // Nothing at all is no part, and for want of time it is said so.
    system.root.state().failures.insert(partition_of(&first), "DEADLINE");
    let status = system.search("ada", partly.clone()).await.expect_err("nothing");
    assert_eq!(status.code(), Code::Unavailable);
    system.root.state().failures.insert(lost, "DEADLINE");
    let status = system.search("ada", partly).await.expect_err("nothing in time");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    system.stop().await;
}

#[tokio::test]
async fn texts_that_are_gone_or_out_of_reach_are_not_made_up() {
    let system = System::start().await;
    system.with_foxes().await;
    let home = partition_of("home");
    system.root.state().deleted.insert("red".into());
    let response = system.search("ada", query("fox")).await.expect("the other");
    assert_eq!(ids(&response), ["grey"]);
    assert!(response.coverage.expect("always").complete);

    system.root.state().fetch_failures.insert(home);
    let status = system.search("ada", query("fox")).await.expect_err("no texts");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "PARTIAL_COVERAGE"));
    system.stop().await;
}

type Refusal = fn() -> tonic::Status;

#[tokio::test]
async fn a_root_that_is_away_or_wrong_shows_nothing() {
    let system = System::start_with(false).await;
    system.with_foxes().await;
    let status = system.search("ada", query("fox")).await.expect_err("no root");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "ROOT_UNAVAILABLE"));
    system.stop().await;

    let system = System::start().await;
    system.with_foxes().await;
    let lies: [fn(&mut nautilus_proto::root::v1::SearchResponse); 4] = [
        |response| response.candidates[0].namespace_index = 1,
        |response| response.candidates[0].frequencies.clear(),
        |response| response.answers.push(response.answers[0].clone()),
        |response| response.answers[0].label = None,
    ];
    for lie in lies {
        system.root.state().lie = Some(lie);
        let status = system.search("ada", query("fox")).await.expect_err("a lie");
        assert_eq!((status.code(), &*reason_of(&status)), (Code::Internal, "INTERNAL"));
        assert!(!status.message().contains("root"), "{}", status.message());
    }
    system.root.state().lie = Some(|response| response.answers.clear());
    let status = system.search("ada", query("fox")).await.expect_err("silence");
    assert_eq!(reason_of(&status), "PARTIAL_COVERAGE");

    system.root.state().lie = None;
    let refusals: [(Refusal, Code, &str); 3] = [
        (
            || RpcError::new(Class::Precondition, "STALE_PARTITION_MAP", "old").into_status(),
            Code::Unavailable,
            "ROOT_UNAVAILABLE",
        ),
        (
            || RpcError::new(Class::Overloaded, "QUEUE_FULL", "full").into_status(),
            Code::ResourceExhausted,
            "ROOT_OVERLOADED",
        ),
        (
            || RpcError::new(Class::Invalid, "ARGUMENT_INVALID", "bad").into_status(),
            Code::Internal,
            "INTERNAL",
        ),
    ];
    for (refusal, code, reason) in refusals {
        system.root.state().refusal = Some(refusal);
        let status = system.search("ada", query("fox")).await.expect_err(reason);
        assert_eq!((status.code(), &*reason_of(&status)), (code, reason));
    }
    system.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_goes_on_to_the_root() {
    let system = System::start().await;
    system.with_foxes().await;
    let mut request = authorized(query("fox"), &system.token("ada", false));
    set_timeout(&mut request, Duration::from_secs(4));
    system.client().search(request).await.expect("found");
    let given = system.root.state().timeouts.clone();
    // Some is kept back for what comes after the candidates.
    let (least, most) = (Duration::from_secs(2), Duration::from_millis(3_500));
    assert!(given.len() == 1 && given[0] > least && given[0] < most, "{given:?}");
    system.stop().await;
}
