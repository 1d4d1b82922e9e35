//! Two replica groups: one answers where the other fails.

use nautilus_proto::root::v1::{GetStatusRequest, SearchRequest, SearchResponse};
use nautilus_registry::layout::ReplicaState;
use nautilus_service::RpcError;
use nautilus_types::Class;
use tonic::{Code, Status};

use crate::fakes::{Cluster, FakeLeaf, attempts, failures, name, reason_of, search_request};

const A: (&str, &str) = ("a", "a1");
const B: (&str, &str) = ("b", "b1");

fn request() -> SearchRequest {
    SearchRequest { explain: true, ..search_request(&[name(0, 0)]) }
}

async fn search(cluster: &Cluster, request: SearchRequest) -> SearchResponse {
    cluster.client().search(request).await.expect("answered").into_inner()
}

/// A cluster whose partition 0 is on a leaf of each group.
async fn two(a: &FakeLeaf, b: &FakeLeaf) -> Cluster {
    Cluster::of_groups(&[(A.0, A.1, a, &[0]), (B.0, B.1, b, &[0])]).await
}

fn in_group(group: &str) -> SearchRequest {
    SearchRequest { replica_group: group.into(), ..request() }
}

#[tokio::test]
async fn a_leaf_that_dies_in_a_search_costs_nothing() {
    let (hung, sound) = (FakeLeaf::hanging(), FakeLeaf::answering());
    let mut cluster = Cluster::with_config(
        &[(A.0, A.1, &hung, &[0, 1, 2, 3]), (B.0, B.1, &sound, &[0, 1, 2, 3])],
        // What is asked here is the retry.
        |config| config.dispatching.hedge_mode = nautilus_root::HedgeMode::Off,
    )
    .await;
    // Of two leaves nothing is known of, some partition is asked of the one that hangs.
    let scope: Vec<_> = (0..4).map(|p| name(p, 0)).collect();
    let mut rounds = 0;
    let response = loop {
        rounds += 1;
        assert!(rounds < 100, "the leaf that hangs is never asked");
        let mut client = cluster.client();
        let search = client.search(SearchRequest { explain: true, ..search_request(&scope) });
        tokio::pin!(search);
        let died = tokio::select! {
            _ = &mut search => false,
            () = hung.wait_started(1) => true,
        };
        if died {
            cluster.kill(A);
            break search.await.expect("answered").into_inner();
        }
    };
    assert!(response.failures.is_empty(), "{:?}", response.failures);
    assert_eq!(response.answers.len(), 4);
    assert!(response.answers.iter().all(|answer| answer.replica_group == "b"));
    let retried = response.answers.iter().flat_map(|a| &a.attempts).filter(|a| a.reason == "RETRY");
    assert!(retried.count() > 0);

    // From now on it is known: nobody asks the dead one again.
    cluster.wait_replicas(|update| update.replicas.iter().any(|r| !r.is_reachable)).await;
    let response = search(&cluster, request()).await;
    assert_eq!(attempts(&response), [("b1", "ONLY", "OK")]);
    cluster.stop().await;
}

#[tokio::test]
async fn each_kind_of_failure_is_retried_once_on_the_other() {
    let statuses: [fn() -> Status; 5] = [
        || RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "x").into_status(),
        || RpcError::new(Class::Unavailable, "REPLICA_LAGGING", "x").into_status(),
        || RpcError::new(Class::Precondition, "PARTITION_NOT_SERVED", "x").into_status(),
        || RpcError::new(Class::Overloaded, "QUEUE_FULL", "x").into_status(),
        || RpcError::new(Class::Fenced, "LEAF_FENCED", "x").into_status(),
    ];
    let reasons = [
        "PARTITION_NOT_READY",
        "REPLICA_LAGGING",
        "PARTITION_NOT_SERVED",
        "QUEUE_FULL",
        "LEAF_FENCED",
    ];
    for (status, reason) in statuses.into_iter().zip(reasons) {
        let (failing, sound) = (FakeLeaf::failing(status), FakeLeaf::answering());
        let cluster = two(&failing, &sound).await;
        // Each is asked first at times: so that the failing one is, the other has to look worse.
        sound.report(|status| status.in_flight = 1_000);
        failing.report(|status| status.in_flight = 0);
        cluster.wait_replicas(|update| update.replicas.len() == 2).await;
        let mut response = search(&cluster, request()).await;
        for _ in 0..100 {
            if !failing.searches().is_empty() {
                break;
            }
            response = search(&cluster, request()).await;
        }
        assert_eq!(failures(&response), []);
        let tried = attempts(&response);
        assert_eq!(tried.len(), 2, "{reason}: {tried:?}");
        assert_eq!((tried[0].0, tried[0].2), ("a1", reason));
        assert_eq!(tried[1], ("b1", "RETRY", "OK"));
        cluster.stop().await;
    }
}

