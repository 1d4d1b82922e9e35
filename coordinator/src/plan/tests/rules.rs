//! One situation for each rule.

use super::*;

#[test]
fn partitions_of_a_new_group_are_spread_by_count_and_name() {
    let scene = Scene::leaves(&["a", "b", "c"]).draining("c");
    assert_eq!(
        scene.changes(&wanted(3)),
        [
            given(0, "a", 1, None, Reason::NewPartition),
            given(1, "b", 1, None, Reason::NewPartition),
            given(2, "a", 1, None, Reason::NewPartition),
        ]
    );
}

#[test]
fn a_settled_group_stays_as_it_is() {
    let scene = Scene::leaves(&["a", "b", "idle"]).serves(0, "a", 7).serves(1, "b", 3);
    assert_eq!(scene.plan(&wanted(2)), Plan::default());
    // Also one that is not even, as long as the difference is one.
    let scene = scene.serves(2, "a", 1).serves(3, "b", 1).serves(4, "idle", 1);
    assert_eq!(scene.plan(&wanted(5)), Plan::default());
}

#[test]
fn a_restarted_leaf_keeps_what_it_has() {
    let mut scene = Scene::leaves(&["a", "b"]).serves(0, "a", 7).serves(1, "b", 3);
    scene.observed.leaves.insert(leaf("a"), registration(&leaf("a"), 2, false));
    scene.observed.replicas.remove(&(PartitionId(0), leaf("a")));
    assert_eq!(scene.plan(&wanted(2)), Plan::default());
}

#[test]
fn a_lost_owner_is_replaced_by_an_idle_leaf() {
    let scene = Scene::leaves(&["a", "b", "z"]).serves(0, "a", 7).serves(1, "b", 3).without("a");
    assert_eq!(scene.changes(&wanted(2)), [given(0, "z", 8, None, Reason::OwnerLost)]);
}

#[test]
fn a_lost_owner_is_replaced_by_the_leaf_that_serves_the_partition_already() {
    let scene = Scene::leaves(&["a", "b", "idle"]).serves(0, "a", 7).serves(1, "b", 3).without("a");
    let scene = scene.announced(0, &holder("b", 5), ReplicaState::Serving);
    assert_eq!(
        scene.changes(&wanted(2)),
        [
            given(0, "b", 8, None, Reason::OwnerLost),
            // It has one too many then, and gives the other away while it serves both.
            given(1, "idle", 4, Some("b"), Reason::Balance),
        ]
    );
}

#[test]
fn announced_epochs_count_too() {
    let scene = Scene::leaves(&["a"]).announced(0, &holder("a", 41), ReplicaState::Serving);
    assert_eq!(scene.changes(&wanted(1)), [given(0, "a", 42, None, Reason::NewPartition)]);
    let spent = Scene::leaves(&["a"]).announced(0, &holder("a", u64::MAX), ReplicaState::Serving);
    let plan = spent.plan(&wanted(1));
    assert_eq!(plan.unassigned, BTreeMap::from([(PartitionId(0), WhyUnassigned::EpochsSpent)]));
}

#[test]
fn what_has_nobody_is_named_with_the_cause() {
    let why = |scene: Scene, wanted: &Wanted| scene.plan(wanted).unassigned;
    let all = |why| (0..2).map(|p| (PartitionId(p), why)).collect::<BTreeMap<_, _>>();
    assert_eq!(why(Scene::default(), &wanted(2)), all(WhyUnassigned::NoLeaf));
    let draining = Scene::leaves(&["a"]).draining("a");
    assert_eq!(why(draining, &wanted(2)), all(WhyUnassigned::AllDraining));
    let small = Wanted { partitions_per_leaf_max: Some(1), ..wanted(3) };
    let unassigned = why(Scene::leaves(&["a", "b"]), &small);
    assert_eq!(unassigned, BTreeMap::from([(PartitionId(2), WhyUnassigned::AllFull)]));
}

#[test]
fn draining_leaves_are_emptied_make_before_break() {
    let mut scene = Scene::leaves(&["a", "b"]).draining("a");
    for partition in 0..3 {
        scene = scene.serves(partition, "a", 1);
    }
    assert_eq!(
        scene.changes(&wanted(3)),
        [
            given(0, "b", 2, Some("a"), Reason::LeafDraining),
            given(1, "b", 2, Some("a"), Reason::LeafDraining),
        ]
    );
    // The first has arrived, the second has not: one more may begin.
    let to = holder("b", 2);
    let scene = scene
        .assigned(0, to.clone(), Some(holder("a", 1)))
        .assigned(1, to.clone(), Some(holder("a", 1)))
        .announced(0, &to, ReplicaState::Serving)
        .announced(1, &to, ReplicaState::Replaying);
    assert_eq!(
        scene.changes(&wanted(3)),
        [
            given(0, "b", 2, None, Reason::OwnerServes),
            given(2, "b", 2, Some("a"), Reason::LeafDraining),
        ]
    );
    // Nobody else is there: it serves on.
    let alone = Scene::leaves(&["a"]).draining("a").serves(0, "a", 1);
    assert_eq!(alone.plan(&wanted(1)), Plan::default());
}

