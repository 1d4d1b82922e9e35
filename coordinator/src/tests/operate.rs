//! What commands see and ask: each change guarded, shown before it is made, refused where it makes no sense.

use std::collections::BTreeSet;
use std::time::Duration;

use nautilus_registry::Operation;
use nautilus_registry::layout::{
    BuildRef, CordonKind, GroupName, GroupState, Key, Note, Record, ReplicaState, prefix,
};
use nautilus_types::{Class, PartitionId};

use super::world::{Leaf, World, group, leaf_name};
use crate::operate::{
    Change, GroupSnapshot, MoveAnswer, Refusal, Role, Warning, Write, add_group, apply, preview,
    preview_removal, remove_group,
};
use crate::plan::{Reason, Wanted, WhyRefused};
use crate::{CoordinatorError, RawConfig};

const P0: PartitionId = PartitionId(0);

fn note() -> Note {
    Note { owner: "sre".to_owned(), reason: "a test".to_owned() }
}

fn wanted(partitions: u32) -> Wanted {
    let raw = RawConfig { partitions, spare_percent: 0, ..RawConfig::default() };
    raw.validate().expect("valid").wanted
}

fn cordon(leaf: &str, kind: CordonKind) -> Change {
    let leaf = leaf_name(leaf);
    Change::Cordon { leaf, kind, note: note(), placed_unix_ms: 5, ttl: None }
}

fn move_to(partition: u32, to: Option<&str>) -> Change {
    Change::Move { partition: PartitionId(partition), to: to.map(leaf_name), note: note() }
}

fn standing(state: GroupState) -> Change {
    Change::Standing { state, note: note(), placed_unix_ms: 5, ttl: None }
}

fn refusal(error: CoordinatorError) -> Refusal {
    let CoordinatorError::Refused(refusal) = error else { panic!("{error:?}") };
    refusal
}

/// Two leaves that serve four partitions.
async fn two(world: &World) -> (Leaf, Leaf) {
    let leaves = (world.leaf("leaf-a").await, world.leaf("leaf-b").await);
    world.settle(&[&leaves.0, &leaves.1], 4).await;
    leaves
}

async fn snapshot(world: &World) -> GroupSnapshot {
    GroupSnapshot::read(world.registry.as_ref(), &group()).await.expect("read")
}