#[tokio::test]
async fn what_would_fail_everywhere_is_not_retried() {
    let broken = || FakeLeaf::failing(|| Status::internal("a bug"));
    let (a, b) = (broken(), broken());
    let cluster = two(&a, &b).await;
    let response = search(&cluster, request()).await;
    assert_eq!(failures(&response), [(0, "LEAF_ERROR")]);
    assert_eq!(a.searches().len() + b.searches().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn retries_have_a_budget() {
    let busy =
        || FakeLeaf::failing(|| RpcError::new(Class::Overloaded, "QUEUE_FULL", "x").into_status());
    let (a, b) = (busy(), busy());
    let cluster = two(&a, &b).await;
    for _ in 0..100 {
        let response = search(&cluster, request()).await;
        assert_eq!(failures(&response), [(0, "QUEUE_FULL")]);
    }
    // One each, ten at once, and a tenth of those after the first, which finds the bucket full.
    assert_eq!(a.searches().len() + b.searches().len(), 100 + 10 + 9);
    cluster.stop().await;
}

#[tokio::test]
async fn a_named_group_is_asked_and_no_other() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let mut cluster = two(&a, &b).await;
    for group in ["a", "b"] {
        let response = search(&cluster, in_group(group)).await;
        assert_eq!(response.answers[0].replica_group, group);
        assert_eq!(attempts(&response)[0].1, "ASKED");
    }
    let before = b.searches().len();
    cluster.kill(A);
    cluster.wait_replicas(|update| update.replicas.iter().any(|r| !r.is_reachable)).await;
    let response = search(&cluster, in_group("a")).await;
    assert_eq!(failures(&response), [(0, "LEAF_UNAVAILABLE")]);
    assert_eq!(b.searches().len(), before, "the other group was not asked");
    let status = cluster.client().search(in_group("green")).await.expect_err("unknown");
    assert_eq!((status.code(), &*reason_of(&status)), (Code::InvalidArgument, "ARGUMENT_INVALID"));
    cluster.stop().await;
}

#[tokio::test]
async fn draining_replicas_are_a_last_resort() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = two(&a, &b).await;
    cluster.announce(A, 0, 1, ReplicaState::Draining).await;
    for _ in 0..20 {
        assert_eq!(search(&cluster, request()).await.answers[0].replica_group, "b");
    }
    cluster.withdraw(B, 0).await;
    assert_eq!(search(&cluster, request()).await.answers[0].replica_group, "a");
    cluster.announce(A, 0, 1, ReplicaState::Failed).await;
    assert_eq!(failures(&search(&cluster, request()).await), [(0, "PARTITION_UNASSIGNED")]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_drained_group_is_asked_only_for_what_nobody_else_has() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let mut cluster = Cluster::of_groups(&[(A.0, A.1, &a, &[0, 1]), (B.0, B.1, &b, &[0])]).await;
    cluster.drain("a").await;
    let asked = |response: &SearchResponse| response.answers[0].replica_group.clone();
    for _ in 0..40 {
        assert_eq!(asked(&search(&cluster, request()).await), "b");
    }
    assert!(a.searches().is_empty(), "not even to explore");
    // Whoever names it means it.
    assert_eq!(asked(&search(&cluster, in_group("a")).await), "a");
    // Partition 1 is nowhere else.
    let only = SearchRequest { explain: true, ..search_request(&[name(1, 0)]) };
    assert_eq!(asked(&search(&cluster, only).await), "a");
    let status = cluster.client().get_status(GetStatusRequest {}).await.expect("answered");
    let groups = status.into_inner().groups;
    let shown: Vec<_> = groups
        .iter()
        .map(|it| (it.standing.as_str(), it.standing_detail.as_str(), it.still_needed.as_slice()))
        .collect();
    assert_eq!(shown, [("DRAINED", "sre: a test", &[1][..]), ("ACTIVE", "", &[][..])]);
    // The other one is behind what was asked for, then gone: coverage comes first.
    b.report(|status| status.replicas[0].applied_offset = 10);
    let is_told = |update: &nautilus_proto::root::v1::ReplicasUpdate| {
        update.replicas.iter().any(|r| r.status.as_ref().is_some_and(|s| s.applied_offset == 10))
    };
    cluster.wait_replicas(is_told).await;
    let mut fresh = request();
    fresh.min_offsets = vec![nautilus_proto::root::v1::MinOffset { partition: 0, next_offset: 40 }];
    assert_eq!(asked(&search(&cluster, fresh).await), "a");
    cluster.kill(B);
    cluster.wait_replicas(|update| update.replicas.iter().any(|r| !r.is_reachable)).await;
    assert_eq!(asked(&search(&cluster, request()).await), "a");
    cluster.stop().await;
}

#[tokio::test]
async fn a_failure_goes_on_to_a_drained_group_and_slowness_does_not() {
    let failing = FakeLeaf::failing(|| {
        RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "x").into_status()
    });
    let sound = FakeLeaf::answering();
    let cluster = two(&failing, &sound).await;
    cluster.drain("b").await;
    let response = search(&cluster, request()).await;
    let tried = [("a1", "ONLY", "PARTITION_NOT_READY"), ("b1", "RETRY", "OK")];
    assert_eq!(attempts(&response), tried);
    cluster.stop().await;

    let (hung, sound) = (FakeLeaf::hanging(), FakeLeaf::answering());
    let cluster = two(&hung, &sound).await;
    cluster.drain("b").await;
    let mut slow = tonic::Request::new(request());
    slow.set_timeout(std::time::Duration::from_millis(400));
    let answer = cluster.client().search(slow).await;
    assert!(sound.searches().is_empty(), "no hedge: {answer:?}");
    cluster.stop().await;
}

