//! Consistency tokens, and what is left of a search whose time is over.

use std::time::Duration;

use nautilus_identity::TokenKey;
use nautilus_proto::search::v1::SearchRequest;
use tonic::Code;

use crate::world::{World, bounded, query, refusal, upsert};

const MERGER_WORK: &str = "nautilus_merger_inflight";

fn with_token(token: &str, group: &str) -> SearchRequest {
    SearchRequest {
        consistency_token: token.to_owned(),
        replica_group: group.to_owned(),
        ..query("fox", "notes")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_with_a_token_sees_its_write_in_every_group() {
    let world = World::start().await;
    let client = &world.client;
    client.create("ada", "notes").await;
    for n in 0..100_u64 {
        let token = client.write("ada", vec![upsert("notes", &format!("d{n}"), "red fox")]).await;
        for group in ["a", "b"] {
            let found = client.search("operator:ada", with_token(&token, group)).await;
            assert_eq!(found.expect("found").total_hits, n + 1, "group {group}");
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_foreign_and_future_tokens_are_refused() {
    let world = World::start().await;
    let client = &world.client;
    client.create("ada", "notes").await;
    let token = client.write("ada", vec![upsert("notes", "d", "red fox")]).await;

    let mut forged = token.clone();
    let last = forged.pop().expect("not empty");
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let answer = client.search("ada", with_token(&forged, "")).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID".to_owned()));

    // Of another log of the same cluster key, and of another cluster.
    let identity = world.cluster.ports().log.identity();
    let sealed = |generation: u64, offset: u64| {
        let log = nautilus_identity::LogIdentity {
            cluster_id: identity.cluster_id,
            generation: nautilus_types::LogGeneration(generation),
        };
        let map = nautilus_types::PartitionMap::divided(identity.partitions);
        let name = nautilus_types::NamespaceName::new("notes").expect("valid");
        let mut token = nautilus_identity::ConsistencyToken::new();
        token.require(map.partition_of(&name), nautilus_types::Offset(offset));
        token.seal(&world.cluster.ports().token_key, &log).expect("sealed")
    };
    let generation = identity.generation.0;
    let answer = client.search("ada", with_token(&sealed(generation + 1, 1), "")).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID".to_owned()));
    let answer = client.search("ada", with_token(&sealed(generation, 1_000), "")).await;
    assert_eq!(refusal(answer).0, Code::InvalidArgument);
    let other = TokenKey::generate().expect("key");
    let log = nautilus_identity::LogIdentity {
        cluster_id: identity.cluster_id,
        generation: identity.generation,
    };
    let elsewhere = nautilus_identity::ConsistencyToken::new().seal(&other, &log).expect("sealed");
    let answer = client.search("ada", with_token(&elsewhere, "")).await;
    assert_eq!(refusal(answer), (Code::InvalidArgument, "CONSISTENCY_TOKEN_INVALID".to_owned()));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_works_on_after_the_deadline_of_a_search_that_waits_in_vain() {
    let world = World::start().await;
    let client = &world.client;
    client.create("ada", "notes").await;
    let seen = client.write("ada", vec![upsert("notes", "d0", "red fox")]).await;
    for group in ["a", "b"] {
        client.search("operator:ada", with_token(&seen, group)).await.expect("found");
    }
    // Replicas stand still; what is written now stays invisible.
    world.log.set_open(false);
    // A read that is already under way may still bring this one.
    let mut token = String::new();
    for n in 1..=3 {
        token = client.write("ada", vec![upsert("notes", &format!("d{n}"), "red fox")]).await;
    }
    let time = Duration::from_millis(400);
    let started = tokio::time::Instant::now();
    let request = client.request_within("ada", with_token(&token, ""), time);
    let mut searches = client.searches();
    let search = searches.search(request);
    tokio::pin!(search);
    // Nobody has to be gone for the counters to be seen at work.
    let seen = async { while world.metric(MERGER_WORK).await < 1.0 {} };
    tokio::select! {
        answer = &mut search => panic!("it cannot be answered yet: {answer:?}"),
        () = bounded("the merger's counter", seen) => {}
    }
    let answer = search.await;
    let code = answer.expect_err("the offset is out of reach").code();
    assert!(
        matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled),
        "{code:?}"
    );
    let deadline = started + time;
    tokio::time::sleep_until(deadline + Duration::from_millis(100)).await;
    assert!(world.cluster.root().work().is_zero(), "{:?}", world.cluster.root().work());
    for counter in [MERGER_WORK, "nautilus_ingest_inflight"] {
        assert_eq!(world.metric(counter).await, 0.0, "{counter}");
    }
    for leaf in world.cluster.groups().iter().flat_map(|group| group.leaves()) {
        let work = leaf.work();
        assert_eq!((work.queued, work.running), (0, 0));
    }
    // Without the token the search answers from what is there.
    let found = client.search("ada", query("fox", "notes")).await.expect("found");
    assert!(found.total_hits >= 1);
    world.log.set_open(true);
    let found = bounded("caught up", client.search("ada", with_token(&token, ""))).await;
    assert_eq!(found.expect("found").total_hits, 4);
    world.stop().await;
}
