//! Slow replicas: second requests, their budget, and what is left when nobody waits any more.

use std::time::Duration;

use nautilus_proto::root::v1::{MinOffset, ReplicasUpdate, SearchRequest};
use nautilus_root::HedgeMode;
use nautilus_service::deadline::set_timeout;
use tonic::Request;

use crate::fakes::{Cluster, FakeLeaf, WAIT_MAX, attempts, failures, name, search_request};

fn request() -> SearchRequest {
    SearchRequest { explain: true, ..search_request(&[name(0, 0)]) }
}

fn within(time: Duration) -> Request<SearchRequest> {
    let mut request = Request::new(request());
    set_timeout(&mut request, time);
    request
}

#[tokio::test]
async fn a_slow_one_is_hedged_once_and_the_loser_cancelled() {
    let (a, b, c) = (FakeLeaf::hanging(), FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster =
        Cluster::of_groups(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0]), ("c", "c1", &c, &[0])])
            .await;
    let leaves = [&a, &b, &c];
    let asked = || leaves.iter().map(|leaf| leaf.searches().len()).sum::<usize>();
    let mut client = cluster.client();
    let search = client.search(request());
    tokio::pin!(search);
    // Two hang; the one asked second answers.
    let second = tokio::select! {
        _ = &mut search => panic!("nobody answers"),
        second = async {
            let mut first = None;
            loop {
                let hanging: Vec<_> =
                    (0..3).filter(|&n| !leaves[n].searches().is_empty()).collect();
                match (hanging.as_slice(), first) {
                    ([one], None) => first = Some(*one),
                    ([x, y], Some(one)) => break if *x == one { *y } else { *x },
                    _ => {}
                }
                tokio::task::yield_now().await;
            }
        } => second,
    };
    leaves[second].answer_now();
    let response = search.await.expect("answered").into_inner();
    assert_eq!(asked(), 2, "only one more was sent");
    assert_eq!(response.answers.len(), 1, "one of the two counts");
    let attempts = attempts(&response);
    assert_eq!(attempts[0].2, "CANCELLED");
    assert_eq!((attempts[1].1, attempts[1].2), ("HEDGE", "OK"));
    let loser = (0..3).find(|&n| n != second && !leaves[n].searches().is_empty()).expect("one");
    leaves[loser].wait_all_cancelled().await;
    cluster.stop().await;
}

#[tokio::test]
async fn whoever_was_behind_is_asked_once_it_has_caught_up() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::of_groups(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])]).await;
    a.report(|status| status.replicas[0].applied_offset = 80);
    let is_told = |update: &ReplicasUpdate| {
        update.replicas.iter().any(|r| r.status.as_ref().is_some_and(|s| s.applied_offset == 80))
    };
    cluster.wait_replicas(is_told).await;
    let mut fresh = request();
    fresh.min_offsets = vec![MinOffset { partition: 0, next_offset: 80 }];
    let asked = |count| {
        let (a, b) = (&a, &b);
        let asked = async move {
            while a.searches().len() + b.searches().len() < count {
                tokio::task::yield_now().await;
            }
        };
        async { tokio::time::timeout(WAIT_MAX, asked).await.expect("in time") }
    };
    let (mut client, mut other_client) = (cluster.client(), cluster.client());
    let caught_up = async {
        asked(1).await;
        // The second request for another search shows that the time for this one's has come and gone.
        let other = other_client.search(request());
        let both_asked = async {
            asked(3).await;
            b.report(|status| status.replicas[0].applied_offset = 80);
            b.answer_now();
        };
        tokio::join!(other, both_asked).0.expect("answered");
    };
    let (response, ()) = tokio::join!(client.search(fresh), caught_up);
    let response = response.expect("answered").into_inner();
    let tried: Vec<_> = attempts(&response).into_iter().map(|(leaf, why, _)| (leaf, why)).collect();
    assert_eq!(tried, [("a1", "ONLY"), ("b1", "HEDGE")]);
    cluster.stop().await;
}

#[tokio::test]
async fn both_slow_ones_end_with_the_deadline() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::of_groups(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])]).await;
    let response = cluster.client().search(within(Duration::from_millis(400))).await;
    let response = response.expect("in time").into_inner();
    assert_eq!(failures(&response), [(0, "DEADLINE")]);
    assert_eq!((a.searches().len(), b.searches().len()), (1, 1));
    assert!(cluster.root.work().is_zero(), "nothing outlives the answer");
    a.wait_all_cancelled().await;
    b.wait_all_cancelled().await;
    cluster.stop().await;
}

