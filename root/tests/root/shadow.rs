//! Shadow searches: which are offered, and that nothing of them counts.

use bytes::Bytes;
use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{SearchRequest, SearchResponse, ShadowTarget};
use nautilus_registry::layout::{Note, SHARE_ALL, ShadowSearches, Suspicion};
use nautilus_registry::{Operation, Registry as _, Transaction};
use nautilus_service::RpcError;
use nautilus_types::Class;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tonic::Code;

use crate::fakes::{Cluster, FakeLeaf, WAIT_MAX, failures, name, search_request};

const A: (&str, &str) = ("a", "a1");
const B: (&str, &str) = ("b", "b1");
const NAME: &str = "stems";

fn of_build(answer: &mut leaf::SearchResponse) {
    answer.label.get_or_insert_default().build = NAME.to_owned();
}

/// Group a is fed from the log; b is of a build, and drained.
async fn two(a: &FakeLeaf, b: &FakeLeaf) -> Cluster {
    let cluster = Cluster::of_groups(&[(A.0, A.1, a, &[0, 1]), (B.0, B.1, b, &[0, 1])]).await;
    for partition in [0, 1] {
        cluster.announce_build(B, partition, NAME).await;
    }
    cluster.drain(B.0).await;
    cluster
}

async fn write(cluster: &Cluster, operation: Operation) {
    let transaction = Transaction { operations: vec![operation], ..Transaction::default() };
    cluster.registry.transact(transaction).await.expect("written");
}

async fn ask_for(cluster: &Cluster, build: &str, share_per_million: u32) {
    let setting = ShadowSearches {
        build: Some(build.to_owned()),
        share_per_million,
        note: Note { owner: "sre".to_owned(), reason: String::new() },
        placed_unix_ms: 1,
    };
    let value: Bytes = setting.encode().expect("valid");
    let key = ShadowSearches::KEY.to_owned();
    write(cluster, Operation::Put { key, value, lease: None }).await;
}

fn request() -> SearchRequest {
    search_request(&[name(0, 0), name(1, 0)])
}

async fn search(cluster: &Cluster, request: SearchRequest) -> SearchResponse {
    cluster.client().search(request).await.expect("answered").into_inner()
}

