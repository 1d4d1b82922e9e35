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
        1 => (leaf.clone(), 0..8_usize).prop_map(|(i, nth)| Event::Fail(i, nth)),
        1 => (leaf.clone(), mark()).prop_map(|(i, kind)| Event::Mark(i, kind)),
        1 => (0..14_u32, prop::option::of(leaf.clone()), any::<bool>())
            .prop_map(|(partition, to, guarded)| Event::Ask(partition, to, guarded)),
        4 => prop_oneof![1..3_u64, 1..40_u64].prop_map(Event::Pass),
        6 => prop_oneof![Just(0), any::<u64>()].prop_map(Event::Act),
        1 => Just(Event::TakeOver),
    ]
}

fn mark() -> impl Strategy<Value = Option<CordonKind>> {
    prop_oneof![Just(None), Just(Some(CordonKind::Cordon)), Just(Some(CordonKind::Drain))]
}

fn spare_percent() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0), Just(15), Just(40)]
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
        spare_percent in spare_percent(),
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut world = World::new(leaves, Wanted { moves_max, spare_percent, ..wanted(partitions) });
        for event in &events {
            world.happen(event);
        }
        world.quiet(&running);
        prop_assert!(world.is_even(), "even: {:?}", world.owned());
        prop_assert!(world.observed().requests.is_empty(), "all requests are answered");
    }

    /// Marks are obeyed by a group that is otherwise well, and it settles under them.
    #[test]
    fn marked_leaves_are_emptied_or_left_alone(
        leaves in 2..=LEAVES_MAX,
        partitions in 1..20_u32,
        spare_percent in spare_percent(),
        marks in prop::collection::vec(mark(), LEAVES_MAX),
        asked in prop::collection::vec((0..20_u32, prop::option::of(0..LEAVES_MAX)), 0..6),
    ) {
        let mut world = World::new(leaves, Wanted { spare_percent, ..wanted(partitions) });
        world.quiet(&vec![true; leaves]);
        let before = world.owned();
        // One stays open.
        for (i, kind) in marks.iter().take(leaves).enumerate().skip(1) {
            world.happen(&Event::Mark(i, *kind));
        }
        for (partition, to) in &asked {
            world.happen(&Event::Ask(*partition, *to, false));
        }
        world.settle();
        prop_assert!(world.is_even(), "even: {:?}", world.owned());
        for (i, kind) in marks.iter().take(leaves).enumerate().skip(1) {
            let name = leaf(&format!("leaf-{i}"));
            let now = world.assignments.values().filter(|it| it.owner.leaf == name).count();
            let before = before.get(&name).map_or(0, |(all, _)| *all);
            match kind {
                Some(CordonKind::Drain) => prop_assert_eq!(now, 0),
                Some(CordonKind::Cordon) => prop_assert!(now <= before),
                None => {}
            }
        }
    }

    /// What a person asked for stays, whatever balance would say.
    #[test]
    fn a_move_that_was_made_is_not_undone(
        leaves in 2..=LEAVES_MAX,
        partitions in 1..20_u32,
        spare_percent in spare_percent(),
        asked in prop::collection::vec((0..20_u32, 0..LEAVES_MAX), 1..8),
    ) {
        let mut world = World::new(leaves, Wanted { spare_percent, ..wanted(partitions) });
        world.quiet(&vec![true; leaves]);
        let mut placed = BTreeMap::new();
        for (partition, to) in &asked {
            let (partition, to) = (partition % partitions, to % leaves);
            let name = leaf(&format!("leaf-{to}"));
            // Where it is already there is nothing to pin.
            if world.assignments[&PartitionId(partition)].owner.leaf != name {
                placed.insert(PartitionId(partition), name);
            }
            world.happen(&Event::Ask(partition, Some(to), false));
            world.settle();
        }
        for (partition, to) in placed {
            prop_assert_eq!(&world.assignments[&partition].owner.leaf, &to);
        }
    }

    /// A fresh group keeps its spares, as far as there are leaves for both.
    #[test]
    fn a_fresh_group_keeps_its_spares(
        leaves in 1..=LEAVES_MAX,
        partitions in 1..20_u32,
        spare_percent in spare_percent(),
    ) {
        let wanted = Wanted { spare_percent, ..wanted(partitions) };
        let spares = wanted.spares(leaves).min(leaves - 1);
        let mut world = World::new(leaves, wanted);
        world.quiet(&vec![true; leaves]);
        let unused = leaves.saturating_sub(usize::try_from(partitions).expect("few"));
        prop_assert_eq!(world.idle(), spares.max(unused));
    }

    /// What is foretold is what comes.
    #[test]
    fn forecasts_come_true(
        leaves in 2..=LEAVES_MAX,
        partitions in 1..20_u32,
        marks in prop::collection::vec(mark(), LEAVES_MAX),
        asked in prop::collection::vec((0..20_u32, prop::option::of(0..LEAVES_MAX)), 0..6),
    ) {
        let wanted = wanted(partitions);
        let mut world = World::new(leaves, wanted.clone());
        world.quiet(&vec![true; leaves]);
        for (i, kind) in marks.iter().take(leaves).enumerate() {
            world.happen(&Event::Mark(i, *kind));
        }
        for (partition, to) in &asked {
            world.happen(&Event::Ask(*partition, *to, false));
        }
        let (first, changes) =
            forecast(&world.observed(), &wanted, &world.assignments, &Outlook::default());
        let mut foretold = world.assignments.clone();
        for PlannedChange { assignment, .. } in &changes {
            foretold.insert(assignment.partition, assignment.clone());
        }
        prop_assert!(foretold.values().all(|it| it.retiring.is_none()));
        prop_assert!(changes.starts_with(&first.changes));
        world.settle();
        let owned = |all: &Assignments| {
            let mut counts: BTreeMap<LeafName, usize> = BTreeMap::new();
            for it in all.values() {
                *counts.entry(it.owner.leaf.clone()).or_default() += 1;
            }
            counts
        };
        // The order in which moves end may differ, and with it which of equals goes where.
        let marked = |all: &Assignments| {
            let counts = owned(all).into_iter();
            counts.filter(|(name, _)| !world.observed().is_open(name)).collect::<Vec<_>>()
        };
        prop_assert_eq!(marked(&foretold), marked(&world.assignments));
        prop_assert_eq!(foretold.len(), world.assignments.len());
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