#[tokio::test]
async fn hedges_have_a_budget() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::with_config(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])], |config| {
        config.dispatching.hedge_burst = 2
    })
    .await;
    for _ in 0..6 {
        let response = cluster.client().search(within(Duration::from_millis(200))).await;
        assert_eq!(failures(response.expect("in time").get_ref()), [(0, "DEADLINE")]);
    }
    assert_eq!(a.searches().len() + b.searches().len(), 6 + 2);
    cluster.stop().await;
}

#[tokio::test]
async fn hedging_can_be_off() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::with_config(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])], |config| {
        config.dispatching.hedge_mode = HedgeMode::Off
    })
    .await;
    let response = cluster.client().search(within(Duration::from_millis(300))).await;
    assert_eq!(failures(response.expect("in time").get_ref()), [(0, "DEADLINE")]);
    assert_eq!(a.searches().len() + b.searches().len(), 1);
    cluster.stop().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_work() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::of_groups(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])]).await;
    let mut client = cluster.client();
    tokio::select! {
        _ = client.search(request()) => panic!("nobody answers"),
        () = async { tokio::join!(a.wait_started(1), b.wait_started(1)); } => {
            assert_eq!((cluster.root.work().requests, cluster.root.work().attempts), (1, 2));
        }
    }
    a.wait_all_cancelled().await;
    b.wait_all_cancelled().await;
    cluster.wait_no_work().await;
    // What hung is slow for the next request too: the record says so, and it is asked all the same.
    a.answer_now();
    b.answer_now();
    cluster.client().search(request()).await.expect("answered");
    a.hang_now();
    cluster.stop().await;
}

#[tokio::test]
async fn all_are_asked_at_once_for_what_was_answered_before() {
    let (a, b, c) = (FakeLeaf::answering(), FakeLeaf::answering(), FakeLeaf::answering());
    let leaves = [&a, &b, &c];
    let all: [(_, _, _, &[u32]); 3] =
        [("a", "a1", &a, &[0]), ("b", "b1", &b, &[0]), ("c", "c1", &c, &[0])];
    let cluster = Cluster::with_config(&all, |config| {
        config.dispatching.hedge_mode = HedgeMode::All;
        // What was not answered before is only hedged when it is slow.
        config.dispatching.hedge_delay_min = WAIT_MAX;
    })
    .await;
    let asked = || leaves.iter().map(|leaf| leaf.searches().len()).sum::<usize>();
    let mut client = cluster.client();
    let first = client.search(request()).await.expect("answered").into_inner();
    assert_eq!((asked(), attempts(&first).len()), (1, 1), "one leaf for the unknown");

    leaves.iter().for_each(|leaf| leaf.hang_now());
    let search = client.search(request());
    tokio::pin!(search);
    tokio::select! {
        _ = &mut search => panic!("nobody answers"),
        () = async { tokio::join!(a.wait_started(1), b.wait_started(1), c.wait_started(1)); } => {}
    }
    b.answer_now();
    let response = search.await.expect("answered").into_inner();
    assert_eq!(response.answers.len(), 1, "one answer counts");
    assert_eq!(response.total_hits, first.total_hits);
    let mut attempts = attempts(&response);
    attempts.sort_unstable();
    let outcomes: Vec<_> = attempts.iter().map(|one| (one.0, one.2)).collect();
    assert_eq!(outcomes, [("a1", "CANCELLED"), ("b1", "OK"), ("c1", "CANCELLED")]);
    assert_eq!(attempts.iter().filter(|one| one.1 == "HEDGE").count(), 2);
    a.wait_all_cancelled().await;
    c.wait_all_cancelled().await;
    cluster.stop().await;
}

#[tokio::test]
async fn replicas_of_another_build_get_no_second_request() {
    let (a, b) = (FakeLeaf::hanging(), FakeLeaf::hanging());
    let cluster = Cluster::of_groups(&[("a", "a1", &a, &[0]), ("b", "b1", &b, &[0])]).await;
    cluster.announce_build(("b", "b1"), 0, "2026-11-22").await;
    let response = cluster.client().search(within(Duration::from_millis(300))).await;
    assert_eq!(failures(response.expect("in time").get_ref()), [(0, "DEADLINE")]);
    assert_eq!(a.searches().len() + b.searches().len(), 1);
    cluster.stop().await;
}