#[test]
fn a_move_is_not_over_when_an_older_epoch_serves() {
    let scene = Scene::leaves(&["a", "b"]).assigned(0, holder("b", 9), Some(holder("a", 8)));
    let scene = scene.announced(0, &holder("b", 4), ReplicaState::Serving).announced(
        0,
        &holder("a", 8),
        ReplicaState::Serving,
    );
    assert_eq!(scene.plan(&wanted(1)), Plan::default());
}

#[test]
fn a_move_that_fails_goes_back_under_a_new_epoch() {
    let moving = Scene::leaves(&["a", "b"]).serves(0, "a", 8).assigned(
        0,
        holder("b", 9),
        Some(holder("a", 8)),
    );
    let gone = moving.clone().without("b");
    assert_eq!(gone.changes(&wanted(1)), [given(0, "a", 10, None, Reason::NewOwnerLost)]);
    let failed = moving.clone().announced(0, &holder("b", 9), ReplicaState::Failed);
    assert_eq!(failed.changes(&wanted(1)), [given(0, "a", 10, None, Reason::NewOwnerFailed)]);
    let draining = moving.clone().draining("b");
    assert_eq!(draining.changes(&wanted(1)), [given(0, "a", 10, None, Reason::NewOwnerDraining)]);
    let old_gone = moving.clone().without("a");
    assert_eq!(old_gone.changes(&wanted(1)), [given(0, "b", 9, None, Reason::RetiringLost)]);
    // The old one has failed too: no way back.
    let lost = gone.announced(0, &holder("a", 8), ReplicaState::Failed);
    assert_eq!(lost.changes(&wanted(1)), [given(0, "a", 10, None, Reason::OwnerLost)]);
    let both = failed.announced(0, &holder("a", 8), ReplicaState::Failed);
    assert_eq!(both.changes(&wanted(1)), [given(0, "b", 9, None, Reason::RetiringFailed)]);
    // Between two that drain there is nothing to choose.
    assert_eq!(moving.draining("a").draining("b").plan(&wanted(1)), Plan::default());
}

#[test]
fn a_failed_owner_is_replaced_where_the_partition_has_not_failed() {
    let scene = Scene::leaves(&["a", "b", "c"]).assigned(0, holder("a", 4), None);
    let scene = scene.announced(0, &holder("a", 4), ReplicaState::Failed);
    assert_eq!(scene.changes(&wanted(1)), [given(0, "b", 5, None, Reason::OwnerFailed)]);
    let mut avoiding = scene.clone();
    avoiding.outlook.avoided = BTreeSet::from([(PartitionId(0), leaf("b"))]);
    assert_eq!(avoiding.changes(&wanted(1)), [given(0, "c", 5, None, Reason::OwnerFailed)]);
    let alone = scene.without("b").without("c").plan(&wanted(1));
    assert!(alone.changes.is_empty());
    assert_eq!(alone.unassigned, BTreeMap::from([(PartitionId(0), WhyUnassigned::OwnerFailed)]));
}

#[test]
fn few_failed_owners_are_replaced_at_once() {
    let mut scene = Scene::leaves(&["a", "b"]);
    for partition in 0..5 {
        let owner = holder("a", 1);
        scene = scene.assigned(partition, owner.clone(), None).announced(
            partition,
            &owner,
            ReplicaState::Failed,
        );
    }
    let plan = scene.plan(&wanted(5));
    assert_eq!(plan.changes.len(), 2);
    assert_eq!(plan.unassigned.len(), 3);
}

#[test]
fn an_ownerless_partition_that_failed_everywhere_is_tried_again() {
    let mut scene = Scene::leaves(&["b"]).assigned(0, holder("a", 4), None);
    scene.outlook.avoided = BTreeSet::from([(PartitionId(0), leaf("b"))]);
    assert_eq!(scene.changes(&wanted(1)), [given(0, "b", 5, None, Reason::OwnerLost)]);
}