/// Searches until one is offered a shadow, or none is any more.
async fn until_offered(cluster: &Cluster, is_offered: bool) -> Option<ShadowTarget> {
    let offered = async {
        loop {
            let offer = search(cluster, request()).await.shadow;
            if offer.is_some() == is_offered {
                return offer;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, offered).await.expect("in time")
}

fn target() -> ShadowTarget {
    ShadowTarget { build: NAME.to_owned(), replica_group: B.0.to_owned() }
}

fn shadow_request() -> SearchRequest {
    let ShadowTarget { build, replica_group } = target();
    SearchRequest { build: Some(build), replica_group, ..request() }
}

/// The value of a metric.
fn metric(cluster: &Cluster, name: &str) -> u64 {
    let mut registry = Registry::default();
    cluster.root.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a number"))
}

#[tokio::test]
async fn what_is_asked_for_is_offered() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::changing(of_build));
    let cluster = two(&a, &b).await;
    for _ in 0..20 {
        assert_eq!(search(&cluster, request()).await.shadow, None, "nobody asked for it");
    }
    ask_for(&cluster, NAME, SHARE_ALL).await;
    assert_eq!(until_offered(&cluster, true).await, Some(target()));
    for _ in 0..20 {
        let response = search(&cluster, request()).await;
        assert_eq!(response.shadow, Some(target()), "all of them");
        assert!(response.answers.iter().all(|answer| answer.replica_group == A.0));
    }
    assert!(b.searches().is_empty(), "an offer is no search");
    // Later pages and second questions are not first questions, and who names a group wants that one.
    let statistics = Some(leaf::Statistics {
        document_frequencies: vec![1, 1],
        documents: 9,
        ..leaf::Statistics::default()
    });
    for other in [
        SearchRequest { build: Some(String::new()), ..request() },
        SearchRequest { statistics, ..request() },
        SearchRequest { after: Some(leaf::Cursor::default()), ..request() },
        SearchRequest { replica_group: A.0.to_owned(), ..request() },
    ] {
        assert_eq!(search(&cluster, other).await.shadow, None);
    }
    // What the candidate answers itself has nothing to be compared with, and what it does not serve cannot be.
    ask_for(&cluster, "gone", SHARE_ALL).await;
    until_offered(&cluster, false).await;
    ask_for(&cluster, NAME, SHARE_ALL).await;
    until_offered(&cluster, true).await;
    cluster.withdraw(B, 1).await;
    assert_eq!(search(&cluster, request()).await.shadow, None, "b does not serve all of it");
    let part = search(&cluster, search_request(&[name(0, 0)])).await;
    assert_eq!(part.shadow, Some(target()), "of this it does");
    write(&cluster, Operation::Delete(ShadowSearches::KEY.to_owned())).await;
    let ended =
        async { while search(&cluster, search_request(&[name(0, 0)])).await.shadow.is_some() {} };
    tokio::time::timeout(WAIT_MAX, ended).await.expect("in time");
    // With the registry away nobody knows whether it still holds.
    ask_for(&cluster, NAME, SHARE_ALL).await;
    let part = search_request(&[name(0, 0)]);
    let begun = async { while search(&cluster, part.clone()).await.shadow.is_none() {} };
    tokio::time::timeout(WAIT_MAX, begun).await.expect("in time");
    cluster.registry.set(false);
    cluster.wait_state(|state| !state.is_registry_connected).await;
    assert_eq!(search(&cluster, part).await.shadow, None);
    assert!(metric(&cluster, "root_shadow_searches_total{result=\"offered\"}") > 20);
    assert!(metric(&cluster, "root_shadow_searches_total{result=\"not_served\"}") > 0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_shadow_leaves_no_trace_in_how_searches_are_sent() {
    let failing = FakeLeaf::failing(|| {
        RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "x").into_status()
    });
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::changing(of_build));
    let cluster = two(&a, &b).await;
    let mut client = cluster.client();
    let counts = |cluster: &Cluster| {
        ["leaf_requests_total", "drained_group_requests_total", "inflight"]
            .map(|name| metric(cluster, &format!("root_{name}")))
    };
    let before = counts(&cluster);
    let found = client.search_shadow(shadow_request()).await.expect("answered").into_inner();
    assert_eq!((found.answers.len(), found.candidates.len(), failures(&found)), (2, 2, vec![]));
    assert!(found.answers.iter().all(|answer| answer.replica_group == B.0));
    assert!(a.searches().is_empty(), "only the group it names");
    assert_eq!((b.searches().len(), counts(&cluster)), (2, before));
    // It says of which group and build it is to be.
    for wrong in [
        SearchRequest { build: None, ..shadow_request() },
        SearchRequest { replica_group: String::new(), ..shadow_request() },
    ] {
        let refused = client.search_shadow(wrong).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let other = SearchRequest { build: Some("gone".to_owned()), ..shadow_request() };
    let found = client.search_shadow(other).await.expect("answered").into_inner();
    assert_eq!(failures(&found), [(0, "BUILD_NOT_SERVED"), (1, "BUILD_NOT_SERVED")]);
    cluster.stop().await;

    // One that fails is not repeated, and its replicas are no worse for searches than before.
    let cluster = two(&a, &failing).await;
    let mut client = cluster.client();
    for _ in 0..10 {
        let found = client.search_shadow(shadow_request()).await.expect("answered").into_inner();
        let both = [(0, "PARTITION_NOT_READY"), (1, "PARTITION_NOT_READY")];
        assert_eq!(failures(&found), both);
    }
    assert_eq!(failing.searches().len(), 20, "one request for each partition");
    assert_eq!(metric(&cluster, "root_retries_total{result=\"sent\"}"), 0);
    cluster.stop().await;
}

#[tokio::test]
async fn what_a_candidate_dies_of_is_shadowed_no_more_and_still_answered() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::hanging());
    let mut cluster = two(&a, &b).await;
    ask_for(&cluster, NAME, SHARE_ALL).await;
    until_offered(&cluster, true).await;
    let mut client = cluster.client();
    let killed = async {
        b.wait_started(2).await;
        cluster.kill(B);
    };
    let (found, ()) = tokio::join!(client.search_shadow(shadow_request()), killed);
    let found = found.expect("answered").into_inner();
    assert_eq!(failures(&found), [(0, "LEAF_UNAVAILABLE"), (1, "LEAF_UNAVAILABLE")]);
    // The registry still names the leaf; the query is no longer offered, and answered as ever.
    for _ in 0..5 {
        let response = search(&cluster, request()).await;
        assert_eq!((response.shadow.clone(), failures(&response)), (None, vec![]));
    }
    assert!(metric(&cluster, "root_shadow_searches_total{result=\"suspect\"}") >= 5);
    let found = client.search_shadow(shadow_request()).await.expect("answered").into_inner();
    assert_eq!(failures(&found), [(0, "QUERY_SUSPECT"), (1, "QUERY_SUSPECT")]);
    // Other roots are told, under a name that refuses no search.
    let of_search = nautilus_root::search_fingerprint(&request());
    let told = async {
        loop {
            let listing = cluster.registry.list(Suspicion::PREFIX).await.expect("listed");
            if listing.entries.len() == 2 {
                return listing.entries;
            }
            tokio::task::yield_now().await;
        }
    };
    let told = tokio::time::timeout(WAIT_MAX, told).await.expect("in time");
    assert!(told.iter().all(|entry| !entry.key.contains(&of_search.to_string())));
    cluster.stop().await;
}

#[tokio::test]
async fn a_suspect_query_is_not_shadowed() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::changing(of_build));
    let cluster = two(&a, &b).await;
    ask_for(&cluster, NAME, SHARE_ALL).await;
    until_offered(&cluster, true).await;
    // Of a partition that is not asked, so that no answer clears it.
    let fingerprint = nautilus_root::search_fingerprint(&request());
    cluster.tell_suspicion(fingerprint, 3, A.0, A.1).await;
    cluster.tell_suspicion(fingerprint, 3, B.0, B.1).await;
    let suspect = async {
        loop {
            if let Err(status) = cluster.client().search(request()).await {
                return status;
            }
        }
    };
    let refused = tokio::time::timeout(WAIT_MAX, suspect).await.expect("in time");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let mut client = cluster.client();
    let found = client.search_shadow(shadow_request()).await.expect("answered").into_inner();
    assert_eq!(failures(&found), [(0, "QUERY_SUSPECT"), (1, "QUERY_SUSPECT")]);
    assert!(b.searches().is_empty());
    cluster.stop().await;
}
