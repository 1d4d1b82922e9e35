//! Who sees what: credentials, isolation, the two access checks, and what happens without a catalog.

use nautilus_catalog::{Catalog as _, MountPath, Right, UserGroupId};
use nautilus_proto::search::v1::{GetDocumentRequest, ListDocumentsRequest, SearchRequest};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::fake_root::Meanwhile;
use crate::system::{
    System, authorized, fields_of, ids, namespace_name, query, reason_of, user_id,
};

#[tokio::test]
async fn credentials_come_first() {
    let system = System::start().await;
    system.with_foxes().await;
    let cases = [
        (Request::new(query("fox")), "TOKEN_MISSING"),
        (authorized(query("fox"), "a.b.c"), "TOKEN_MALFORMED"),
        (authorized(query("fox"), &system.token("nobody", false)), "USER_UNKNOWN"),
        (authorized(query("fox"), &system.token("nobody", true)), "USER_UNKNOWN"),
        // Not even that the query is wrong is said to strangers.
        (Request::new(query("\"")), "TOKEN_MISSING"),
    ];
    for (request, reason) in cases {
        let status = system.client().search(request).await.expect_err(reason);
        assert_eq!((status.code(), &*reason_of(&status)), (Code::Unauthenticated, reason));
    }
    assert!(system.root.state().searches.is_empty());
    system.stop().await;
}

#[tokio::test]
async fn a_search_sees_exactly_the_callers_namespaces() {
    let system = System::start().await;
    let home = system.with_foxes().await;
    system.user("bob").await;
    let team = system.namespace("team", "bob").await;
    system.feed(&team, "bobs", "Fox", "bob's fox");

    let response = system.search("ada", query("fox")).await.expect("found");
    assert_eq!((ids(&response), response.total_hits), (vec!["red", "grey"], 2));
    let asked = system.root.state().searches[0].namespaces.clone();
    assert_eq!(asked, [home], "nothing else is even asked for");
    let alone = response;

    system.share("team", "ada").await;
    let response = system.search("ada", query("fox")).await.expect("found");
    assert_eq!((ids(&response), response.total_hits), (vec!["bobs", "red", "grey"], 3));
    let request = SearchRequest { namespaces: vec!["home".into(), "home".into()], ..query("fox") };
    let response = system.search("ada", request).await.expect("found");
    assert_eq!(response.hits, alone.hits, "scores are those of the scope alone");
    system.stop().await;
}

/// Everything of a status that a client can see, without the id of the request.
fn visible(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

#[tokio::test]
async fn forbidden_and_absent_look_the_same() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let secret = system.namespace("secret", "bob").await;
    system.feed(&secret, "x", "Fox", "fox");
    let mut seen = Vec::new();
    for namespace in ["secret", "absent"] {
        let name = || namespace.to_owned();
        let request = SearchRequest { namespaces: vec!["home".into(), name()], ..query("fox") };
        seen.push(visible(&system.search("ada", request).await.expect_err("denied")));
        for document_id in ["x", "y"] {
            let request = GetDocumentRequest {
                namespace: name(),
                document_id: document_id.into(),
                ..GetDocumentRequest::default()
            };
            seen.push(visible(&system.get("ada", request).await.expect_err("denied")));
        }
        let request = ListDocumentsRequest { namespace: name(), ..ListDocumentsRequest::default() };
        seen.push(visible(&system.list("ada", request).await.expect_err("denied")));
    }
    assert!(seen.iter().all(|status| *status == seen[0]), "{seen:?}");
    assert_eq!(seen[0].0, Code::PermissionDenied);
    let status = Status::with_details(seen[0].0, seen[0].1.clone(), seen[0].2.clone().into());
    assert_eq!(reason_of(&status), "NAMESPACE_DENIED");
    assert!(!format!("{status:?}").contains("secret"));
    assert!(system.root.state().searches.is_empty());
    system.stop().await;
}

#[tokio::test]
async fn an_empty_scope_finds_nothing_and_misses_nothing() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let response = system.search("bob", query("fox")).await.expect("an answer");
    let coverage = response.coverage.expect("always");
    assert!(response.hits.is_empty() && response.total_hits == 0 && coverage.complete);
    assert_eq!((coverage.partitions_asked, coverage.partitions_answered), (0, 0));
    assert!(system.root.state().searches.is_empty());
    let status = system.search("bob", query("(")).await.expect_err("still a bad query");
    assert_eq!(status.code(), Code::InvalidArgument);
    system.stop().await;
}

