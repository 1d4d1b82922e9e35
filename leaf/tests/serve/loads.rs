//! Many partitions on few threads, callers that go away, streams of status, and a log that hangs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nautilus_leaf::Work;
use nautilus_proto::leaf::v1::{LeafStatus, WatchStatusRequest};
use nautilus_service::Clock;
use tonic::Request;

use crate::gate::Gate;
use crate::world::{Setup, WAIT, World, holder, ids, until};

fn two_appliers(raw: &mut nautilus_leaf::RawConfig) {
    raw.apply_threads = 2;
}

#[tokio::test]
async fn few_threads_apply_many_partitions_each_in_order() {
    const PARTITIONS: u32 = 12;
    const RECORDS: u64 = 40;
    let world = World::with_partitions(PARTITIONS).await;
    world.assign_all("leaf-7").await;
    let setup = Setup { change: two_appliers, ..world.setup("leaf-7") };
    let leaf = world.start_as(setup).await.serving_all(PARTITIONS).await;
    // Each record replaces the one before: any other order than the log's would show.
    for i in 0..RECORDS {
        for name in &world.namespaces {
            world.append(world.upsert(name, "counter", &format!("value{i}"))).await;
        }
    }
    for name in &world.namespaces {
        let last = format!("value{}", RECORDS - 1);
        let answer = leaf.search(world.search(name, &last)).await.expect("answered");
        assert_eq!(ids(&answer), ["counter"]);
        assert_eq!(answer.label.expect("labelled").next_offset, RECORDS);
        assert_eq!(answer.statistics.expect("there").documents, 1);
    }
    leaf.stop().await;
}

#[tokio::test]
async fn a_log_that_hangs_does_not_hold_up_the_stop() {
    let world = World::new().await;
    let gate = Gate::new(world.log.clone());
    let leaf = world.start_on(gate.clone(), &world.dir.path().join("leaf")).await.serving().await;
    gate.set_open(false);
    world.append(world.upsert(world.first(), "a", "tide")).await;
    gate.until_waiting().await;
    let began = now();
    leaf.stop().await;
    assert!(now() - began < Duration::from_secs(2), "took {:?}", now() - began);
}

fn now() -> Instant {
    Clock::system().now()
}

#[tokio::test]
async fn nothing_is_left_of_a_request_whose_caller_went_away() {
    let world = World::new().await;
    let notes = world.first();
    let gate = Gate::new(world.log.clone());
    let leaf = world.start_on(gate.clone(), &world.dir.path().join("leaf")).await.serving().await;
    gate.set_open(false);
    world.append(world.upsert(notes, "a", "tide")).await;
    gate.until_waiting().await;
    let search = leaf.search(world.search(notes, "tide"));
    let fetch = leaf.fetch(world.fetch(notes, &["a"]));
    let both_wait =
        until(async || (leaf.leaf.work() == Work { queued: 2, running: 0 }).then_some(()));
    tokio::select! {
        _ = search => panic!("nothing to answer"),
        _ = fetch => panic!("nothing to answer"),
        () = both_wait => {}
    }
    let gone_at = now();
    until(async || (leaf.leaf.work() == Work::default()).then_some(())).await;
    assert!(now() - gone_at < Duration::from_millis(100), "took {:?}", now() - gone_at);
    gate.set_open(true);
    leaf.stop().await;
}

