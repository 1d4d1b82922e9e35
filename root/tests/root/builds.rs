//! Replicas of several builds: a search is of one of them.

use std::collections::BTreeSet;

use nautilus_proto::leaf::v1 as leaf;
use nautilus_proto::root::v1::{SearchRequest, SearchResponse};
use nautilus_registry::layout::ReplicaState;
use nautilus_service::RpcError;
use nautilus_types::Class;

use crate::fakes::{Cluster, FakeLeaf, failures, name, search_request};

const A: (&str, &str) = ("a", "a1");
const B: (&str, &str) = ("b", "b1");
const NAME: &str = "stems";

fn of_build(answer: &mut leaf::SearchResponse) {
    answer.label.get_or_insert_default().build = NAME.to_owned();
}

/// Group a is fed from the log, b is of a build; both have two partitions.
async fn two(a: &FakeLeaf, b: &FakeLeaf) -> Cluster {
    let cluster = Cluster::of_groups(&[(A.0, A.1, a, &[0, 1]), (B.0, B.1, b, &[0, 1])]).await;
    for partition in [0, 1] {
        cluster.announce_build(B, partition, NAME).await;
    }
    cluster
}

fn request() -> SearchRequest {
    search_request(&[name(0, 0), name(1, 0)])
}

async fn search(cluster: &Cluster, request: SearchRequest) -> SearchResponse {
    cluster.client().search(request).await.expect("answered").into_inner()
}

fn builds(response: &SearchResponse) -> BTreeSet<String> {
    let labels = response.answers.iter().filter_map(|answer| answer.label.as_ref());
    labels.map(|label| label.build.clone()).collect()
}

#[tokio::test]
async fn a_search_is_of_one_build() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::changing(of_build));
    let cluster = two(&a, &b).await;
    let mut seen = BTreeSet::new();
    for _ in 0..40 {
        let response = search(&cluster, request()).await;
        assert_eq!((response.answers.len(), builds(&response).len()), (2, 1));
        seen.extend(builds(&response));
    }
    assert_eq!(seen.len(), 2, "both take their share");
    for build in ["", NAME] {
        let asked = SearchRequest { build: Some(build.to_owned()), ..request() };
        for _ in 0..5 {
            let response = search(&cluster, asked.clone()).await;
            assert_eq!(builds(&response), BTreeSet::from([build.to_owned()]));
        }
    }
    let gone = SearchRequest { build: Some("gone".to_owned()), ..request() };
    let response = search(&cluster, gone).await;
    assert_eq!(failures(&response), [(0, "BUILD_NOT_SERVED"), (1, "BUILD_NOT_SERVED")]);
    // A build that does not serve all is not chosen; a drained group is asked for one that is named.
    cluster.announce(A, 1, 9, ReplicaState::Replaying).await;
    for _ in 0..10 {
        assert_eq!(builds(&search(&cluster, request()).await), BTreeSet::from([NAME.to_owned()]));
    }
    cluster.announce(A, 1, 9, ReplicaState::Serving).await;
    cluster.drain(A.0).await;
    for _ in 0..10 {
        assert_eq!(builds(&search(&cluster, request()).await), BTreeSet::from([NAME.to_owned()]));
    }
    let drained = SearchRequest { build: Some(String::new()), ..request() };
    assert_eq!(builds(&search(&cluster, drained).await), BTreeSet::from([String::new()]));
    cluster.stop().await;
}

#[tokio::test]
async fn where_one_build_fails_another_answers_all() {
    let failing = FakeLeaf::failing(|| {
        RpcError::new(Class::Unavailable, "PARTITION_NOT_READY", "x").into_status()
    });
    let cluster = two(&failing, &FakeLeaf::changing(of_build)).await;
    for _ in 0..30 {
        let response = search(&cluster, request()).await;
        assert_eq!(failures(&response), []);
        assert_eq!(builds(&response), BTreeSet::from([NAME.to_owned()]));
    }
    // What names the build has no other.
    let named = SearchRequest { build: Some(String::new()), ..request() };
    assert_eq!(failures(&search(&cluster, named).await).len(), 2);
    cluster.stop().await;
}

#[tokio::test]
async fn an_answer_of_another_build_than_announced_is_none() {
    // It was exchanged, and the root has not heard of it yet.
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = two(&a, &b).await;
    for _ in 0..20 {
        let response = search(&cluster, request()).await;
        assert_eq!(failures(&response), []);
        assert_eq!(builds(&response), BTreeSet::from([String::new()]));
        assert!(response.answers.iter().all(|answer| answer.replica_group == "a"));
    }
    cluster.stop().await;
}