#[tokio::test(start_paused = true)]
async fn leaves_and_partitions_are_listed_with_what_they_are() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 4);
    let (_a, b) = two(&world).await;
    let registry = world.registry.as_ref();
    apply(registry, &group(), &cordon("leaf-z", CordonKind::Cordon)).await.expect("written");
    apply(registry, &group(), &move_to(0, Some("leaf-b"))).await.expect("written");
    world.until("a move", |it| it.of(0).retiring.is_some()).await;
    world.follow(&b).await;
    let seen = snapshot(&world).await;
    let leaves = seen.leaves();
    let names: Vec<_> = leaves.iter().map(|it| it.leaf.as_str()).collect();
    assert_eq!(names, ["leaf-a", "leaf-b", "leaf-z"]);
    let held = |i: usize| {
        let all = leaves[i].partitions.iter();
        all.map(|it| (it.partition.0, it.role, it.epoch.0, it.state)).collect::<Vec<_>>()
    };
    let serving = Some(ReplicaState::Serving);
    assert_eq!(held(0), [(0, Role::Retiring, 1, serving), (2, Role::Owner, 1, serving)]);
    let of_b =
        [(0, Role::Owner, 2, serving), (1, Role::Owner, 1, serving), (3, Role::Owner, 1, serving)];
    assert_eq!(held(1), of_b);
    assert!(leaves[2].registration.is_none() && leaves[2].partitions.is_empty());
    let marked = leaves[2].cordon.as_ref().expect("marked");
    assert_eq!(
        (marked.kind, &marked.note, marked.placed_unix_ms),
        (CordonKind::Cordon, &note(), 5)
    );
    let partitions = seen.partitions();
    assert_eq!(partitions.len(), 4);
    let moving = partitions[0].assignment.as_ref().expect("assigned");
    assert_eq!((moving.reason.as_str(), partitions[0].replicas.len()), ("OPERATOR_MOVE", 2));
    assert_eq!((partitions[0].owner_state, partitions[0].retiring_state), (serving, serving));
    assert_eq!(seen.served().len(), 4);
    assert_eq!(seen.coordinator().expect("acts").as_str(), "c1");
    assert_eq!(seen.state(), GroupState::Active);
    let all = GroupSnapshot::read_all(registry).await.expect("read");
    assert_eq!(all.iter().map(|it| it.group().as_str()).collect::<Vec<_>>(), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_remembers_the_build_before_until_it_goes_back() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 4);
    let _leaves = two(&world).await;
    let registry = world.registry.as_ref();
    let build = |name: &str| BuildRef { name: Some(name.to_owned()), analyzer_version: 2 };
    let seen = async || {
        let seen = snapshot(&world).await;
        let previous = seen.group_build().and_then(|it| it.previous.clone());
        (seen.build(), previous, seen.served_of_build().len())
    };
    assert_eq!(seen().await, (BuildRef::of_log(), None, 4));
    let say = async |build: BuildRef, is_back| {
        let change = Change::Build { build, is_back, note: note(), placed_unix_ms: 5 };
        let applied = apply(registry, &group(), &change).await.expect("written");
        assert!(matches!(applied.writes.as_slice(), [Write::Put(Record::Build(..), None)]));
    };
    say(build("b1"), false).await;
    assert_eq!(seen().await, (build("b1"), Some(BuildRef::of_log()), 0));
    // Said again, as a command that goes on does, it is not its own predecessor.
    say(build("b1"), false).await;
    assert_eq!(seen().await, (build("b1"), Some(BuildRef::of_log()), 0));
    say(build("b2"), false).await;
    assert_eq!(seen().await, (build("b2"), Some(build("b1")), 0));
    say(build("b1"), true).await;
    assert_eq!(seen().await, (build("b1"), None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_preview_says_what_follows_and_writes_nothing() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 4);
    let (a, b) = two(&world).await;
    coordinator.stop().await;
    let registry = world.registry.as_ref();
    let listed = || async { registry.list(&prefix::all_groups()).await.expect("listed") };
    let before = listed().await;
    let drain = cordon("leaf-b", CordonKind::Drain);
    let shown = preview(registry, &group(), &drain, &wanted(4)).await.expect("shown");
    let moved: BTreeSet<_> = shown
        .follows
        .changes
        .iter()
        .filter(|it| it.reason == Reason::LeafDraining)
        .map(|it| it.assignment.partition.0)
        .collect();
    assert_eq!(moved, BTreeSet::from([1, 3]));
    assert_eq!(shown.warnings, [Warning::NoCoordinator(group())]);
    let [Write::Put(Record::Cordon(..), None)] = shown.writes.as_slice() else {
        panic!("{:?}", shown.writes)
    };
    let moved = preview(registry, &group(), &move_to(0, Some("leaf-b")), &wanted(4)).await;
    let reasons: Vec<_> =
        moved.expect("shown").follows.changes.iter().map(|it| it.reason).collect();
    assert_eq!(reasons, [Reason::OperatorMove, Reason::OwnerServes]);
    // The plan would refuse it, and so says the preview.
    apply(registry, &group(), &cordon("leaf-a", CordonKind::Cordon)).await.expect("written");
    let recover = Change::Recover { partition: PartitionId(1), note: note() };
    let shown = preview(registry, &group(), &recover, &wanted(4)).await.expect("shown");
    assert_eq!(
        shown.follows.refused.values().copied().collect::<Vec<_>>(),
        [WhyRefused::NoOtherLeaf]
    );
    let uncordon = Change::Uncordon { leaf: a.name.clone() };
    let shown = preview(registry, &group(), &uncordon, &wanted(4)).await.expect("shown");
    assert!(shown.follows.changes.is_empty());
    apply(registry, &group(), &uncordon).await.expect("written");
    assert_eq!(listed().await.entries, before.entries);
    // What was foretold comes, once somebody acts.
    apply(registry, &group(), &drain).await.expect("written");
    let _coordinator = world.coordinator("c2", 4);
    let stored = world.settle(&[&a, &b], 4).await;
    assert!(stored.assignments.values().all(|it| it.owner.leaf == a.name));
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 4);
    let _leaves = two(&world).await;
    coordinator.stop().await;
    let registry = world.registry.as_ref();
    let refused = |change: Change| async move {
        refusal(apply(registry, &group(), &change).await.expect_err("refused"))
    };
    let leaf = leaf_name("leaf-z");
    let owned = Refusal::AlreadyThere { partition: P0, leaf: leaf_name("leaf-a") };
    assert_eq!(refused(move_to(0, Some("leaf-a"))).await, owned);
    let unknown = Refusal::UnknownLeaf { group: group(), leaf: leaf.clone() };
    assert_eq!(refused(move_to(0, Some("leaf-z"))).await, unknown);
    let unknown = Refusal::UnknownPartition { group: group(), partition: PartitionId(7) };
    assert_eq!(refused(move_to(7, None)).await, unknown);
    for vain in [Change::Uncordon { leaf }, Change::Withdraw { partition: P0 }] {
        assert_eq!(refused(vain).await.class(), Class::NotFound);
    }
    apply(registry, &group(), &move_to(0, None)).await.expect("written");
    let waiting = Refusal::MoveWaiting { partition: P0, owner: "sre".to_owned() };
    assert_eq!(refused(Change::Recover { partition: P0, note: note() }).await, waiting);
    let elsewhere = GroupName::new("nowhere").expect("valid");
    let error = apply(registry, &elsewhere, &move_to(0, None)).await.expect_err("refused");
    assert_eq!(refusal(error), Refusal::UnknownGroup { group: elsewhere });
    // A mark needs a name, and ends within what leases allow.
    let nameless = Change::Cordon {
        leaf: leaf_name("leaf-a"),
        kind: CordonKind::Cordon,
        note: Note::default(),
        placed_unix_ms: 0,
        ttl: None,
    };
    let error = apply(registry, &group(), &nameless).await.expect_err("refused");
    assert_eq!(error.class(), Class::Invalid);
    let endless = Change::Cordon {
        leaf: leaf_name("leaf-a"),
        kind: CordonKind::Cordon,
        note: note(),
        placed_unix_ms: 0,
        ttl: Some(Duration::from_secs(7_200)),
    };
    let error = apply(registry, &group(), &endless).await.expect_err("refused");
    assert_eq!(error.class(), Class::Invalid);
}

