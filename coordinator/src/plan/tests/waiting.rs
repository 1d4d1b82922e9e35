//! The roster: when a group is braked, when it gathers, what it avoids.

use super::*;

const PATIENCE: Patience = Patience {
    lease_ttl: Duration::from_secs(10),
    gather_time: Duration::from_secs(3),
    brake_time: Duration::from_secs(300),
    avoid_time: Duration::from_secs(600),
};

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("leaf-{i}")).collect()
}

/// Each of `serving` has a partition; `idle` more have none.
fn group(serving: usize, idle: usize) -> Scene {
    let names = names(serving + idle);
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::leaves(&all);
    for (partition, name) in (0..).zip(all.iter().take(serving)) {
        scene = scene.serves(partition, name, 1);
    }
    scene
}

fn without(scene: &Scene, leaves: std::ops::Range<usize>) -> Scene {
    leaves.fold(scene.clone(), |scene, i| scene.without(&format!("leaf-{i}")))
}

fn held_back(roster: &mut Roster, now: Duration, scene: &Scene) -> Option<HeldBack> {
    roster.observe(now, &scene.observed, &scene.assignments).held_back
}

fn is_braked(roster: &mut Roster, now: Duration, scene: &Scene) -> bool {
    matches!(held_back(roster, now, scene), Some(HeldBack::TooManyGone { .. }))
}

#[test]
fn a_settled_group_acts_at_once() {
    assert_eq!(held_back(&mut Roster::new(PATIENCE), secs(0), &group(3, 1)), None);
}

#[test]
fn one_lost_leaf_never_brakes() {
    for size in 1..12 {
        let scene = group(size, 0);
        let mut roster = Roster::new(PATIENCE);
        assert_eq!(held_back(&mut roster, secs(0), &scene), None);
        assert_eq!(held_back(&mut roster, secs(1), &without(&scene, 0..1)), None);
    }
}

#[test]
fn more_than_three_in_ten_and_more_than_the_idle_ones_brake() {
    let cases = [
        (10, 0, 3, false),
        (10, 0, 4, true),
        (4, 0, 2, true),
        (4, 2, 2, false),
        (4, 2, 3, true),
        (2, 0, 2, true),
    ];
    for (serving, idle, lost, brakes) in cases {
        let scene = group(serving, idle);
        let mut roster = Roster::new(PATIENCE);
        assert!(!is_braked(&mut roster, secs(0), &scene));
        let got = is_braked(&mut roster, secs(1), &without(&scene, 0..lost));
        assert_eq!(got, brakes, "{lost} of {serving} + {idle}");
    }
}

#[test]
fn losses_within_one_lease_time_count_together() {
    let scene = group(4, 0);
    for (second, brakes) in [(9, true), (12, false)] {
        let mut roster = Roster::new(PATIENCE);
        assert!(!is_braked(&mut roster, secs(0), &scene));
        assert!(!is_braked(&mut roster, secs(1), &without(&scene, 0..1)));
        assert_eq!(is_braked(&mut roster, secs(second), &without(&scene, 0..2)), brakes);
    }
}

#[test]
fn idle_leaves_that_took_over_still_count() {
    let before = group(4, 2);
    let mut roster = Roster::new(PATIENCE);
    assert!(!is_braked(&mut roster, secs(0), &before));
    assert!(!is_braked(&mut roster, secs(1), &without(&before, 0..1)));
    let taken_over = without(&before, 0..1).serves(0, "leaf-4", 2).serves(1, "leaf-5", 2);
    assert!(!is_braked(&mut roster, secs(2), &taken_over.without("leaf-1")));
}

#[test]
fn the_brake_ends_when_enough_are_back_or_when_it_has_lasted() {
    let scene = group(4, 0);
    let mut roster = Roster::new(PATIENCE);
    assert!(!is_braked(&mut roster, secs(0), &scene));
    assert!(is_braked(&mut roster, secs(1), &without(&scene, 0..3)));
    assert!(is_braked(&mut roster, secs(100), &without(&scene, 0..2)));
    // One is missing: it gets its time to come too.
    let almost = held_back(&mut roster, secs(101), &without(&scene, 0..1));
    assert_eq!(almost, Some(HeldBack::Gathering { missing: BTreeSet::from([leaf("leaf-0")]) }));
    assert_eq!(held_back(&mut roster, secs(102), &scene), None);

    let mut roster = Roster::new(PATIENCE);
    assert!(!is_braked(&mut roster, secs(0), &scene));
    let half = without(&scene, 0..2);
    let outlook = roster.observe(secs(1), &half.observed, &half.assignments);
    assert_eq!(outlook.look_again_at, Some(secs(301)));
    assert!(is_braked(&mut roster, secs(300), &half));
    assert_eq!(held_back(&mut roster, secs(301), &half), None);
    assert_eq!(held_back(&mut roster, secs(302), &half), None);
}

