//! What people ask for: cordons, drains, moves, spares.

use super::*;

fn refused(scene: &Scene, wanted: &Wanted) -> Vec<(u32, WhyRefused)> {
    scene.plan(wanted).refused.into_iter().map(|(partition, why)| (partition.0, why)).collect()
}

fn two() -> Scene {
    Scene::leaves(&["a", "b"]).serves(0, "a", 1).serves(1, "b", 1)
}

#[test]
fn cordoned_leaves_keep_what_they_have_and_get_nothing() {
    let cordoned = |scene: Scene| scene.cordoned("b", CordonKind::Cordon);
    let mut scene = Scene::leaves(&["a", "b"]).assigned(9, holder("a", 1), None);
    for partition in 0..5 {
        scene = scene.serves(partition, "a", 1);
    }
    assert_eq!(cordoned(scene).plan(&wanted(5)), Plan::default());
    let fresh = cordoned(Scene::leaves(&["a", "b"]));
    let owners: Vec<_> = fresh.changes(&wanted(3)).into_iter().map(|it| it.1).collect();
    assert_eq!(owners, ["a", "a", "a"]);
    let settled = cordoned(two()).serves(2, "b", 1).serves(3, "b", 1).serves(4, "b", 1);
    assert_eq!(settled.plan(&wanted(5)), Plan::default());
    // What it was given before goes on.
    let arriving = cordoned(two()).assigned(0, holder("b", 2), Some(holder("a", 1)));
    assert_eq!(arriving.plan(&wanted(2)), Plan::default());
    // Of a leaf that is not there nothing follows.
    let absent = two().cordoned("z", CordonKind::Drain);
    assert_eq!(absent.plan(&wanted(2)), Plan::default());
}

#[test]
fn a_drain_is_as_good_as_the_leaf_saying_so() {
    let marked = two().cordoned("b", CordonKind::Drain);
    let said = two().draining("b");
    assert_eq!(marked.plan(&wanted(2)), said.plan(&wanted(2)));
    assert_eq!(marked.changes(&wanted(2)), [given(1, "a", 2, Some("b"), Reason::LeafDraining)]);
    let arriving = |scene: Scene| scene.assigned(0, holder("b", 2), Some(holder("a", 1)));
    let back = given(0, "a", 3, None, Reason::NewOwnerDraining);
    assert_eq!(arriving(marked.clone()).changes(&wanted(1)), std::slice::from_ref(&back));
    // A cordon where it came from is no reason to stay where it must not.
    let marked = marked.cordoned("a", CordonKind::Cordon);
    assert_eq!(arriving(marked.clone()).changes(&wanted(1)), [back]);
    // With nobody open all stay, and what has nobody says why.
    assert_eq!(marked.plan(&wanted(2)), Plan::default());
    let why = |scene: Scene| scene.plan(&wanted(3)).unassigned[&PartitionId(2)];
    assert_eq!(why(marked.clone()), WhyUnassigned::AllCordoned);
    assert_eq!(why(marked.cordoned("a", CordonKind::Drain)), WhyUnassigned::AllDraining);
}

#[test]
fn a_move_is_made_although_all_is_even() {
    let scene = two().asked(0, Some("b"));
    let plan = scene.plan(&wanted(2));
    assert_eq!(scene.changes(&wanted(2)), [given(0, "b", 2, Some("a"), Reason::OperatorMove)]);
    assert!(plan.changes[0].assignment.is_pinned);
    // It arrives, and stays: neither it nor the other one goes back.
    let to = holder("b", 2);
    let arrived = two().assigned(0, to.clone(), Some(holder("a", 1))).pinned(0).announced(
        0,
        &to,
        ReplicaState::Serving,
    );
    let plan = arrived.plan(&wanted(2));
    assert_eq!(arrived.changes(&wanted(2)), [given(0, "b", 2, None, Reason::OwnerServes)]);
    assert!(plan.changes[0].assignment.is_pinned);
    let settled = arrived.assigned(0, to, None).pinned(0);
    assert_eq!(settled.plan(&wanted(2)), Plan::default());
    // The leaf may have one more for it, and no more than that.
    let more = settled.serves(2, "b", 1).serves(3, "b", 1);
    assert_eq!(more.changes(&wanted(4))[0], given(1, "a", 2, Some("b"), Reason::Balance));
    // With its owner the pin goes.
    let lost = more.without("b").plan(&wanted(4));
    assert!(lost.changes.iter().all(|it| !it.assignment.is_pinned));
}

