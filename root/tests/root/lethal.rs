//! Requests that leaves die of: how many, and what becomes of the request and of others.

use nautilus_identity::Purpose;
use nautilus_proto::root::v1::SearchRequest;
use nautilus_registry::Registry as _;
use nautilus_registry::layout::Suspicion;
use nautilus_root::HedgeMode;
use tonic::Code;

use crate::fakes::{
    Cluster, FakeLeaf, WAIT_MAX, failures, grant, name, now_ms, query, reason_of, search_request,
};

const PLACES: [(&str, &str); 3] = [("a", "a1"), ("b", "b1"), ("c", "c1")];

fn request() -> SearchRequest {
    SearchRequest { explain: true, ..search_request(&[name(0, 0)]) }
}

/// Three groups of one leaf, each with partitions 0 and 1, whose searches hang.
async fn cluster(leaves: &[FakeLeaf; 3]) -> Cluster {
    let [a, b, c] = leaves;
    let all: [(_, _, _, &[u32]); 3] =
        [("a", "a1", a, &[0, 1]), ("b", "b1", b, &[0, 1]), ("c", "c1", c, &[0, 1])];
    Cluster::with_config(&all, |config| config.dispatching.hedge_mode = HedgeMode::Off).await
}

/// Waits for a leaf other than `dead` that has a search, and ends its process.
async fn kill_next(cluster: &mut Cluster, leaves: &[FakeLeaf; 3], dead: &mut Vec<usize>) {
    let asked = async {
        loop {
            let has_one = |n: &usize| !dead.contains(n) && !leaves[*n].searches().is_empty();
            if let Some(found) = (0..3).find(has_one) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let found = tokio::time::timeout(WAIT_MAX, asked).await.expect("in time");
    cluster.kill(PLACES[found]);
    dead.push(found);
}

#[tokio::test]
async fn what_kills_two_leaves_is_refused_and_the_third_lives() {
    let leaves = [FakeLeaf::hanging(), FakeLeaf::hanging(), FakeLeaf::hanging()];
    let mut cluster = cluster(&leaves).await;
    let mut client = cluster.client();
    let mut dead = Vec::new();
    let killed = async {
        kill_next(&mut cluster, &leaves, &mut dead).await;
        kill_next(&mut cluster, &leaves, &mut dead).await;
    };
    let (response, ()) = tokio::join!(client.search(request()), killed);
    let response = response.expect("an answer without the partition").into_inner();
    assert_eq!(failures(&response), [(0, "LEAF_UNAVAILABLE")]);

    let third = (0..3).find(|n| !dead.contains(n)).expect("one");
    leaves[third].answer_now();
    let refused = client.search(request()).await.expect_err("refused");
    assert_eq!(
        (refused.code(), reason_of(&refused)),
        (Code::FailedPrecondition, "QUERY_QUARANTINED".into())
    );
    // Wherever it goes: what broke two leaves may break those of another partition.
    let elsewhere = client.search(search_request(&[name(1, 0)])).await.expect_err("refused");
    assert_eq!(reason_of(&elsewhere), "QUERY_QUARANTINED");
    assert!(leaves[third].searches().is_empty(), "it never came there");
    // Others are answered.
    let other = query("owl");
    let grant = grant(&[name(0, 0)], Purpose::Search, Some(&other), now_ms() + 5_000);
    let other = SearchRequest { grant, query: Some(other), ..request() };
    client.search(other).await.expect("answered");

    // The registry tells other roots, for a while.
    let told = async {
        loop {
            let listing = cluster.registry.list(Suspicion::PREFIX).await.expect("listed");
            if listing.entries.len() == 2 {
                return listing.entries;
            }
            tokio::task::yield_now().await;
        }
    };
    let entries = tokio::time::timeout(WAIT_MAX, told).await.expect("in time");
    assert!(entries.iter().all(|entry| entry.lease.is_some()));
    cluster.stop().await;
}

#[tokio::test]
async fn what_answers_after_a_death_is_no_longer_suspect() {
    let leaves = [FakeLeaf::hanging(), FakeLeaf::hanging(), FakeLeaf::hanging()];
    let mut cluster = cluster(&leaves).await;
    let mut client = cluster.client();
    let mut dead = Vec::new();
    for _ in 0..2 {
        leaves.iter().for_each(FakeLeaf::hang_now);
        let killed = async {
            kill_next(&mut cluster, &leaves, &mut dead).await;
            leaves.iter().for_each(FakeLeaf::answer_now);
        };
        let (response, ()) = tokio::join!(client.search(request()), killed);
        assert!(failures(response.expect("answered").get_ref()).is_empty(), "the retry answers");
        leaves.iter().for_each(FakeLeaf::forget_searches);
    }
    assert_eq!(dead.len(), 2);
    client.search(request()).await.expect("never refused");
    cluster.stop().await;
}

#[tokio::test]
async fn a_root_refuses_what_killed_leaves_of_others() {
    let leaves = [FakeLeaf::answering(), FakeLeaf::answering(), FakeLeaf::answering()];
    let cluster = cluster(&leaves).await;
    let mut client = cluster.client();
    client.search(request()).await.expect("answered");
    let fingerprint = nautilus_root::search_fingerprint(&request());
    for (group, leaf) in &PLACES[..2] {
        cluster.tell_suspicion(fingerprint, 0, group, leaf).await;
    }
    let refused = async {
        loop {
            if let Err(status) = client.search(request()).await {
                return status;
            }
        }
    };
    let refused = tokio::time::timeout(WAIT_MAX, refused).await.expect("in time");
    assert_eq!(reason_of(&refused), "QUERY_QUARANTINED");
    cluster.stop().await;
}
