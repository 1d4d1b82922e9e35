//! A candidate build in a drained group is compared on live searches, which never show it.

use std::sync::Arc;

use nautilus_proto::admin::v1::{GetShadowReportRequest, ShadowReport};
use nautilus_proto::search::v1::{SearchRequest, SearchResponse};
use nautilus_registry::layout::{GroupState, SHARE_ALL, ShadowSearches};
use nautilus_registry::{Operation, Registry, Transaction};

use crate::builds::{NAME, Ports, exchange, note, rebuild, say, standing, stems, until_drained};
use crate::world::{World, bounded, ids, query, scrape, upsert};

const OFFERED: &str = "nautilus_root_shadow_searches_total{result=\"offered\"}";

async fn ask_for(registry: &dyn Registry, share_per_million: u32) {
    let key = ShadowSearches::KEY.to_owned();
    let operation = if share_per_million == 0 {
        Operation::Delete(key)
    } else {
        let build = Some(NAME.to_owned());
        let setting = ShadowSearches { build, share_per_million, note: note(), placed_unix_ms: 1 };
        Operation::Put { key, value: setting.encode().expect("valid"), lease: None }
    };
    let transaction = Transaction { operations: vec![operation], ..Transaction::default() };
    registry.transact(transaction).await.expect("written");
}

/// A world whose searches are always the same two.
struct Shadowed {
    world: World,
    token: String,
}

impl Shadowed {
    /// `fox` finds three documents, and on the candidate also those with `foxes`.
    async fn search(&self, text: &str) -> SearchResponse {
        let consistency_token = self.token.clone();
        // A machine that stands still for a moment must truncate nothing.
        let budget_ms = 5_000;
        let request = SearchRequest { consistency_token, budget_ms, ..query(text, "notes") };
        let found = self.world.client.search("ada", request).await.expect("found");
        let coverage = found.coverage.clone().expect("covered");
        assert_eq!((coverage.build.as_str(), coverage.complete), ("", true), "as ever");
        match text {
            "fox" => assert!(ids(&found).iter().all(|id| id.starts_with("one")), "{found:?}"),
            _ => assert_eq!(found.hits.len(), 5),
        }
        found
    }

    async fn offered(&self) -> u64 {
        let text = scrape(self.world.cluster.admin_address()).await;
        let line = text.lines().find_map(|line| line.strip_prefix(OFFERED));
        line.map_or(0, |value| value.trim().parse().expect("a number"))
    }

    async fn report(&self) -> Option<ShadowReport> {
        let request = self.world.client.request("operator:ada", GetShadowReportRequest {});
        let answer = self.world.client.cluster().get_shadow_report(request).await;
        answer.expect("an operator asks").into_inner().report
    }

    /// The report once it is of everything that was offered.
    async fn settled(&self) -> ShadowReport {
        let offered = self.offered().await;
        let settled = async {
            loop {
                let report = self.report().await.unwrap_or_default();
                let all = report.compared + report.incomplete + report.failed + report.dropped;
                if all == offered {
                    return report;
                }
                tokio::task::yield_now().await;
            }
        };
        bounded("every shadow search has ended", settled).await
    }

    /// Searches until another one is offered, or this one is not.
    async fn until_offered(&self, is_offered: bool) {
        let changed = async {
            loop {
                let before = self.offered().await;
                self.search("fox").await;
                if (self.offered().await > before) == is_offered {
                    return;
                }
            }
        };
        bounded("the root has heard of it", changed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_is_compared_and_never_shown() {
    let mut kept: Option<Ports> = None;
    let world = World::start_as(
        |_| {},
        |ports| {
            let (registry, repository) =
                (Arc::clone(&ports.registry), Arc::clone(&ports.repository));
            kept = Some((registry, Arc::clone(&ports.log), repository));
        },
    )
    .await;
    let ports = kept.expect("wrapped");
    world.client.create("ada", "notes").await;
    let one = (0..3).map(|n| upsert("notes", &format!("one-{n}"), "a red fox"));
    let many = (0..2).map(|n| upsert("notes", &format!("many-{n}"), "two red foxes"));
    let token = world.client.write("ada", one.chain(many).collect()).await;
    rebuild(&ports, &world.folder.path().join("rebuild")).await;
    let registry = ports.0.as_ref();
    say(registry, standing("b", GroupState::Drained)).await;
    bounded("the root sends no more", until_drained(&world.client, "b")).await;
    exchange(registry, "b", &stems()).await;

    let shadowed = Shadowed { world, token };
    for _ in 0..5 {
        shadowed.search("fox").await;
    }
    assert_eq!((shadowed.report().await, shadowed.offered().await), (None, 0), "off by itself");

    ask_for(registry, SHARE_ALL).await;
    shadowed.until_offered(true).await;
    for _ in 0..5 {
        assert_eq!(shadowed.search("fox").await.total_hits, 3);
        shadowed.settled().await;
    }
    let foxes = shadowed.settled().await;
    let count = f64::from(u32::try_from(foxes.compared).expect("few"));
    assert!(foxes.compared >= 6 && foxes.build == NAME, "{foxes:?}");
    assert!((foxes.overlap_sum - 0.6 * count).abs() < 1e-9, "three of five: {foxes:?}");
    assert_eq!((foxes.more_hits, foxes.same_order), (foxes.compared, 0));
    assert_eq!((foxes.failed, foxes.incomplete, foxes.dropped), (0, 0, 0), "{foxes:?}");
    assert!(foxes.shown_us > 0 && foxes.candidate_us > 0);

    // What both builds see alike is the same page.
    for _ in 0..4 {
        shadowed.search("red").await;
        shadowed.settled().await;
    }
    let both = shadowed.settled().await;
    assert_eq!(both.compared, foxes.compared + 4);
    assert!((both.overlap_sum - foxes.overlap_sum - 4.0).abs() < 1e-9, "{both:?}");
    assert_eq!((both.same_first - foxes.same_first, both.more_hits), (4, foxes.more_hits));

    // Off again, nothing more is run.
    ask_for(registry, 0).await;
    shadowed.until_offered(false).await;
    let before = shadowed.settled().await;
    for _ in 0..5 {
        shadowed.search("fox").await;
    }
    assert_eq!(shadowed.settled().await, before);
    shadowed.world.stop().await;
}