#[tokio::test]
async fn a_fetch_does_not_wait_behind_searches() {
    let world = World::new().await;
    let notes = world.first();
    world.assign_all("leaf-7").await;
    let setup = Setup { change: |raw| raw.search_threads = 1, ..world.setup("leaf-7") };
    let leaf = world.start_as(setup).await.serving().await;
    for i in 0..50 {
        world
            .append(world.upsert(notes, &format!("{i}"), &format!("tide {}", "moon ".repeat(200))))
            .await;
    }
    leaf.fetch(world.fetch(notes, &["1"])).await.expect("answered");
    // More searches than threads, all at once; fetches in between are answered meanwhile.
    let searches = (0..40).map(|_| leaf.search(world.search(notes, "moon")));
    let searches = futures::future::join_all(searches);
    let fetches = async {
        for _ in 0..5 {
            leaf.fetch(world.fetch(notes, &["1", "2"])).await.expect("answered");
        }
    };
    let (searches, ()) = tokio::join!(searches, fetches);
    assert!(
        searches.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.total_hits == 50))
    );
    until(async || (leaf.leaf.work() == Work::default()).then_some(())).await;
    leaf.stop().await;
}

#[tokio::test]
async fn the_status_streams_what_changes() {
    let world = World::new().await;
    let notes = world.first();
    let leaf = world.start().await.serving().await;
    let mut client = leaf.client.clone();
    let stream = client.watch_status(Request::new(WatchStatusRequest {})).await;
    let mut stream = stream.expect("answered").into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(WAIT, stream.message()).await.expect("in time");
        next.expect("sound")
    };
    let of_first = |status: &LeafStatus| status.replicas[0].clone();
    let first = next().await.expect("at once");
    assert_eq!((&*first.leaf, &*first.replica_group, first.replicas.len()), ("leaf-7", "a", 2));
    let replica = of_first(&first);
    assert_eq!((replica.partition, replica.epoch, &*replica.state), (0, 1, "SERVING"));
    assert_eq!((replica.applied_offset, replica.lag_records), (0, 0));
    // With nothing to tell it is heard of all the same.
    assert!(first.heartbeat_ms > 0);
    let mut last = first;
    loop {
        let status = next().await.expect("there");
        if status == last {
            break;
        }
        last = status;
    }

    // Many records are few messages, and the last one says where it came to.
    for i in 0..200 {
        world.append(world.upsert(notes, &format!("{i}"), "tide")).await;
    }
    let mut applied = BTreeSet::new();
    while applied.last() != Some(&200) {
        applied.insert(of_first(&next().await.expect("there")).applied_offset);
    }
    world.assign(0, holder("leaf-7", 3), None).await;
    while of_first(&next().await.expect("there")).epoch != 3 {}
    let stopping = leaf.stop();
    let ended = async { while next().await.is_some() {} };
    drop(client);
    tokio::join!(stopping, ended);
}

#[tokio::test]
async fn what_is_counted_can_be_read() {
    let world = World::new().await;
    let leaf = world.start().await.serving().await;
    world.append(world.upsert(world.first(), "a", "tide")).await;
    leaf.search(world.search(world.first(), "tide")).await.expect("answered");
    let mut registry = prometheus_client::registry::Registry::default();
    leaf.leaf.metrics().register(&mut registry);
    let text = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("encoded");
        text
    };
    let of_first = r#"{replica_group="a",leaf="leaf-7",partition="0"}"#;
    let applied = format!("nautilus_leaf_applied_offset{of_first} 1");
    until(async || text().contains(&applied).then_some(())).await;
    for line in [
        format!("nautilus_leaf_apply_records_total{of_first} 1"),
        format!("nautilus_leaf_log_lag_records{of_first} 0"),
        r#"nautilus_leaf_partition_state{replica_group="a",leaf="leaf-7",partition="0",state="SERVING"} 1"#.to_owned(),
        r#"nautilus_leaf_search_duration_seconds_count{replica_group="a",leaf="leaf-7",call="search"} 1"#.to_owned(),
        r#"nautilus_recovery_duration_seconds_count{replica_group="a",leaf="leaf-7",phase="open"} 2"#.to_owned(),
    ] {
        assert!(text().contains(&line), "{line} is not in\n{}", text());
    }
    // A partition that left takes its series along.
    world.assign(0, holder("elsewhere", 2), None).await;
    leaf.until_gone(0).await;
    until(async || (!text().contains(r#"partition="0""#)).then_some(())).await;
    leaf.stop().await;
}
