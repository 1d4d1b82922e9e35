use nautilus_registry::layout::{self, Assignment, Decision, Holder, LeafRegistration};
use nautilus_registry::{Change, Entry, Listing};
use proptest::prelude::*;

use super::*;

fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("valid")
}

fn leaf(name: &str) -> LeafName {
    LeafName::new(name).expect("valid")
}

fn replica(partition: u32, name: &str, epoch: u64, state: ReplicaState) -> layout::Replica {
    layout::Replica {
        partition: PartitionId(partition),
        leaf: leaf(name),
        address: format!("http://{name}:1"),
        epoch: Epoch(epoch),
        state,
        build: None,
    }
}

fn entry(record: &Record, at: u64) -> Entry {
    let (key, value) = (record.key().to_string(), record.encode().expect("valid"));
    Entry { key, value, modified: Revision(at), lease: None }
}

fn listing(revision: u64, records: &[Record]) -> Listing {
    let mut entries: Vec<_> = records.iter().map(|record| entry(record, revision)).collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Listing { revision: Revision(revision), entries }
}

fn table_of(records: &[Record]) -> RoutingTable {
    let mut state = RegistryState::default();
    assert!(state.listed(&listing(5, records)).expect("the first").is_empty());
    RoutingTable::of(PartitionMap::divided(2), &state)
}

fn routable(table: &RoutingTable, partition: u32) -> Vec<(&str, Standing)> {
    let all = table.routable(PartitionId(partition));
    all.map(|replica| (replica.at.leaf.as_str(), replica.standing)).collect()
}

#[test]
fn only_what_serves_is_routable_and_draining_comes_last() {
    let (a, b) = (group("a"), group("b"));
    let table = table_of(&[
        Record::Replica(a.clone(), replica(0, "one", 3, ReplicaState::Serving)),
        Record::Replica(a.clone(), replica(1, "one", 3, ReplicaState::Replaying)),
        Record::Replica(b.clone(), replica(0, "two", 7, ReplicaState::Draining)),
        Record::Replica(b.clone(), replica(1, "two", 7, ReplicaState::Failed)),
        Record::Replica(b.clone(), replica(9, "two", 7, ReplicaState::Serving)),
        Record::Leaf(
            a.clone(),
            LeafRegistration {
                leaf: leaf("idle"),
                address: "http://idle:1".into(),
                start: 1,
                is_draining: false,
            },
        ),
        Record::Decision(
            b.clone(),
            Decision { held_back: Some("too many gone".into()), ..Decision::default() },
        ),
        Record::Assignment(
            b.clone(),
            Assignment {
                partition: PartitionId(1),
                owner: Holder { leaf: leaf("two"), epoch: Epoch(7) },
                retiring: None,
                reason: "LEAF_LOST".into(),
                is_pinned: false,
            },
        ),
    ]);
    assert_eq!(routable(&table, 0), [("one", Standing::Serving), ("two", Standing::Draining)]);
    assert_eq!(routable(&table, 1), []);
    let names: Vec<_> = table.leaves.iter().map(|leaf| leaf.leaf.as_str()).collect();
    assert_eq!(names, ["idle", "one", "two"]);
    assert_eq!(table.groups[&a].unserved, [PartitionId(1)]);
    assert_eq!(table.groups[&b].held_back, "too many gone");
    assert_eq!(table.assigned.iter().copied().collect::<Vec<_>>(), [PartitionId(1)]);
}

fn drained(name: &str) -> Record {
    let note = layout::Note { owner: "sre".into(), reason: "deploy".into() };
    let state = GroupState::Drained;
    Record::Standing(group(name), GroupStanding { state, note, placed_unix_ms: 1 })
}

#[test]
fn a_drained_group_is_the_last_to_be_asked() {
    let serving = |name, partition, leaf| {
        Record::Replica(group(name), replica(partition, leaf, 3, ReplicaState::Serving))
    };
    let records = [
        serving("a", 0, "one"),
        serving("a", 1, "one"),
        Record::Replica(group("b"), replica(0, "two", 7, ReplicaState::Draining)),
        drained("a"),
    ];
    let table = table_of(&records);
    let last = ("one", Standing::GroupDrained);
    assert_eq!(routable(&table, 0), [("two", Standing::Draining), last]);
    assert_eq!(routable(&table, 1), [last]);
    let a = &table.groups[&group("a")];
    assert_eq!((a.state(), a.unserved.as_slice()), (GroupState::Drained, &[][..]));
    assert_eq!(a.still_needed, [PartitionId(1)]);
    assert_eq!(table.groups[&group("b")].state(), GroupState::Active);
    // Both drained: nobody is left, so both are asked.
    let both = table_of(&[records.as_slice(), &[drained("b")]].concat());
    assert_eq!(both.groups[&group("b")].still_needed, [PartitionId(0)]);
    assert_eq!(both.groups[&group("a")].still_needed, [0, 1].map(PartitionId));
}