#[test]
fn anywhere_else_is_an_idle_leaf_first() {
    let scene = Scene::leaves(&["a", "b", "z"]).serves(0, "a", 1).serves(1, "b", 1);
    let spared = Wanted { spare_percent: 15, ..wanted(2) };
    let expected = [given(0, "z", 2, Some("a"), Reason::OperatorMove)];
    assert_eq!(scene.clone().asked(0, None).changes(&spared), expected);
    let mut failed_there = scene.clone().asked(0, None);
    failed_there.outlook.avoided = BTreeSet::from([(PartitionId(0), leaf("z"))]);
    assert_eq!(failed_there.changes(&spared)[0].1, "b");
    // Whoever names the leaf knows better.
    let mut named = scene.asked(0, Some("z"));
    named.outlook = failed_there.outlook;
    assert_eq!(named.changes(&spared), expected);
}

#[test]
fn a_failed_owner_lets_go_at_once() {
    let scene = Scene::leaves(&["a", "b"]).assigned(0, holder("a", 1), None);
    let mut scene = scene.announced(0, &holder("a", 1), ReplicaState::Failed);
    // By itself it would not go where it failed too.
    scene.outlook.avoided = BTreeSet::from([(PartitionId(0), leaf("b"))]);
    assert!(scene.plan(&wanted(1)).changes.is_empty());
    let asked = scene.asked(0, Some("b"));
    assert_eq!(asked.changes(&wanted(1)), [given(0, "b", 2, None, Reason::OperatorMove)]);
}

#[test]
fn moves_wait_for_their_turn() {
    let busy =
        two().serves(2, "a", 1).serves(3, "b", 1).assigned(2, holder("b", 2), Some(holder("a", 1)));
    let one = Wanted { moves_max: 1, ..wanted(4) };
    let waiting = busy.asked(0, Some("b"));
    assert_eq!(waiting.plan(&one), Plan::default());
    // The other one has arrived.
    let arrived = waiting.announced(2, &holder("b", 2), ReplicaState::Serving);
    assert_eq!(
        arrived.changes(&one),
        [
            given(2, "b", 2, None, Reason::OwnerServes),
            given(0, "b", 2, Some("a"), Reason::OperatorMove),
        ]
    );
    // Nothing is decided while held back, and a partition changes once at a time.
    let mut held = two().asked(0, Some("b")).asked(1, Some("z"));
    held.outlook.held_back = Some(HeldBack::Gathering { missing: BTreeSet::new() });
    let plan = held.plan(&wanted(2));
    assert!(plan.changes.is_empty() && plan.refused.is_empty());
    let lost = two().without("a").asked(0, Some("b")).plan(&wanted(2));
    assert_eq!((lost.changes.len(), lost.refused.len()), (1, 0));
}

#[test]
fn a_move_under_way_can_be_sent_elsewhere_or_back() {
    let moving = Scene::leaves(&["a", "b", "c"]).serves(0, "a", 1).assigned(
        0,
        holder("b", 2),
        Some(holder("a", 1)),
    );
    let tight = Wanted { moves_max: 1, ..wanted(1) };
    let to = |name| moving.clone().asked(0, name).changes(&tight);
    assert_eq!(to(Some("c")), [given(0, "c", 3, Some("a"), Reason::OperatorMove)]);
    assert_eq!(to(Some("a")), [given(0, "a", 3, None, Reason::OperatorMove)]);
    // Anywhere else is where it serves already, unless that is to be emptied.
    assert_eq!(to(None), [given(0, "a", 3, None, Reason::OperatorMove)]);
    let leaving = moving.clone().cordoned("a", CordonKind::Drain).asked(0, None);
    let expected = [given(0, "c", 3, Some("a"), Reason::OperatorMove)];
    assert_eq!(leaving.changes(&tight), expected);
    let nobody_else = moving.cordoned("c", CordonKind::Cordon).cordoned("a", CordonKind::Drain);
    let back = nobody_else.asked(0, None).changes(&tight);
    assert_eq!(back, [given(0, "a", 3, None, Reason::OperatorMove)]);
}

