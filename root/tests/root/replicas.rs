//! The state of all replicas, asked for once and watched.

use nautilus_proto::root::v1::{GetStatusRequest, ReplicasUpdate, WatchReplicasRequest};
use nautilus_registry::Operation;
use nautilus_registry::layout::{Decision, GroupName, Record, ReplicaState};

use crate::fakes::{Cluster, FakeLeaf, WAIT_MAX};

const A: (&str, &str) = ("a", "a1");
const B: (&str, &str) = ("b", "b1");

#[tokio::test]
async fn status_shows_every_replica_of_every_group() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let cluster = Cluster::of_groups(&[(A.0, A.1, &a, &[0, 2]), (B.0, B.1, &b, &[0])]).await;
    cluster.announce(("b", "gone"), 1, 1, ReplicaState::Serving).await;
    let held_back = Record::Decision(
        GroupName::new("b").expect("valid"),
        Decision { held_back: Some("too many gone".into()), ..Decision::default() },
    );
    let key = held_back.key().to_string();
    let Record::Decision(_, decision) = held_back else { unreachable!("made above") };
    let value = decision.encode().expect("valid");
    cluster.write(Operation::Put { key, value, lease: None }).await;

    let status = cluster.client().get_status(GetStatusRequest {}).await.expect("answered");
    let status = status.into_inner();
    let shown: Vec<_> = status
        .partitions
        .iter()
        .map(|p| {
            let partition = p.label.as_ref().map_or(9, |label| label.partition);
            (p.replica_group.as_str(), partition, p.leaf.as_str())
        })
        .collect();
    assert_eq!(shown, [("a", 0, "a1"), ("a", 2, "a1"), ("b", 0, "b1")]);
    let failures: Vec<_> =
        status.failures.iter().map(|f| (f.partition, f.reason.as_str())).collect();
    assert_eq!(failures, [(1, "LEAF_UNAVAILABLE"), (3, "PARTITION_UNASSIGNED")]);
    let [a, b] = status.groups.as_slice() else { panic!("two groups") };
    assert_eq!((a.name.as_str(), a.unserved.as_slice()), ("a", &[1, 3][..]));
    assert_eq!((b.name.as_str(), b.unserved.as_slice()), ("b", &[2, 3][..]));
    assert_eq!((a.held_back.as_str(), b.held_back.as_str()), ("", "too many gone"));
    let leaves: Vec<_> = b
        .leaves
        .iter()
        .map(|leaf| (leaf.name.as_str(), leaf.is_reachable, leaf.partitions.as_slice()))
        .collect();
    assert_eq!(leaves, [("b1", true, &[0][..]), ("gone", false, &[1][..])]);
    cluster.stop().await;
}

fn shown(update: &ReplicasUpdate) -> Vec<(&str, &str, u64, bool)> {
    let one = |r: &'_ nautilus_proto::root::v1::Replica| {
        (r.status.as_ref().map_or(0, |status| status.lag_records), r.is_reachable)
    };
    update
        .replicas
        .iter()
        .map(|r| {
            let (lag, is_reachable) = one(r);
            (r.replica_group.as_str(), r.leaf.as_str(), lag, is_reachable)
        })
        .collect()
}

#[tokio::test]
async fn replicas_are_watched_at_once_and_on_change() {
    let (a, b) = (FakeLeaf::answering(), FakeLeaf::answering());
    let mut cluster = Cluster::of_groups(&[(A.0, A.1, &a, &[0]), (B.0, B.1, &b, &[0])]).await;
    let updates = cluster.client().watch_replicas(WatchReplicasRequest {}).await;
    let mut updates = updates.expect("watched").into_inner();
    let first = updates.message().await.expect("an update").expect("no end");
    assert_eq!(shown(&first), [("a", "a1", 0, true), ("b", "b1", 0, true)]);

    // Many changes at once come as few updates, of which the last is the newest state.
    for lag in 1..=1_000 {
        b.report(|status| status.replicas[0].lag_records = lag);
    }
    let mut count = 0;
    let told = async {
        loop {
            let update = updates.message().await.expect("an update").expect("no end");
            count += 1;
            if shown(&update)[1].2 == 1_000 {
                break;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, told).await.expect("in time");
    assert!(count < 100, "{count} updates");

    cluster.kill(B);
    let lost = async {
        loop {
            let update = updates.message().await.expect("an update").expect("no end");
            if shown(&update) == [("a", "a1", 0, true), ("b", "b1", 1_000, false)] {
                break;
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, lost).await.expect("in time");
    // It comes back where it was, and is heard of again.
    cluster.run(B, &b, &[0]).await;
    cluster.wait_replicas(|update| update.replicas.iter().all(|r| r.is_reachable)).await;
    cluster.withdraw(B, 0).await;
    cluster.announce(A, 0, 1, ReplicaState::Draining).await;
    cluster.stop().await;
    let ended = async { while let Ok(Some(_)) = updates.message().await {} };
    tokio::time::timeout(WAIT_MAX, ended).await.expect("the stream ends with the root");
}

#[tokio::test]
async fn a_watcher_is_told_again_where_nothing_changes() {
    let a = FakeLeaf::answering();
    let cluster = Cluster::of_groups(&[(A.0, A.1, &a, &[0])]).await;
    let updates = cluster.client().watch_replicas(WatchReplicasRequest {}).await;
    let mut updates = updates.expect("watched").into_inner();
    let told = async {
        let first = updates.message().await.expect("an update").expect("no end");
        let started = tokio::time::Instant::now();
        for _ in 0..2 {
            let again = updates.message().await.expect("an update").expect("no end");
            assert_eq!(again, first);
        }
        started.elapsed()
    };
    let took = tokio::time::timeout(WAIT_MAX, told).await.expect("in time");
    // A sign of life and no more than that.
    assert!(took.as_millis() >= 1_500, "{took:?}");
    cluster.stop().await;
}