#[test]
fn a_removed_group_may_come_back_with_new_epochs() {
    let old = Record::Replica(group("a"), replica(0, "one", 9, ReplicaState::Serving));
    let new = Record::Replica(group("a"), replica(0, "two", 1, ReplicaState::Serving));
    let other = Record::Replica(group("b"), replica(0, "three", 5, ReplicaState::Serving));
    let mut state = RegistryState::default();
    state.listed(&listing(5, &[old.clone(), other])).expect("the first");
    let gone = Change::Delete { key: old.key().to_string(), at: Revision(6) };
    state.changed(Revision(6), &[gone]);
    state.changed(Revision(7), &[Change::Put(entry(&new, 7))]);
    let table = RoutingTable::of(PartitionMap::divided(2), &state);
    assert!(!table.is_outdated(&group("a"), PartitionId(0), Epoch(1)));
    assert!(table.is_outdated(&group("b"), PartitionId(0), Epoch(4)));
}

#[test]
fn an_older_epoch_is_outdated_even_after_the_newer_has_gone() {
    let a = group("a");
    let old = Record::Replica(a.clone(), replica(0, "old", 1, ReplicaState::Serving));
    let new = Record::Replica(a.clone(), replica(0, "new", 2, ReplicaState::Serving));
    let mut state = RegistryState::default();
    state.listed(&listing(5, &[old.clone(), new.clone()])).expect("the first");
    let map = PartitionMap::divided(2);
    let both = RoutingTable::of(map, &state);
    assert_eq!(routable(&both, 0), [("new", Standing::Serving), ("old", Standing::Outdated)]);
    assert!(both.is_outdated(&a, PartitionId(0), Epoch(1)));
    assert!(!both.is_outdated(&a, PartitionId(0), Epoch(2)));
    assert!(!both.is_outdated(&group("b"), PartitionId(0), Epoch(1)));

    let gone = Change::Delete { key: new.key().to_string(), at: Revision(6) };
    assert!(state.changed(Revision(6), &[gone]).is_empty());
    assert_eq!(routable(&RoutingTable::of(map, &state), 0), [("old", Standing::Outdated)]);
}

#[test]
fn state_never_goes_back_and_bad_values_count_as_absent() {
    let a = group("a");
    let record = Record::Replica(a, replica(0, "one", 1, ReplicaState::Serving));
    let mut state = RegistryState::default();
    state.listed(&listing(5, std::slice::from_ref(&record))).expect("the first");
    let before = state.clone();
    let refused = state.listed(&listing(4, &[]));
    let backwards = Backwards { found: Revision(4), known: Revision(5) };
    assert_eq!(refused.expect_err("older"), backwards);
    let gone = Change::Delete { key: record.key().to_string(), at: Revision(5) };
    assert!(state.changed(Revision(5), &[gone]).is_empty());
    assert_eq!(state, before);

    let mut bad = entry(&record, 6);
    bad.value = vec![0xff].into();
    assert_eq!(state.changed(Revision(6), &[Change::Put(bad)]).len(), 1);
    assert_eq!(routable(&RoutingTable::of(PartitionMap::divided(1), &state), 0), []);
    let stranger = Entry { key: "other/thing".into(), ..entry(&record, 7) };
    assert!(state.changed(Revision(7), &[Change::Put(stranger)]).is_empty());
    assert_eq!(state.revision(), Some(Revision(7)));
}

proptest! {
    /// Following changes one by one ends where listing at the end does.
    #[test]
    fn changes_and_listings_agree(
        steps in proptest::collection::vec((0..2_u32, 0..3_usize, 1..9_u64, 0..4_u8), 0..40),
    ) {
        let mut followed = RegistryState::default();
        followed.listed(&listing(0, &[])).expect("the first");
        let mut current: BTreeMap<String, Record> = BTreeMap::new();
        for (revision, (partition, name, epoch, kind)) in (1..).zip(steps) {
            let state = match kind {
                0 => ReplicaState::Replaying,
                1 => ReplicaState::Draining,
                _ => ReplicaState::Serving,
            };
            let name = ["x", "y", "z"][name];
            let record = Record::Replica(group("a"), replica(partition, name, epoch, state));
            let key = record.key().to_string();
            let change = if kind == 3 {
                current.remove(&key);
                Change::Delete { key, at: Revision(revision) }
            } else {
                current.insert(key, record.clone());
                Change::Put(entry(&record, revision))
            };
            followed.changed(Revision(revision), &[change]);
        }
        let records: Vec<_> = current.into_values().collect();
        let mut listed = followed.clone();
        listed.listed(&listing(100, &records)).expect("later");
        prop_assert!(followed.has_same_records(&listed));
        let table = RoutingTable::of(PartitionMap::divided(2), &followed);
        for replicas in table.replicas.values() {
            prop_assert!(replicas.is_sorted_by_key(|replica| replica.standing));
            for replica in replicas.iter().filter(|r| r.standing == Standing::Serving) {
                let outdated =
                    table.is_outdated(&replica.at.group, replica.partition, replica.epoch);
                prop_assert!(!outdated);
            }
        }
    }
}