#[test]
fn what_can_never_be_done_is_refused() {
    let why = |scene: Scene| refused(&scene, &wanted(3));
    let scene = || two().serves(2, "a", 1);
    assert_eq!(why(scene().asked(0, Some("a"))), [(0, WhyRefused::AlreadyThere)]);
    assert_eq!(why(scene().asked(0, Some("z"))), [(0, WhyRefused::LeafGone)]);
    assert_eq!(why(scene().asked(9, Some("b"))), [(9, WhyRefused::UnknownPartition)]);
    let cordoned = scene().cordoned("b", CordonKind::Cordon).asked(0, Some("b"));
    assert_eq!(why(cordoned.clone().asked(0, Some("b"))), [(0, WhyRefused::LeafCordoned)]);
    assert_eq!(why(cordoned.asked(0, None)), [(0, WhyRefused::NoOtherLeaf)]);
    let draining = scene().cordoned("b", CordonKind::Drain).asked(0, Some("b"));
    assert_eq!(why(draining), [(0, WhyRefused::LeafDraining)]);
    let full = Wanted { partitions_per_leaf_max: Some(1), ..wanted(2) };
    assert_eq!(refused(&two().asked(0, Some("b")), &full), [(0, WhyRefused::LeafFull)]);
    let mut nobody = Scene::default().asked(0, Some("b"));
    assert_eq!(why(nobody.clone()), [(0, WhyRefused::Unassigned)]);
    nobody = nobody.assigned(0, holder("gone", 1), None);
    assert_eq!(why(nobody), [(0, WhyRefused::Unassigned)]);
    let mut changed = scene();
    for (epoch, expected) in [(1, None), (2, Some(WhyRefused::OwnerChanged))] {
        let guarded = request(0, None, Some(epoch));
        changed.observed.requests.insert(guarded.partition, guarded);
        assert_eq!(why(changed.clone()).first().map(|it| it.1), expected);
    }
    let spent = Scene::leaves(&["a", "b"]).serves(0, "a", u64::MAX).asked(0, Some("b"));
    assert_eq!(refused(&spent, &wanted(1)), [(0, WhyRefused::EpochsSpent)]);
}

#[test]
fn spares_stay_idle_until_they_are_needed() {
    let spared = |partitions| Wanted { spare_percent: 15, ..wanted(partitions) };
    let counts: Vec<_> = [0, 1, 6, 7, 13, 14, 100].map(|leaves| spared(1).spares(leaves)).into();
    assert_eq!(counts, [0, 1, 1, 2, 2, 3, 15]);
    let fresh = Scene::leaves(&["a", "b", "c", "d"]);
    let owners = |scene: &Scene, wanted: &Wanted| {
        scene.changes(wanted).into_iter().map(|it| it.1).collect::<Vec<_>>().concat()
    };
    assert_eq!(owners(&fresh, &spared(8)), "abcabcab");
    // Capacity comes first.
    let small = Wanted { partitions_per_leaf_max: Some(2), ..spared(8) };
    assert_eq!(owners(&fresh, &small), "abcabcdd");
    let mut group = fresh;
    for (partition, name) in (0..6).zip(["a", "a", "a", "b", "b", "b"]) {
        group = group.serves(partition, name, 1);
    }
    // Two idle ones are one more than are spared.
    assert_eq!(
        group.changes(&spared(6)),
        [
            given(3, "c", 2, Some("b"), Reason::Balance),
            given(0, "c", 2, Some("a"), Reason::Balance),
        ]
    );
    let one_idle = group.clone().without("d");
    assert_eq!(one_idle.plan(&spared(6)), Plan::default());
    assert_eq!(one_idle.changes(&wanted(6))[0].1, "c");
    // A loss is what they are for.
    let lost = one_idle.without("a").changes(&spared(6));
    assert!(lost.iter().all(|it| it.1 == "c" && it.4 == Reason::OwnerLost), "{lost:?}");
}