#[tokio::test]
async fn a_replica_that_is_behind_is_not_asked_while_another_is_not() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = two(&a, &b).await;
    a.report(|status| status.replicas[0].applied_offset = 80);
    let is_told = |update: &nautilus_proto::root::v1::ReplicasUpdate| {
        update.replicas.iter().any(|r| r.status.as_ref().is_some_and(|s| s.applied_offset == 80))
    };
    cluster.wait_replicas(is_told).await;
    for _ in 0..20 {
        let mut request = request();
        request.min_offsets =
            vec![nautilus_proto::root::v1::MinOffset { partition: 0, next_offset: 80 }];
        assert_eq!(attempts(&search(&cluster, request).await), [("a1", "ONLY", "OK")]);
    }
    assert!(b.searches().is_empty());
    cluster.stop().await;
}

#[tokio::test]
async fn a_leaf_that_comes_back_elsewhere_is_asked_again_within_the_request() {
    let leaf = FakeLeaf::failing(|| {
        RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "x").into_status()
    });
    let heir = FakeLeaf::answering();
    let mut cluster = Cluster::with_config(&[(A.0, A.1, &leaf, &[0])], |config| {
        config.dispatching.retry_pause = crate::fakes::WAIT_MAX;
    })
    .await;
    cluster.run(("a", "a2"), &heir, &[0]).await;
    let mut client = cluster.client();
    let asked = tokio::join!(client.search(request()), async {
        while leaf.searches().is_empty() {
            tokio::task::yield_now().await;
        }
        cluster.announce(("a", "a2"), 0, 2, ReplicaState::Serving).await;
    });
    let response = asked.0.expect("answered").into_inner();
    assert_eq!(attempts(&response), [("a1", "ONLY", "PARTITION_NOT_READY"), ("a2", "RETRY", "OK")]);
    cluster.stop().await;
}