#[tokio::test(start_paused = true)]
async fn what_became_of_a_move_can_be_asked() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 4);
    let (a, b) = two(&world).await;
    coordinator.stop().await;
    let registry = world.registry.as_ref();
    let asked = apply(registry, &group(), &move_to(0, Some("leaf-b"))).await.expect("written");
    let answer = |seen: &GroupSnapshot| seen.answer(P0, asked.revision);
    assert_eq!(answer(&snapshot(&world).await), MoveAnswer::Waiting);
    let coordinator = world.coordinator("c2", 4);
    world.until("a move", |it| it.of(0).retiring.is_some()).await;
    assert!(matches!(answer(&snapshot(&world).await), MoveAnswer::Moving(_)));
    world.settle(&[&a, &b], 4).await;
    assert!(matches!(answer(&snapshot(&world).await), MoveAnswer::Done(_)));
    // One that is taken back leaves no trace.
    coordinator.stop().await;
    let asked = apply(registry, &group(), &move_to(1, None)).await.expect("written");
    let withdraw = Change::Withdraw { partition: PartitionId(1) };
    apply(registry, &group(), &withdraw).await.expect("written");
    let answer = snapshot(&world).await.answer(PartitionId(1), asked.revision);
    assert_eq!(answer, MoveAnswer::Overtaken);
}