#[test]
fn counts_are_evened_out_few_at_a_time() {
    let mut scene = Scene::leaves(&["a", "b"]);
    for partition in 0..8 {
        scene = scene.serves(partition, "a", 1);
    }
    let moves = [
        given(0, "b", 2, Some("a"), Reason::Balance),
        given(1, "b", 2, Some("a"), Reason::Balance),
    ];
    assert_eq!(scene.changes(&wanted(8)), moves);
    // What does not serve yet is not moved.
    let not_yet = scene.clone().announced(0, &holder("a", 1), ReplicaState::Replaying);
    assert_eq!(not_yet.changes(&wanted(8))[0].0, 1);
    // Three and two: nothing to gain.
    let scene = Scene::leaves(&["a", "b"]).serves(0, "a", 1).serves(1, "a", 1).serves(2, "b", 1);
    assert_eq!(scene.plan(&wanted(3)), Plan::default());
}

#[test]
fn full_leaves_get_no_more() {
    let tight = Wanted { partitions_per_leaf_max: Some(2), ..wanted(4) };
    let scene = Scene::leaves(&["a", "b", "c"])
        .serves(0, "a", 1)
        .serves(1, "a", 1)
        .serves(2, "b", 1)
        .serves(3, "c", 1)
        .draining("c");
    assert_eq!(scene.changes(&tight), [given(3, "b", 2, Some("c"), Reason::LeafDraining)]);
    let full = scene.clone().serves(3, "b", 1).plan(&tight);
    assert_eq!(full, Plan::default());
    // What retires there takes its room until it is gone.
    let leaving = scene.assigned(1, holder("a", 2), Some(holder("b", 1)));
    assert_eq!(leaving.plan(&tight).changes, []);
}

#[test]
fn nothing_changes_while_held_back() {
    let mut scene = Scene::leaves(&["b"]).assigned(0, holder("a", 4), None).serves(1, "b", 1);
    let held = HeldBack::TooManyGone { gone: BTreeSet::from([leaf("a")]), known: 2 };
    scene.outlook.held_back = Some(held.clone());
    let plan = scene.plan(&wanted(3));
    assert!(plan.changes.is_empty());
    assert_eq!(plan.held_back, Some(held));
    let held = WhyUnassigned::HeldBack;
    let unassigned = BTreeMap::from([(PartitionId(0), held), (PartitionId(2), held)]);
    assert_eq!(plan.unassigned, unassigned);
}

#[test]
fn partitions_no_longer_wanted_are_left_alone() {
    let scene = Scene::leaves(&["a", "b"]).serves(0, "a", 1).assigned(9, holder("gone", 3), None);
    assert_eq!(scene.plan(&wanted(1)), Plan::default());
}

/// The linter finds what it is for.
#[test]
fn bad_plans_are_found() {
    let scene = Scene::leaves(&["a", "b", "c"]).draining("c").serves(0, "a", 5).assigned(
        1,
        holder("gone", 2),
        None,
    );
    let fault = |partition, owner, retiring, reason: Reason| {
        let partition = PartitionId(partition);
        let text = reason.as_str().to_owned();
        let is_pinned = reason == Reason::OperatorMove;
        let assignment = Assignment { partition, owner, retiring, reason: text, is_pinned };
        let changes = vec![PlannedChange { assignment, reason }];
        let plan = Plan { changes, ..Plan::default() };
        check_plan(&scene.observed, &wanted(2), &scene.assignments, &plan)
            .expect_err("a fault")
            .problem
    };
    let old = || Some(holder("a", 5));
    let cases = [
        (fault(0, holder("b", 5), None, Reason::OwnerLost), "gives an epoch that is not new"),
        (fault(0, holder("b", 6), None, Reason::OwnerLost), "takes the partition from the leaf"),
        (fault(0, holder("b", 6), old(), Reason::LeafDraining), "has no cause"),
        (fault(0, holder("b", 6), old(), Reason::Balance), "has no cause"),
        (fault(0, holder("a", 6), old(), Reason::Balance), "moves it from a leaf to itself"),
        (fault(0, holder("b", 7), Some(holder("a", 6)), Reason::Balance), "retires a leaf that"),
        (fault(0, holder("a", 5), None, Reason::OwnerServes), "has no cause"),
        (fault(1, holder("c", 3), None, Reason::OwnerLost), "gives it to a leaf that is draining"),
        (fault(0, holder("b", 6), old(), Reason::OperatorMove), "has no cause"),
        (fault(1, holder("gone", 3), None, Reason::OwnerLost), "gives it to a leaf that is gone"),
        (fault(2, holder("b", 1), None, Reason::NewPartition), "is for a partition that is not"),
    ];
    for (problem, expected) in cases {
        assert!(problem.starts_with(expected), "{problem} instead of {expected}");
    }
    let silent = check_plan(&scene.observed, &wanted(2), &scene.assignments, &Plan::default());
    let problem = silent.expect_err("a fault").problem;
    assert_eq!(problem, "leaves it to nobody without saying so");
}