#[tokio::test]
async fn a_right_withdrawn_meanwhile_takes_hits_and_counts_away() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let team = system.namespace("team", "bob").await;
    system.feed(&team, "bobs", "Fox", "bob's fox");
    let before = system.search("ada", query("fox")).await.expect("found");
    system.share("team", "ada").await;
    let (user, namespace) = (user_id("ada"), namespace_name("team"));
    system.root.state().meanwhile = Some(Meanwhile::Revoked { user, namespace });
    let response = system.search("ada", query("fox")).await.expect("found");
    assert_eq!(ids(&response), ["red", "grey"]);
    assert_eq!(response.total_hits, 2, "nor does it count");
    assert_eq!(response.hits, before.hits, "nor does it change a score");
    assert_eq!(system.merger.counts().acl_dropped_hits, 1);
    let fetched = system.root.state().fetches.clone();
    let names = fetched.iter().flat_map(|f| &f.keys).filter_map(|key| key.namespace.as_ref());
    assert!(names.into_iter().all(|namespace| namespace.name == b"home"), "nor is it fetched");

    // The only namespace goes: then it is as if there had been none.
    let request = SearchRequest { namespaces: vec!["team".into()], ..query("fox") };
    system.share("team", "ada").await;
    let (user, namespace) = (user_id("ada"), namespace_name("team"));
    system.root.state().meanwhile = Some(Meanwhile::Revoked { user, namespace });
    let response = system.search("ada", request).await.expect("an answer");
    assert!(response.hits.is_empty() && response.total_hits == 0);
    system.stop().await;
}

#[tokio::test]
async fn without_the_catalog_nothing_is_shown() {
    let system = System::start().await;
    system.with_foxes().await;
    let check = |status: Status| {
        let reason = reason_of(&status);
        assert_eq!((status.code(), &*reason), (Code::Unavailable, "CATALOG_UNAVAILABLE"));
        assert!(status.get_error_details().retry_info().is_some());
    };
    // Down between the first check and the second.
    system.root.state().meanwhile = Some(Meanwhile::CatalogDown);
    check(system.search("ada", query("fox")).await.expect_err("no second check"));
    // Down from the start.
    check(system.search("ada", query("fox")).await.expect_err("no catalog"));
    let get = GetDocumentRequest {
        namespace: "home".into(),
        document_id: "red".into(),
        ..GetDocumentRequest::default()
    };
    check(system.get("ada", get).await.expect_err("no catalog"));
    assert!(system.root.state().fetches.is_empty(), "no text was even fetched");
    system.catalog.set_down(false);
    system.search("ada", query("fox")).await.expect("back again");
    system.stop().await;
}

#[tokio::test]
async fn the_state_of_the_cluster_is_for_operators() {
    let system = System::start().await;
    system.with_foxes().await;
    let status = system.status(&system.token("ada", false)).await.expect_err("not ada");
    assert_eq!(
        (status.code(), &*reason_of(&status)),
        (Code::PermissionDenied, "OPERATOR_REQUIRED")
    );
    let state = system.status(&system.token("olga", true)).await.expect("an operator");
    assert_eq!((state.cluster_id, state.log_generation), (vec![9; 16], 3));
    assert_eq!(state.groups[0].name, "blue");
    let partitions: Vec<_> = state
        .partitions
        .iter()
        .map(|p| (p.label.as_ref().map(|l| l.partition), p.state.as_str(), p.detail.as_str()))
        .collect();
    assert_eq!(
        partitions,
        [
            (Some(0), "SERVING", ""),
            (Some(1), "SERVING", ""),
            (Some(2), "FAILED", "DEADLINE"),
            (Some(3), "SERVING", ""),
        ]
    );
    system.stop().await;
}

#[tokio::test]
async fn names_that_cannot_be_are_the_callers_fault() {
    let system = System::start().await;
    system.with_foxes().await;
    let long = "x".repeat(257);
    for (namespaces, field) in [
        (vec!["home".to_owned(), String::new()], "namespaces[1]"),
        (vec![long], "namespaces[0]"),
        ((0..1_025).map(|n| n.to_string()).collect(), "namespaces"),
    ] {
        let request = SearchRequest { namespaces, ..query("fox") };
        let status = system.search("ada", request).await.expect_err(field);
        assert_eq!(
            (status.code(), fields_of(&status)),
            (Code::InvalidArgument, vec![field.into()])
        );
    }
    system.stop().await;
}

#[tokio::test]
async fn what_is_shared_with_a_group_is_found_and_shown_where_it_is_mounted() {
    let system = System::start().await;
    system.with_foxes().await;
    system.user("bob").await;
    let (bob, group) = (user_id("bob"), UserGroupId::new("staff").expect("valid"));
    let name = namespace_name("home");
    system.catalog.create_user_group(&group, "Staff", 1).await.expect("new");
    system.catalog.add_to_user_group(&group, &bob).await.expect("added");
    assert!(system.search("bob", query("fox")).await.expect("answered").hits.is_empty());

    let right = Right::Reader;
    system.catalog.grant_group_membership(&group, &name, right).await.expect("shared");
    let found = system.search("bob", query("fox")).await.expect("found");
    assert!(!found.hits.is_empty());
    assert!(found.hits.iter().all(|hit| hit.mount_path.is_empty()));
    let path = MountPath::new("Shared/Animals").expect("valid");
    system.catalog.set_mount(&bob, &path, &name).await.expect("mounted");
    let found = system.search("bob", query("fox")).await.expect("found");
    assert!(found.hits.iter().all(|hit| hit.mount_path == "Shared/Animals"));
    // Where others see it is nobody else's business.
    let found = system.search("ada", query("fox")).await.expect("found");
    assert!(found.hits.iter().all(|hit| hit.mount_path.is_empty()));

    system.catalog.remove_from_user_group(&group, &bob).await.expect("removed");
    assert!(system.search("bob", query("fox")).await.expect("answered").hits.is_empty());
    system.stop().await;
}
