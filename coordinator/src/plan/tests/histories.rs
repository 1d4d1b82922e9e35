//! Random histories: what always holds, and that all ends well once faults stop.

use proptest::prelude::*;

use super::world::{Event, World};
use super::*;

const LEAVES_MAX: usize = 7;

fn event() -> impl Strategy<Value = Event> {
    let leaf = 0..LEAVES_MAX;
    prop_oneof![
        3 => leaf.clone().prop_map(Event::Start),
        2 => leaf.clone().prop_map(Event::Die),
        1 => leaf.clone().prop_map(Event::Restart),
        1 => (leaf.clone(), any::<bool>()).prop_map(|(i, on)| Event::Drain(i, on)),
        6 => leaf.clone().prop_map(Event::Follow),
        6 => leaf.clone().prop_map(Event::Advance),
        1 => (leaf, 0..8_usize).prop_map(|(i, nth)| Event::Fail(i, nth)),
        4 => prop_oneof![1..3_u64, 1..40_u64].prop_map(Event::Pass),
        6 => prop_oneof![Just(0), any::<u64>()].prop_map(Event::Act),
        1 => Just(Event::TakeOver),
    ]
}

prop_compose! {
    fn running(leaves: usize)(mut running in prop::collection::vec(any::<bool>(), leaves), one in 0..leaves) -> Vec<bool> {
        running[one] = true;
        running
    }
}

fn world() -> impl Strategy<Value = (usize, u32, Vec<bool>)> {
    (1..=LEAVES_MAX, 1..12_u32)
        .prop_flat_map(|(leaves, partitions)| (Just(leaves), Just(partitions), running(leaves)))
}

proptest! {
    /// Each plan is checked as it is made, each assignment as it is written (see `World`).
    #[test]
    fn every_history_ends_settled(
        (leaves, partitions, running) in world(),
        moves_max in 1..4_usize,
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut world = World::new(leaves, Wanted { moves_max, ..wanted(partitions) });
        for event in &events {
            world.happen(event);
        }
        world.quiet(&running);
        let owned = world.owned();
        let (least, most) = (owned.values().min(), owned.values().max());
        prop_assert!(most <= least.map(|least| least + 1).as_ref(), "even: {owned:?}");
    }

    /// With one leaf there is nobody to protect.
    #[test]
    fn a_group_of_one_is_never_braked(
        partitions in 1..6_u32,
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut world = World::new(1, wanted(partitions));
        for event in &events {
            world.happen(event);
        }
        world.quiet(&[true]);
        prop_assert!(!world.was_braked);
    }

    /// A leaf that dies in a settled group costs the changes of its own partitions, and nothing else moves.
    #[test]
    fn a_lost_leaf_moves_only_its_own(leaves in 2..=LEAVES_MAX, partitions in 1..20_u32, lost in 0..LEAVES_MAX) {
        let mut world = World::new(leaves, wanted(partitions));
        world.quiet(&vec![true; leaves]);
        let before = world.assignments.clone();
        let lost = lost % leaves;
        world.happen(&Event::Die(lost));
        let plan = world.act(0);
        let gone = leaf(&format!("leaf-{lost}"));
        let expected: Vec<_> = before.values().filter(|it| it.owner.leaf == gone).map(|it| it.partition).collect();
        let changed: Vec<_> = plan.changes.iter().map(|it| it.assignment.partition).collect();
        prop_assert_eq!(changed, expected);
        prop_assert!(plan.unassigned.is_empty());
    }

    /// All vanish, and come back one by one: everything stays where it was.
    #[test]
    fn a_group_that_comes_back_keeps_everything(leaves in 1..=LEAVES_MAX, partitions in 1..20_u32, away in 0..1_000_u64) {
        let mut world = World::new(leaves, wanted(partitions));
        world.quiet(&vec![true; leaves]);
        let before = world.assignments.clone();
        for i in 0..leaves {
            world.happen(&Event::Die(i));
        }
        world.act(0);
        world.happen(&Event::Pass(away));
        world.act(0);
        for i in 0..leaves {
            world.happen(&Event::Start(i));
            world.act(0);
        }
        world.quiet(&vec![true; leaves]);
        prop_assert_eq!(&world.assignments, &before);
    }
}

/// Found by the first property: both waited for each other for ever.
#[test]
fn a_move_whose_leaves_both_fail_ends() {
    let events = [
        Event::Start(0),
        Event::Act(0),
        Event::Pass(1),
        Event::Start(1),
        Event::Pass(2),
        Event::Act(0),
        Event::Drain(1, true),
        Event::Follow(1),
        Event::Act(0),
        Event::Fail(1, 0),
        Event::Follow(0),
        Event::Fail(0, 1),
    ];
    let mut world = World::new(2, Wanted { moves_max: 1, ..wanted(3) });
    for event in &events {
        world.happen(event);
    }
    world.quiet(&[true, true]);
}
