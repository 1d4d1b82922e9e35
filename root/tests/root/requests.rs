//! What each request asks of the leaves and makes of their answers.

use std::time::Duration;

use nautilus_identity::Purpose;
use nautilus_proto::common::v1::{DocumentFilter, Range, Sort, SortKey};
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{
    FetchRequest, ListRequest, MinOffset, SearchRequest, SuggestRequest,
};
use nautilus_registry::layout::ReplicaState;
use nautilus_service::RpcError;
use nautilus_service::deadline::set_timeout;
use nautilus_types::Class;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::fakes::{
    self, Cluster, FakeLeaf, failures, grant, name, now_ms, reason_of, search_request,
    suggest_grant,
};

#[tokio::test]
async fn a_search_asks_each_partition_for_its_namespaces_and_sums() {
    let (one, two) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = Cluster::start(&[(&one, &[0, 1]), (&two, &[2, 3])]).await;
    // In the order of partitions 3, 0, 3.
    let scope = [name(3, 0), name(0, 0), name(3, 1)];
    let mut request = search_request(&scope);
    request.min_offsets = vec![
        MinOffset { partition: 3, next_offset: 60 },
        MinOffset { partition: 1, next_offset: 99 },
    ];
    let response = cluster.client().search(request.clone()).await.expect("answered").into_inner();

    assert!(response.failures.is_empty());
    let answered: Vec<_> =
        response.answers.iter().map(|a| a.label.as_ref().map(|l| l.partition)).collect();
    assert_eq!(answered, [Some(0), Some(3)]);
    let statistics = response.statistics.expect("summed");
    assert_eq!((statistics.documents, statistics.total_length), (200, 2_000));
    assert_eq!(statistics.document_frequencies, [6, 4]);
    assert_eq!(response.total_hits, 3);
    // The fake leaf names each document after its namespace: nobody got another's index.
    for candidate in &response.candidates {
        let index = usize::try_from(candidate.namespace_index).expect("small");
        assert_eq!(candidate.document_id, scope[index].as_bytes());
    }

    let asked = two.searches();
    let [asked] = asked.as_slice() else { panic!("asked once, {}", asked.len()) };
    let context = asked.context.as_ref().expect("always");
    assert_eq!((context.partition, context.min_next_offset, context.map_version), (3, 60, 1));
    assert_eq!(context.grant, request.grant, "the grant goes on as it came");
    let sent: Vec<_> = asked.namespaces.iter().map(|n| n.name.clone()).collect();
    assert_eq!(sent, [scope[0].as_bytes(), scope[2].as_bytes()]);
    assert!((1..=request.budget_us).contains(&asked.budget_us));
    assert_eq!(one.searches().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn what_fails_is_named_and_the_rest_answers() {
    let sound = FakeLeaf::answering();
    let busy = FakeLeaf::failing(|| {
        RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "replaying").into_status()
    });
    let wrong = FakeLeaf::changing(|answer| {
        answer.label.iter_mut().for_each(|label| label.partition = 0);
    });
    let leaves = [(&sound, &[0_u32][..]), (&busy, &[1]), (&wrong, &[2])];
    let cluster = Cluster::start(&leaves).await;
    cluster.announce((fakes::GROUP, "gone"), 3, 1, ReplicaState::Serving).await;
    let scope: Vec<_> = (0..4).map(|p| name(p, 0)).collect();
    let response = cluster.client().search(search_request(&scope)).await;
    let response = response.expect("answered").into_inner();
    assert_eq!(
        failures(&response),
        [(1, "PARTITION_NOT_READY"), (2, "ANSWER_INVALID"), (3, "LEAF_UNAVAILABLE")]
    );
    assert_eq!(response.answers.len(), 1);
    assert_eq!(response.total_hits, 1);
    assert_eq!(response.statistics.expect("of one").documents, 100);
    cluster.stop().await;
}

#[tokio::test]
async fn a_leaf_that_hangs_costs_its_partition_and_not_the_answer() {
    let (sound, hung) = (FakeLeaf::answering(), FakeLeaf::hanging());
    let cluster = Cluster::start(&[(&sound, &[0]), (&hung, &[1])]).await;
    let mut request = Request::new(search_request(&[name(0, 0), name(1, 0)]));
    set_timeout(&mut request, Duration::from_millis(400));
    let response = cluster.client().search(request).await.expect("in time").into_inner();
    assert_eq!(failures(&response), [(1, "DEADLINE")]);
    assert_eq!(response.answers.len(), 1);
    hung.wait_all_cancelled().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_the_leaves_work() {
    let hung = FakeLeaf::hanging();
    let cluster = Cluster::start(&[(&hung, &[0, 1])]).await;
    let mut client = cluster.client();
    let search = client.search(search_request(&[name(0, 0), name(1, 0)]));
    tokio::select! {
        _ = search => panic!("nobody answers"),
        () = hung.wait_started(2) => {}
    }
    hung.wait_all_cancelled().await;
    cluster.stop().await;
}

#[tokio::test]
async fn a_grant_is_never_widened() {
    let leaf = FakeLeaf::answering();
    let cluster = Cluster::start(&[(&leaf, &[0, 1, 2, 3])]).await;
    let sound = search_request(&["a", "b"]);
    let mut wider = sound.clone();
    wider.namespaces.push(fakes::namespace("c"));
    let mut other_life = sound.clone();
    other_life.namespaces[0].incarnation = 2;
    let mut other_query = sound.clone();
    other_query.query = Some(fakes::query("other"));
    let mut other_purpose = sound.clone();
    other_purpose.grant = grant(&["a", "b"], Purpose::Fetch, None, now_ms() + 5_000);
    let mut expired = sound.clone();
    expired.grant = grant(&["a", "b"], Purpose::Search, Some(&fakes::query("fox")), now_ms());
    let mut none = sound.clone();
    none.grant.clear();
    let cases = [
        (wider, "GRANT_NAMESPACE_NOT_COVERED"),
        (other_life, "GRANT_NAMESPACE_NOT_COVERED"),
        (other_query, "GRANT_QUERY_WRONG"),
        (other_purpose, "GRANT_PURPOSE_WRONG"),
        (expired, "GRANT_EXPIRED"),
        (none, "GRANT_MISSING"),
    ];
    for (request, reason) in cases {
        let status = cluster.client().search(request).await.expect_err(reason);
        assert_eq!((status.code(), &*reason_of(&status)), (Code::PermissionDenied, reason));
    }
    assert!(leaf.searches().is_empty(), "no leaf was asked");
    cluster.client().search(sound).await.expect("the sound one passes");
    cluster.stop().await;
}

#[tokio::test]
async fn wrong_requests_are_refused_before_any_leaf_is_asked() {
    let leaf = FakeLeaf::answering();
    let cluster = Cluster::start(&[(&leaf, &[0, 1, 2, 3])]).await;
    let sound = search_request(&["a"]);
    let change = |change: fn(&mut SearchRequest)| {
        let mut request = sound.clone();
        change(&mut request);
        request
    };
    let cases = [
        (change(|r| r.map_version = 2), Code::FailedPrecondition, "STALE_PARTITION_MAP"),
        (change(|r| r.replica_group = "green".into()), Code::InvalidArgument, "ARGUMENT_INVALID"),
        (change(|r| r.limit = 0), Code::InvalidArgument, "ARGUMENT_INVALID"),
        (change(|r| r.limit = 1_001), Code::InvalidArgument, "ARGUMENT_INVALID"),
        (change(|r| r.namespaces.clear()), Code::InvalidArgument, "ARGUMENT_INVALID"),
        (
            change(|r| r.namespaces.push(r.namespaces[0].clone())),
            Code::InvalidArgument,
            "ARGUMENT_INVALID",
        ),
    ];
    for (request, code, reason) in cases {
        let status = cluster.client().search(request).await.expect_err(reason);
        assert_eq!((status.code(), &*reason_of(&status)), (code, reason));
    }
    let stale = cluster.client().search(change(|r| r.map_version = 2)).await.expect_err("stale");
    let details = stale.get_error_details();
    assert!(details.precondition_failure().is_some());
    assert_eq!(details.error_info().expect("always").metadata["map_version"], "1");
    assert!(leaf.searches().is_empty());
    let named = change(|r| r.replica_group = fakes::GROUP.into());
    cluster.client().search(named).await.expect("its own group");
    cluster.stop().await;
}

#[tokio::test]
async fn what_the_leaf_calls_the_callers_fault_is_the_whole_answer() {
    let sound = FakeLeaf::answering();
    let refusing = FakeLeaf::failing(|| {
        RpcError::new(Class::Invalid, "OFFSET_BEYOND_LOG", "offset 9 is beyond the end")
            .into_status()
    });
    let cluster = Cluster::start(&[(&sound, &[0]), (&refusing, &[1])]).await;
    let scope = [name(0, 0), name(1, 0)];
    let status = cluster.client().search(search_request(&scope)).await.expect_err("refused");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason_of(&status), "OFFSET_BEYOND_LOG");
    cluster.stop().await;
}

#[tokio::test]
async fn fetched_documents_come_in_the_order_of_the_keys() {
    let (one, two) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = Cluster::start(&[(&one, &[0]), (&two, &[1])]).await;
    cluster.announce((fakes::GROUP, "gone"), 2, 1, ReplicaState::Serving).await;
    let [a, b, c] = [0, 1, 2].map(|partition| name(partition, 0));
    let (a, b, c) = (a.as_str(), b.as_str(), c.as_str());
    let keys = [(a, "1"), (b, "2"), (c, "3"), (a, "absent"), (b, "5")];
    let request = FetchRequest {
        grant: grant(&[a, b, c], Purpose::Fetch, None, now_ms() + 5_000),
        map_version: 1,
        keys: keys.iter().map(|(name, id)| fakes::key(name, id)).collect(),
        include_body: true,
        highlight: Some(fakes::query("fox")),
        ..FetchRequest::default()
    };
    let response = cluster.client().fetch(request).await.expect("answered").into_inner();
    let shown = |d: &leaf::FetchedDocument| d.found.then(|| d.title.clone());
    let titles: Vec<_> = response.documents.iter().map(shown).collect();
    let title = |name: &str, id: &str| Some(format!("{name}/{id}"));
    assert_eq!(titles, [title(a, "1"), title(b, "2"), None, None, title(b, "5")]);
    assert_eq!(response.failures.len(), 1);
    assert_eq!(response.failures[0].partition, 2);
    cluster.stop().await;
}

#[tokio::test]
async fn a_list_is_one_partitions_and_its_failure_the_answer() {
    let leaf = FakeLeaf::answering();
    let cluster = Cluster::start(&[(&leaf, &[0])]).await;
    cluster.announce((fakes::GROUP, "gone"), 1, 1, ReplicaState::Serving).await;
    let request = |name: &str, after: &str| ListRequest {
        grant: grant(&[name], Purpose::List, None, now_ms() + 5_000),
        map_version: 1,
        namespace: Some(fakes::namespace(name)),
        after_document_id: after.into(),
        limit: 2,
        latest: true,
        min_offsets: Vec::new(),
        with_failures: false,
    };
    let listed = cluster.client().list(request(&name(0, 0), "d1")).await.expect("answered");
    let listed = listed.into_inner();
    let ids: Vec<_> = listed.documents.iter().map(|d| d.document_id.clone()).collect();
    assert_eq!((ids, listed.is_last), (vec![b"d2".to_vec(), b"d3".to_vec()], false));

    // The fake leaf goes on after `a`, which no sound leaf does when asked for what follows `z`.
    let status = cluster.client().list(request(&name(0, 0), "z")).await.expect_err("unsound");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "PARTITION_UNAVAILABLE"));
    let status = cluster.client().list(request(&name(1, 0), "")).await.expect_err("unreachable");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::Unavailable, "PARTITION_UNAVAILABLE"));
    let details = status.get_error_details();
    assert!(details.retry_info().is_some());
    assert_eq!(
        details.error_info().expect("always").metadata["partition_reason"],
        "LEAF_UNAVAILABLE"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn what_narrows_a_search_goes_to_each_leaf_unchanged() {
    let leaf = FakeLeaf::changing(|answer| {
        for (value, candidate) in (1..).zip(&mut answer.candidates) {
            candidate.sort_value = Some(value);
        }
        // Given statistics come back as they went, and may be below what was found.
        answer.statistics.iter_mut().for_each(|s| (s.documents, s.total_length) = (0, 0));
        answer.truncated = true;
    });
    let cluster = Cluster::start(&[(&leaf, &[0, 1, 2, 3])]).await;
    let scope = [name(0, 0), name(1, 0), name(0, 1)];
    let mut request = search_request(&scope);
    let size = Range { min: Some(5), max: None };
    request.filter = Some(DocumentFilter { size_bytes: Some(size), ..DocumentFilter::default() });
    request.sort = Some(Sort { key: SortKey::Size.into(), ascending: false });
    request.after = Some(leaf::Cursor { sort_value: Some(9), ..leaf::Cursor::default() });
    request.statistics =
        Some(leaf::Statistics { documents: 7, total_length: 70, document_frequencies: vec![1, 2] });
    request.changed_before = vec![
        MinOffset { partition: 1, next_offset: 40 },
        MinOffset { partition: 1, next_offset: 30 },
    ];
    let response = cluster.client().search(request.clone()).await.expect("answered").into_inner();
    let mut asked = leaf.searches();
    asked.sort_by_key(|asked| asked.context.as_ref().map(|context| context.partition));
    assert_eq!(asked.iter().map(|a| a.changed_before_offset).collect::<Vec<_>>(), [0, 30]);
    for asked in &asked {
        assert_eq!(
            (&asked.filter, &asked.sort, &asked.after, &asked.statistics),
            (&request.filter, &request.sort, &request.after, &request.statistics)
        );
    }
    let values: Vec<_> = response.candidates.iter().map(|c| c.sort_value).collect();
    assert_eq!(values, [Some(2), Some(1), Some(1)], "largest first");
    let [first, second] = response.answers.as_slice() else { panic!("two partitions") };
    assert_eq!((first.total_hits, first.candidates, first.truncated), (2, 2, true));
    assert_eq!((second.total_hits, second.candidates), (1, 1));
    assert_eq!(first.replica_group, fakes::GROUP);
    assert!(first.attempts.is_empty(), "nobody asked to explain");
    let stages: Vec<_> = response.stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(stages, ["verify", "route", "fan_out", "gather"]);

    let changes: [fn(&mut SearchRequest); 2] = [
        |r| r.sort = Some(Sort { key: 99, ascending: true }),
        |r| r.statistics.iter_mut().for_each(|s| s.document_frequencies.clear()),
    ];
    for change in changes {
        let mut wrong = request.clone();
        change(&mut wrong);
        let status = cluster.client().search(wrong).await.expect_err("wrong");
        assert_eq!(
            (status.code(), &*reason_of(&status)),
            (Code::InvalidArgument, "ARGUMENT_INVALID")
        );
    }
    cluster.stop().await;
}

#[tokio::test]
async fn suggestions_are_summed_ordered_and_cut() {
    let (one, two) = (FakeLeaf::answering(), FakeLeaf::answering());
    one.suggest(&[("fox", 5), ("foal", 4), ("fog", 1)]);
    two.suggest(&[("fog", 8), ("foal", 1), ("foe", 5)]);
    let cluster = Cluster::start(&[(&one, &[0]), (&two, &[1])]).await;
    let scope = [name(0, 0), name(1, 0), name(2, 0)];
    let request = SuggestRequest {
        grant: suggest_grant(&scope, "fo"),
        map_version: 1,
        namespaces: scope.iter().map(|name| fakes::namespace(name)).collect(),
        prefix: "fo".into(),
        fields: 7,
        limit: 3,
        ..SuggestRequest::default()
    };
    let response = cluster.client().suggest(request.clone()).await.expect("answered").into_inner();
    let words: Vec<_> =
        response.suggestions.iter().map(|s| (s.token.as_str(), s.documents)).collect();
    assert_eq!(words, [("fog", 9), ("foal", 5), ("foe", 5)]);
    assert_eq!(response.answers.len(), 2);
    assert_eq!(response.failures[0].partition, 2);

    // A word that does not begin as asked could be anybody's.
    two.suggest(&[("other", 8)]);
    let response = cluster.client().suggest(request.clone()).await.expect("answered").into_inner();
    let reasons: Vec<_> = response.failures.iter().map(|f| f.reason.as_str()).collect();
    assert_eq!(reasons, ["ANSWER_INVALID", "PARTITION_UNASSIGNED"]);

    let other = SuggestRequest { prefix: "f".into(), ..request };
    let status = cluster.client().suggest(other).await.expect_err("another prefix");
    assert_eq!(
        (status.code(), &*reason_of(&status)),
        (Code::PermissionDenied, "GRANT_QUERY_WRONG")
    );
    cluster.stop().await;
}
