//! Epochs and leases: whose answers count, and what a root does without its registry.

use nautilus_proto::root::v1::{GetStatusRequest, SearchRequest, SearchResponse};
use nautilus_registry::layout::ReplicaState;

use crate::fakes::{Cluster, FakeLeaf, attempts, failures, name, search_request};

const A: (&str, &str) = ("a", "a1");
const B: (&str, &str) = ("b", "b1");

fn request() -> SearchRequest {
    SearchRequest { explain: true, ..search_request(&[name(0, 0)]) }
}

async fn search(cluster: &Cluster) -> SearchResponse {
    cluster.client().search(request()).await.expect("answered").into_inner()
}

fn of_epoch_3() -> FakeLeaf {
    FakeLeaf::changing(|answer| answer.label.iter_mut().for_each(|label| label.epoch = 3))
}

fn lease_uncertain() -> FakeLeaf {
    FakeLeaf::changing(|answer| {
        answer.label.iter_mut().for_each(|label| label.is_lease_uncertain = true);
    })
}

#[tokio::test]
async fn an_answer_of_an_older_epoch_is_dropped_and_asked_elsewhere() {
    let (stale, sound) = (of_epoch_3(), FakeLeaf::answering());
    let cluster = Cluster::of_groups(&[(A.0, A.1, &stale, &[0]), (B.0, B.1, &sound, &[0])]).await;
    // The registry says that the leaf serves under epoch 4; its answer is of what it held before.
    cluster.announce(A, 0, 4, ReplicaState::Serving).await;
    let mut seen_stale = false;
    for _ in 0..50 {
        let response = search(&cluster).await;
        assert_eq!(failures(&response), []);
        assert_eq!(response.answers[0].replica_group, "b");
        seen_stale |= attempts(&response).contains(&("a1", "EXPLORE", "ANSWER_STALE_EPOCH"))
            || attempts(&response).contains(&("a1", "FASTEST", "ANSWER_STALE_EPOCH"));
        if seen_stale {
            break;
        }
    }
    assert!(seen_stale, "the stale one was never asked");
    cluster.withdraw(B, 0).await;
    assert_eq!(failures(&search(&cluster).await), [(0, "ANSWER_STALE_EPOCH")]);
    cluster.stop().await;
}

#[tokio::test]
async fn a_replaced_replica_is_not_asked_even_when_its_heir_is_gone() {
    let (old, new) = (of_epoch_3(), FakeLeaf::answering());
    let mut cluster = Cluster::empty(true, |_| {}).await;
    cluster.run(A, &old, &[0]).await;
    cluster.run(("a", "a2"), &new, &[0]).await;
    cluster.announce(A, 0, 3, ReplicaState::Serving).await;
    assert_eq!(search(&cluster).await.answers[0].leaf, "a1");
    cluster.announce(("a", "a2"), 0, 4, ReplicaState::Serving).await;
    for _ in 0..10 {
        assert_eq!(search(&cluster).await.answers[0].leaf, "a2");
    }
    cluster.withdraw(("a", "a2"), 0).await;
    assert_eq!(failures(&search(&cluster).await), [(0, "PARTITION_UNASSIGNED")]);
    assert_eq!(old.searches().len(), 1);

    // Without the registry it may be the only one that is left: better than nothing, and marked.
    cluster.registry.set(false);
    cluster.wait_state(|state| !state.is_registry_connected).await;
    let response = search(&cluster).await;
    let label = response.answers[0].label.as_ref().expect("always");
    assert_eq!((label.epoch, label.is_lease_uncertain), (3, true));
    cluster.stop().await;
}

#[tokio::test]
async fn an_uncertain_lease_counts_only_while_the_registry_is_away() {
    let uncertain = lease_uncertain();
    let cluster = Cluster::of_groups(&[(A.0, A.1, &uncertain, &[0])]).await;
    cluster.wait_state(|state| state.is_registry_connected).await;
    assert_eq!(failures(&search(&cluster).await), [(0, "ANSWER_LEASE_UNCERTAIN")]);

    cluster.registry.set(false);
    cluster.wait_state(|state| !state.is_registry_connected).await;
    let response = search(&cluster).await;
    assert!(response.answers[0].label.as_ref().is_some_and(|label| label.is_lease_uncertain));

    cluster.registry.set(true);
    cluster.wait_state(|state| state.is_registry_connected).await;
    assert_eq!(failures(&search(&cluster).await), [(0, "ANSWER_LEASE_UNCERTAIN")]);
    cluster.stop().await;
}

#[tokio::test]
async fn routing_goes_on_without_the_registry_and_catches_up_with_it() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let mut cluster = Cluster::of_groups(&[(A.0, A.1, &a, &[0])]).await;
    cluster.registry.set(false);
    cluster.wait_state(|state| !state.is_registry_connected).await;
    assert_eq!(search(&cluster).await.answers[0].leaf, "a1");
    cluster.kill(A);
    cluster.run(B, &b, &[0]).await;
    cluster.registry.set(true);
    cluster.announce(B, 0, 1, ReplicaState::Serving).await;
    let response = search(&cluster).await;
    assert_eq!((failures(&response), response.answers[0].leaf.as_str()), (vec![], "b1"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_root_that_never_read_the_registry_says_so() {
    let leaf = FakeLeaf::answering();
    let mut cluster = Cluster::empty(false, |_| {}).await;
    let state = cluster.root.routing_state();
    assert_eq!((state.revision, state.is_registry_connected), (None, false));
    let status = cluster.client().get_status(GetStatusRequest {}).await.expect("answered");
    let reasons: Vec<_> = status.get_ref().failures.iter().map(|f| f.reason.as_str()).collect();
    assert_eq!(reasons, ["ROUTING_UNKNOWN"; 4]);
    assert_eq!(failures(&search(&cluster).await), [(0, "ROUTING_UNKNOWN")]);

    cluster.registry.set(true);
    cluster.run(A, &leaf, &[0]).await;
    cluster.announce(A, 0, 1, ReplicaState::Serving).await;
    assert_eq!(failures(&search(&cluster).await), []);
    cluster.stop().await;
}
