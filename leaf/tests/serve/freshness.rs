//! When an answer must wait, and when it must not be given.

use std::time::Duration;

use nautilus_proto::leaf::v1::{RequestContext, SearchRequest};
use nautilus_service::deadline::set_timeout;
use tonic::{Code, Request};
use tonic_types::StatusExt as _;

use crate::gate::Gate;
use crate::world::{WAIT, World, ids, refusal, until};

fn with_context(
    mut request: SearchRequest,
    change: impl FnOnce(&mut RequestContext),
) -> SearchRequest {
    change(request.context.as_mut().expect("there"));
    request
}

#[tokio::test]
async fn a_search_waits_for_what_it_must_show() {
    let world = World::new().await;
    let notes = world.first();
    let gate = Gate::new(world.log.clone());
    let leaf = world.start_on(gate.clone(), &world.dir.path().join("leaf")).await.serving().await;
    world.append(world.upsert(notes, "a", "tide")).await;
    assert_eq!(ids(&leaf.search(world.search(notes, "tide")).await.expect("answered")), ["a"]);

    gate.set_open(false);
    world.append(world.upsert(notes, "b", "tide")).await;
    gate.until_waiting().await;
    let whatever = with_context(world.search(notes, "tide"), |context| context.latest = false);
    let answer = leaf.search(whatever.clone()).await.expect("does not wait");
    assert_eq!((ids(&answer).len(), answer.label.expect("labelled").next_offset), (1, 1));
    let at_least_one = with_context(whatever.clone(), |context| context.min_next_offset = 1);
    assert!(leaf.search(at_least_one).await.is_ok(), "it is there");

    // Not in time: refused, with when to try again.
    let at_least_two = with_context(whatever.clone(), |context| context.min_next_offset = 2);
    for request in [world.search(notes, "tide"), at_least_two.clone()] {
        let status = until(async || {
            let mut request = Request::new(request.clone());
            set_timeout(&mut request, Duration::from_millis(300));
            let status = leaf.client.clone().search(request).await.expect_err("refused");
            // On a busy machine the client's own timer may be first; then the leaf has said nothing.
            (status.code() != Code::Cancelled).then_some(status)
        })
        .await;
        assert_eq!(status.code(), Code::Unavailable);
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.as_str());
        assert_eq!(reason, Some("REPLICA_LAGGING"));
        assert!(details.retry_info().is_some());
    }
    let beyond = with_context(whatever, |context| context.min_next_offset = 3);
    let refused = refusal(leaf.search(beyond).await);
    assert_eq!(refused, (Code::InvalidArgument, "OFFSET_BEYOND_LOG".to_owned()));

    // In time: both kinds of waiting answer once the record is applied.
    let latest = leaf.search(world.search(notes, "tide"));
    let at_least = leaf.search(at_least_two);
    let open = async { gate.set_open(true) };
    let all = async { tokio::join!(latest, at_least, open) };
    let (latest, at_least, ()) = tokio::time::timeout(WAIT, all).await.expect("in time");
    for answer in [latest, at_least] {
        let answer = answer.expect("answered");
        assert_eq!((ids(&answer).len(), answer.label.expect("labelled").next_offset), (2, 2));
    }
    leaf.stop().await;
}

#[tokio::test]
async fn a_partition_answers_only_once_it_has_caught_up() {
    let world = World::new().await;
    let notes = world.first();
    world.append(world.upsert(notes, "a", "tide")).await;
    let gate = Gate::new(world.log.clone());
    gate.set_open(false);
    let leaf = world.start_on(gate.clone(), &world.dir.path().join("leaf")).await;
    let status = leaf.until(0, "REPLAYING").await;
    assert_eq!((status.log_high_offset, status.documents), (1, 0));
    // Its log is empty, so it has nothing to catch up with.
    leaf.until(1, "SERVING").await;

    let status = leaf.search(world.search(notes, "tide")).await.expect_err("not yet");
    assert_eq!(status.code(), Code::Unavailable);
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    assert_eq!(reason, Some("PARTITION_NOT_READY"));
    assert!(details.retry_info().is_some());
    for refused in [
        refusal(leaf.fetch(world.fetch(notes, &["a"])).await),
        refusal(leaf.list(world.list(notes, "", 1)).await),
    ] {
        assert_eq!(refused, (Code::Unavailable, "PARTITION_NOT_READY".to_owned()));
    }

    gate.set_open(true);
    leaf.until(0, "SERVING").await;
    assert_eq!(ids(&leaf.search(world.search(notes, "tide")).await.expect("answered")), ["a"]);
    leaf.stop().await;
}

/// How far behind a partition is shows as the age of what it has not applied.
#[tokio::test]
async fn lag_is_the_age_of_the_oldest_waiting_record() {
    let world = World::new().await;
    let gate = Gate::new(world.log.clone());
    let leaf = world.start_on(gate.clone(), &world.dir.path().join("leaf")).await.serving().await;
    assert_eq!(leaf.status(0).await.lag_ms, 0);
    gate.set_open(false);
    world.append(world.upsert(world.first(), "a", "tide")).await;
    gate.until_waiting().await;
    let behind = async { while leaf.status(0).await.lag_ms == 0 {} };
    tokio::time::timeout(WAIT, behind).await.expect("grows with time");
    gate.set_open(true);
    leaf.search(world.search(world.first(), "tide")).await.expect("caught up");
    assert_eq!(leaf.status(0).await.lag_ms, 0);
    leaf.stop().await;
}
