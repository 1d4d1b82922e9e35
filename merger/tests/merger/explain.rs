//! What an answer says about how it was made, and what the metrics and the slow log do.

use std::time::Duration;

use nautilus_proto::search::v1::SearchRequest;

use crate::system::{System, apart, partition_of, query};

fn explained(text: &str) -> SearchRequest {
    SearchRequest { explain: true, ..query(text) }
}

#[tokio::test]
async fn an_explanation_says_what_was_done_and_nothing_of_others() {
    let system = System::start().await;
    system.user("ada").await;
    let (first, second) = apart();
    for name in [&first, &second] {
        let namespace = system.namespace(name, "ada").await;
        system.feed(&namespace, name, "", "red fox fox");
    }
    system.user("bob").await;
    let secret = system.namespace("secret", "bob").await;
    system.feed(&secret, "x", "", "fox");

    let response = system.search("ada", explained("fox title:owl")).await.expect("found");
    assert!(response.timing.is_none(), "only in the explanation");
    let explanation = response.explanation.expect("asked for");
    assert_eq!(explanation.query, "fox OR title:owl", "as it was searched for in the end");
    assert_eq!(explanation.namespaces, {
        let mut names = vec![first.clone(), second.clone()];
        names.sort();
        names
    });
    let terms: Vec<_> =
        explanation.terms.iter().map(|one| (one.term.as_str(), one.documents)).collect();
    assert_eq!(terms, [("fox", 2), ("title:owl", 0)]);
    assert_eq!((explanation.documents, explanation.total_length > 0), (2, true));

    let mut partitions: Vec<_> = explanation.partitions.iter().map(|one| one.partition).collect();
    partitions.sort_unstable();
    let mut expected = [partition_of(&first).0, partition_of(&second).0];
    expected.sort_unstable();
    assert_eq!(partitions, expected);
    let one = &explanation.partitions[0];
    assert_eq!((one.leaf.as_str(), one.replica_group.as_str(), one.epoch), ("leaf-1", "blue", 4));
    assert_eq!((one.total_hits, one.rows_scanned, one.attempts.len()), (1, 10, 1));
    assert_eq!(one.next_offset, 0, "how much others write is not for users");

    let timing = explanation.timing.expect("always");
    let root = timing.stages.iter().find(|stage| stage.name == "root").expect("asked");
    let inside: Vec<_> = root.children.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(inside, ["route", "fan_out", "transport"]);
    assert_eq!(root.children[1].children[0].name, "slowest_leaf");
    let sum: u64 = timing.stages.iter().map(|stage| stage.duration_us).sum();
    assert!(sum + timing.unaccounted_us <= timing.total_us);
    assert!(sum * 100 >= timing.total_us * 95, "{timing:?}");

    let response = system.search_as_operator("ada", explained("fox")).await.expect("found");
    let explanation = response.explanation.expect("asked for");
    assert_eq!(explanation.partitions[0].next_offset, 100);
    let plain = system.search("ada", query("fox")).await.expect("found");
    assert!(plain.explanation.is_none());
    assert!(!system.root.state().searches.last().expect("asked").explain);
    system.stop().await;
}

#[tokio::test]
async fn metrics_and_the_slow_count_follow_the_searches() {
    let system =
        System::start_as(true, |config| config.slow_query_threshold = Duration::ZERO).await;
    system.with_foxes().await;
    system.search("ada", query("fox")).await.expect("found");
    system.search("ada", query("\"")).await.expect_err("no query");
    let counts = system.merger.counts();
    assert_eq!((counts.searches, counts.slow), (1, 2), "also one that fails may be slow");
    let mut registry = prometheus_client::registry::Registry::default();
    system.merger.register_metrics(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("encodes");
    for line in [
        "nautilus_merger_search_duration_seconds_count{outcome=\"ok\"} 1",
        "nautilus_merger_search_duration_seconds_count{outcome=\"invalid\"} 1",
        "nautilus_search_stage_duration_seconds_count{stage=\"root\"} 1",
        "nautilus_search_stage_duration_seconds_count{stage=\"authenticate\"} 2",
        "nautilus_merger_slow_total 2",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    system.stop().await;
}