#[test]
fn new_idle_leaves_end_the_brake() {
    let scene = group(4, 0);
    let mut roster = Roster::new(PATIENCE);
    assert!(!is_braked(&mut roster, secs(0), &scene));
    let mut half = without(&scene, 0..2);
    assert!(is_braked(&mut roster, secs(1), &half));
    for name in ["new-1", "new-2"] {
        half.observed.leaves.insert(leaf(name), registration(&leaf(name), 1, false));
    }
    assert!(!is_braked(&mut roster, secs(2), &half));
}

#[test]
fn leaves_that_were_draining_were_sent_away() {
    let mut scene = group(4, 0);
    for i in 0..3 {
        scene = scene.draining(&format!("leaf-{i}"));
    }
    let mut roster = Roster::new(PATIENCE);
    assert!(!is_braked(&mut roster, secs(0), &scene));
    assert!(!is_braked(&mut roster, secs(1), &without(&scene, 0..3)));
}

#[test]
fn a_group_that_comes_back_is_waited_for() {
    let scene = group(3, 0);
    let nobody = without(&scene, 0..3);
    let mut roster = Roster::new(PATIENCE);
    assert_eq!(held_back(&mut roster, secs(0), &scene), None);
    assert!(is_braked(&mut roster, secs(1), &nobody));
    // Long after the brake has ended.
    assert_eq!(held_back(&mut roster, secs(1_000), &nobody), None);
    let first = without(&scene, 0..2);
    let gathering = |held| matches!(held, Some(HeldBack::Gathering { .. }));
    assert!(gathering(held_back(&mut roster, secs(1_001), &first)));
    assert!(gathering(held_back(&mut roster, secs(1_003), &first)));
    assert_eq!(held_back(&mut roster, secs(1_004), &first), None);
}

#[test]
fn a_new_coordinator_waits_for_leaves_it_has_never_seen() {
    let one_missing = without(&group(5, 0), 0..1);
    let mut roster = Roster::new(PATIENCE);
    let outlook = roster.observe(secs(50), &one_missing.observed, &one_missing.assignments);
    assert!(matches!(outlook.held_back, Some(HeldBack::Gathering { .. })));
    assert_eq!(outlook.look_again_at, Some(secs(53)));
    assert_eq!(held_back(&mut roster, secs(53), &one_missing), None);
    // And for the leaves of a group that has no assignments yet.
    let mut roster = Roster::new(PATIENCE);
    let fresh = Scene::leaves(&["a"]);
    assert!(held_back(&mut roster, secs(0), &fresh).is_some());
    assert_eq!(held_back(&mut roster, secs(3), &fresh), None);
}

#[test]
fn failures_are_remembered_until_they_are_old_or_the_leaf_restarts() {
    let healthy = Scene::leaves(&["a", "b"]).serves(0, "b", 2);
    let failed = healthy.clone().announced(0, &holder("a", 1), ReplicaState::Failed);
    let avoided = BTreeSet::from([(PartitionId(0), leaf("a"))]);
    let mut roster = Roster::new(PATIENCE);
    let mut look =
        |now, scene: &Scene| roster.observe(secs(now), &scene.observed, &scene.assignments).avoided;
    assert_eq!(look(0, &failed), avoided);
    assert_eq!(look(599, &healthy), avoided);
    assert_eq!(look(600, &healthy), BTreeSet::new());
    assert_eq!(look(700, &failed), avoided);
    let mut restarted = healthy;
    restarted.observed.leaves.insert(leaf("a"), registration(&leaf("a"), 2, false));
    assert_eq!(look(701, &restarted), BTreeSet::new());
}

#[test]
fn what_is_held_back_is_said_in_few_words() {
    let gone: BTreeSet<_> = names(20).iter().map(|name| leaf(name)).collect();
    let text = HeldBack::TooManyGone { gone, known: 40 }.to_string();
    assert!(text.starts_with("20 of 40 leaves went at once, nothing is moved: leaf-0, leaf-1, "));
    assert!(text.ends_with(", …") && text.len() < 700, "{text}");
}
