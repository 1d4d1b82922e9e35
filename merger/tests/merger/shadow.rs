//! Shadow searches: compared, counted, and never of consequence for what is shown.

use std::time::Duration;

use nautilus_proto::admin::v1::ShadowReport;
use nautilus_proto::root::v1::{SearchResponse, ShadowTarget};
use nautilus_proto::search::v1::SearchRequest;
use tokio::sync::watch;
use tonic::{Code, Status};

use crate::fake_root::Candidate;
use crate::system::{System, ids, query};

const WAIT_MAX: Duration = Duration::from_secs(20);

/// A root that would have every search shadowed, on a candidate that does this.
async fn system(candidate: Candidate, at_once: usize) -> System {
    let system = System::start_as(true, |config| config.shadow_searches_max = at_once).await;
    system.with_foxes().await;
    let mut state = system.root.state();
    state.shadow = Some(ShadowTarget { build: "stems".into(), replica_group: "b".into() });
    state.candidate = candidate;
    drop(state);
    system
}

async fn report(system: &System) -> Option<ShadowReport> {
    system.shadow_report(&system.token("sre", true)).await.expect("an operator asks")
}

fn number(report: &ShadowReport) -> u64 {
    report.compared + report.incomplete + report.failed + report.dropped
}

/// The report once it is of so many.
async fn report_of(system: &System, count: u64) -> ShadowReport {
    let reported = async {
        loop {
            match report(system).await {
                Some(report) if number(&report) >= count => return report,
                Some(_) | None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(WAIT_MAX, reported).await.expect("in time")
}

/// The candidate does not find the first hit.
fn without_first(response: &mut SearchResponse) {
    response.candidates.remove(0);
    response.total_hits -= 1;
}

/// The candidate lacks a partition.
fn without_partition(response: &mut SearchResponse) {
    let answer = response.answers.remove(0);
    response.failures.push(nautilus_proto::root::v1::PartitionFailure {
        partition: answer.label.expect("labelled").partition,
        reason: "BUILD_NOT_SERVED".into(),
    });
}

#[tokio::test]
async fn a_candidate_is_compared_and_not_shown() {
    let system = system(Candidate::Changed(without_first), 4).await;
    assert_eq!(report(&system).await, None, "nothing was shadowed yet");
    let shown = system.search("ada", query("fox")).await.expect("found");
    assert_eq!((ids(&shown).len(), shown.total_hits), (2, 2));
    let seen = report_of(&system, 1).await;
    assert_eq!((seen.compared, seen.overlap_sum, seen.fewer_hits), (1, 0.5, 1), "{seen:?}");
    assert_eq!((seen.same_first, seen.same_order), (0, 0));
    assert_eq!((seen.build.as_str(), seen.since_unix_ms > 0), ("stems", true));

    system.root.state().candidate = Candidate::Same;
    system.search("ada", query("fox")).await.expect("found");
    let seen = report_of(&system, 2).await;
    assert_eq!((seen.same_first, seen.same_order, seen.overlap_sum), (1, 1, 1.5), "{seen:?}");

    // The candidate is asked as the root said, for at least what was shown, and never for texts.
    let (shadows, searches) = {
        let state = system.root.state();
        (state.shadows.clone(), state.searches.clone())
    };
    assert_eq!((shadows.len(), searches.len()), (2, 2));
    for (shadow, search) in shadows.iter().zip(&searches) {
        assert_eq!((shadow.build.as_deref(), search.build.as_deref()), (Some("stems"), None));
        assert_eq!(shadow.replica_group, "b");
        assert_eq!((&shadow.query, shadow.limit), (&search.query, search.limit));
        assert!(shadow.min_offsets.iter().all(|min| min.next_offset == 100));
        assert_eq!(shadow.min_offsets.len(), 1);
    }
    assert_eq!(system.root.state().fetches.len(), 2);

    // What both do not answer whole is not compared.
    system.root.state().candidate = Candidate::Changed(without_partition);
    let partial = SearchRequest { allow_partial: true, ..query("fox") };
    system.search("ada", partial).await.expect("found");
    let seen = report_of(&system, 3).await;
    assert_eq!((seen.compared, seen.failed, seen.incomplete), (2, 1, 0), "it was the only one");
    let denied = system.shadow_report(&system.token("ada", false)).await;
    assert_eq!(denied.expect_err("only for operators").code(), Code::PermissionDenied);
    // Another candidate is another report.
    let other = ShadowTarget { build: String::new(), replica_group: "b".into() };
    system.root.state().shadow = Some(other);
    system.search("ada", query("fox")).await.expect("found");
    let begun = async {
        while report(&system).await.is_none_or(|report| !report.build.is_empty()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, begun).await.expect("in time");
    system.stop().await;
}

#[tokio::test]
async fn relaxed_searches_are_shadowed_once() {
    let system = system(Candidate::Same, 4).await;
    let shown = system.search("ada", query("fox absentword")).await.expect("found");
    assert!(shown.relaxed);
    let seen = report_of(&system, 1).await;
    assert_eq!((seen.compared, seen.same_order), (1, 1), "{seen:?}");
    // All words and then any, as the search itself.
    let asked = {
        let state = system.root.state();
        (state.shadows.len(), state.searches.len())
    };
    assert_eq!(asked, (2, 2));
    system.stop().await;
}

#[tokio::test]
async fn a_failing_candidate_is_counted() {
    let system = system(Candidate::Failing(|| Status::internal("a fault")), 4).await;
    for count in 1..=3 {
        let shown = system.search("ada", query("fox")).await.expect("found");
        assert_eq!(ids(&shown).len(), 2);
        let seen = report_of(&system, count).await;
        assert_eq!((seen.failed, seen.compared), (count, 0));
    }
    system.stop().await;
}

#[tokio::test]
async fn a_slow_candidate_delays_nobody_and_what_is_too_much_is_dropped() {
    let (release, held) = watch::channel(false);
    let system = system(Candidate::Held(held), 1).await;
    for _ in 0..3 {
        let shown = system.search("ada", query("fox")).await.expect("found");
        assert_eq!(ids(&shown).len(), 2, "answered while the candidate is not");
    }
    let seen = report_of(&system, 2).await;
    assert_eq!((seen.dropped, number(&seen)), (2, 2), "the first is under way");
    release.send_replace(true);
    let seen = report_of(&system, 3).await;
    assert_eq!((seen.compared, seen.same_order), (1, 1), "{seen:?}");
    // There is room again.
    system.search("ada", query("fox")).await.expect("found");
    assert_eq!(report_of(&system, 4).await.compared, 2);
    system.stop().await;
}

#[tokio::test]
async fn what_is_under_way_ends_with_the_merger() {
    let (_release, held) = watch::channel(false);
    let system = system(Candidate::Held(held), 1).await;
    system.search("ada", query("fox")).await.expect("found");
    let under_way = async {
        while system.root.state().shadows.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, under_way).await.expect("in time");
    tokio::time::timeout(WAIT_MAX, system.stop()).await.expect("nobody waits for it");
}

#[tokio::test]
async fn a_merger_may_run_none() {
    let system = system(Candidate::Same, 0).await;
    system.search("ada", query("fox")).await.expect("found");
    assert_eq!(report_of(&system, 1).await.dropped, 1);
    // Nor is one run of what the root does not offer, or of a search that fails.
    system.root.state().shadow = None;
    system.search("ada", query("fox")).await.expect("found");
    system.search("ada", query("\"")).await.expect_err("not a query");
    assert_eq!(number(&report_of(&system, 1).await), 1);
    assert!(system.root.state().shadows.is_empty());
    system.stop().await;
}