#[tokio::test(start_paused = true)]
async fn an_explanation_names_what_bears_on_a_partition() {
    let world = World::new();
    let _coordinator = world.coordinator("c1", 4);
    let (_a, b) = two(&world).await;
    let registry = world.registry.as_ref();
    apply(registry, &group(), &cordon("leaf-b", CordonKind::Cordon)).await.expect("written");
    let asked = apply(registry, &group(), &move_to(0, Some("leaf-b"))).await.expect("written");
    world
        .until("a refusal", |it| {
            it.requests.is_empty() && it.decision.iter().any(|it| !it.refused_moves.is_empty())
        })
        .await;
    world.register(&b, 1, true).await;
    let seen = snapshot(&world).await;
    let MoveAnswer::Refused(refused) = seen.answer(P0, asked.revision) else { panic!("{seen:?}") };
    assert_eq!(refused.why, "LEAF_CORDONED");
    let told = seen.explain(P0, &wanted(4));
    assert_eq!(told.because, Some(Reason::NewPartition.meaning()));
    assert_eq!(told.report.refused.as_ref(), Some(&refused));
    assert_eq!(told.coordinator.expect("acts").as_str(), "c1");
    assert_eq!(told.cordons.iter().map(|it| it.leaf.as_str()).collect::<Vec<_>>(), ["leaf-b"]);
    assert_eq!(told.draining, std::slice::from_ref(&b.name));
    assert!(told.failures.is_empty() && told.held_back.is_none());
    assert!(told.next.changes.is_empty(), "it stays where it is");
    let next = seen.explain(PartitionId(1), &wanted(4)).next;
    assert_eq!(next.changes.first().map(|it| it.reason), Some(Reason::LeafDraining));
    assert_eq!(seen.explain(PartitionId(9), &wanted(4)).because, None);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_removed_when_nobody_misses_it() {
    let world = World::new();
    let coordinator = world.coordinator("c1", 300);
    let a = world.leaf("leaf-a").await;
    world.settle(&[&a], 300).await;
    let registry = world.registry.as_ref();
    let refused =
        || async { refusal(remove_group(registry, &group()).await.expect_err("refused")) };
    assert_eq!(refused().await, Refusal::GroupActive { group: group() });
    let drained = apply(registry, &group(), &standing(GroupState::Drained)).await.expect("written");
    // It is the only one: roots go on asking it.
    let [Warning::StillNeeded(needed)] = drained.warnings.as_slice() else {
        panic!("{:?}", drained.warnings)
    };
    assert_eq!(needed.len(), 300);
    assert_eq!(snapshot(&world).await.state(), GroupState::Drained);
    assert!(matches!(refused().await, Refusal::LeavesRegistered { others: 0, .. }));
    world.kill(&a).await;
    assert!(matches!(refused().await, Refusal::CoordinatorActs { .. }));
    coordinator.stop().await;
    let last = |partition| Refusal::LastGroup { group: group(), partition: PartitionId(partition) };
    assert_eq!(refused().await, last(0));

    // Another one serves: first one partition, which is not enough, then all.
    let other = GroupName::new("b").expect("valid");
    let stored = world.stored().await;
    for partition in 0..300 {
        for record in served_by(&other, stored.of(partition).clone()) {
            world.put(&record, None).await;
        }
        if partition == 0 {
            assert_eq!(refused().await, last(1));
        }
    }
    // What a newer version put there goes too.
    let newer = format!("{}later", prefix::group(&group()));
    world.write(Operation::Put { key: newer, value: "x".into(), lease: None }).await;
    let shown = preview_removal(registry, &group()).await.expect("shown");
    assert_eq!(shown.keys.len(), 300 + 3, "assignments, decision, the newer key, standing");
    let last = Key::Standing { group: group() }.to_string();
    assert_eq!(shown.keys.last(), Some(&last));
    let removed = remove_group(registry, &group()).await.expect("removed");
    assert_eq!(removed, shown);
    let left = registry.list(&prefix::all_groups()).await.expect("listed").entries;
    assert!(left.iter().all(|it| it.key.starts_with("groups/b/")) && !left.is_empty());
    assert_eq!(refused().await, Refusal::UnknownGroup { group: group() });
}

#[tokio::test(start_paused = true)]
async fn a_group_is_added_drained_and_only_once() {
    let world = World::new();
    let registry = world.registry.as_ref();
    let note = Note { owner: "ada".to_owned(), reason: String::new() };
    let add = || async { add_group(registry, &group(), note.clone(), 1).await };
    add().await.expect("added");
    assert_eq!(snapshot(&world).await.state(), GroupState::Drained);
    let again = refusal(add().await.expect_err("refused"));
    assert_eq!(again, Refusal::GroupThere { group: group() });
    // Its coordinator takes it from there.
    let _coordinator = world.coordinator("c1", 4);
    let a = world.leaf("leaf-a").await;
    world.settle(&[&a], 4).await;
    assert_eq!(snapshot(&world).await.served().len(), 4);
    let active = standing(GroupState::Active);
    apply(registry, &group(), &active).await.expect("written");
    assert_eq!(snapshot(&world).await.state(), GroupState::Active);
}

/// A group whose one leaf serves one partition.
fn served_by(
    group: &GroupName,
    mut assignment: nautilus_registry::layout::Assignment,
) -> [Record; 3] {
    use nautilus_registry::layout::{LeafRegistration, Replica};
    assignment.owner.leaf = leaf_name("leaf-1");
    let address = "http://127.0.0.1:7301".to_owned();
    let registration = LeafRegistration {
        leaf: leaf_name("leaf-1"),
        address: address.clone(),
        start: 1,
        is_draining: false,
    };
    let replica = Replica {
        partition: assignment.partition,
        leaf: leaf_name("leaf-1"),
        address,
        epoch: assignment.owner.epoch,
        state: ReplicaState::Serving,
        build: None,
    };
    [
        Record::Leaf(group.clone(), registration),
        Record::Assignment(group.clone(), assignment),
        Record::Replica(group.clone(), replica),
    ]
}
