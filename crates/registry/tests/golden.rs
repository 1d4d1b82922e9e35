//! Values keep their bytes: what an older version wrote is read, and what this version writes is
//! what older readers know. The bytes here are never changed; a new layout adds new ones.

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::Bytes;
use nautilus_registry::layout::{
    Assignment, CoordinatorName, Decision, GroupName, Holder, Key, Leader, LeafName,
    LeafRegistration, Record, Replica, ReplicaState, UNASSIGNED_MAX,
};
use nautilus_registry::{Entry, RegistryError, Revision, VALUE_BYTES_MAX};
use nautilus_types::{Class, Epoch, PartitionId};

const LEAF: &[u8] = b"\x0a\x06leaf-1\x12\x15http://127.0.0.1:7301\x18\xac\x02\x20\x01";
const ASSIGNMENT: &[u8] = b"\x08\x07\x12\x0a\x0a\x06leaf-2\x10\x05\x1a\x0a\x0a\x06leaf-1\x10\x04\
    \x22\x09LEAF_LOST";
const FIRST_ASSIGNMENT: &[u8] = b"\x12\x0a\x0a\x06leaf-1\x10\x01\x22\x05FIRST";
const REPLICA: &[u8] = b"\x08\x07\x12\x06leaf-2\x1a\x15http://127.0.0.1:7302\x20\x05\x28\x03\
    \x32\x06b-2026";
const LEADER: &[u8] = b"\x0a\x0dcoordinator-a";
const DECISION: &[u8] = b"\x0a\x0btoo manyout\x12\x03\x01\xac\x02";

fn leaf(name: &str) -> LeafName {
    LeafName::new(name).expect("valid")
}

fn holder(name: &str, epoch: u64) -> Holder {
    Holder { leaf: leaf(name), epoch: Epoch(epoch) }
}

fn registration() -> LeafRegistration {
    let address = "http://127.0.0.1:7301".to_owned();
    LeafRegistration { leaf: leaf("leaf-1"), address, start: 300, is_draining: true }
}

fn assignment() -> Assignment {
    Assignment {
        partition: PartitionId(7),
        owner: holder("leaf-2", 5),
        retiring: Some(holder("leaf-1", 4)),
        reason: "LEAF_LOST".to_owned(),
    }
}

fn replica() -> Replica {
    Replica {
        partition: PartitionId(7),
        leaf: leaf("leaf-2"),
        address: "http://127.0.0.1:7302".to_owned(),
        epoch: Epoch(5),
        state: ReplicaState::Serving,
        build: Some("b-2026".to_owned()),
    }
}

fn leader() -> Leader {
    Leader { coordinator: CoordinatorName::new("coordinator-a").expect("valid") }
}

fn decision() -> Decision {
    let unassigned = [1, 300].map(PartitionId).into();
    Decision { held_back: Some("too manyout".to_owned()), unassigned }
}

type Decode<T> = fn(&[u8]) -> Result<T, RegistryError>;

/// Written and read as ever; read past a newer writer's field; refused when cut short.
fn check<T: PartialEq + Debug>(
    value: &T,
    encoded: Result<Bytes, RegistryError>,
    decode: Decode<T>,
    golden: &[u8],
) {
    assert_eq!(encoded.expect("encodes"), golden, "written as before");
    assert_eq!(&decode(golden).expect("decodes"), value, "reads back");
    // Field 2000, a varint of 1.
    let newer = [golden, &[0x80, 0x7d, 0x01]].concat();
    assert_eq!(&decode(&newer).expect("decodes"), value, "newer fields are passed over");
    let cut = decode(&golden[..golden.len() - 1]);
    assert_ne!(cut.ok().as_ref(), Some(value), "cut short");
    let garbage = decode(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(garbage.expect_err("refused").class(), Class::Corrupt);
}

#[test]
fn every_value_keeps_its_bytes() {
    check(&registration(), registration().encode(), LeafRegistration::decode, LEAF);
    check(&assignment(), assignment().encode(), Assignment::decode, ASSIGNMENT);
    let first = Assignment {
        partition: PartitionId(0),
        owner: holder("leaf-1", 1),
        retiring: None,
        reason: "FIRST".to_owned(),
    };
    check(&first, first.encode(), Assignment::decode, FIRST_ASSIGNMENT);
    check(&replica(), replica().encode(), Replica::decode, REPLICA);
    check(&leader(), leader().encode(), Leader::decode, LEADER);
    check(&decision(), decision().encode(), Decision::decode, DECISION);
    // Nothing held back and nothing unassigned is no bytes at all.
    assert_eq!(Decision::default().encode().expect("encodes"), "");
    assert_eq!(Decision::decode(b"").expect("decodes"), Decision::default());
}

#[test]
fn every_state_has_its_number() {
    for (number, state) in [
        (1, ReplicaState::Downloading),
        (2, ReplicaState::Replaying),
        (3, ReplicaState::Serving),
        (4, ReplicaState::Draining),
        (5, ReplicaState::Failed),
    ] {
        let value = Replica { state, ..replica() };
        let bytes = value.encode().expect("encodes");
        let at = bytes.windows(2).position(|w| w == [0x28, number]).expect("the state's field");
        assert_eq!(Replica::decode(&bytes).expect("decodes"), value);
        for unknown in [0, 6, 99] {
            let mut bytes = bytes.to_vec();
            bytes[at + 1] = unknown;
            assert_eq!(Replica::decode(&bytes).expect_err("refused").class(), Class::Corrupt);
        }
    }
}

#[test]
fn rules_hold_when_writing_and_when_reading() {
    let invalid = |outcome: Result<Bytes, RegistryError>| {
        assert_eq!(outcome.expect_err("refused").class(), Class::Invalid);
    };
    for address in ["", "127.0.0.1:7301", "http://", "http://a b", "ftp://a"] {
        invalid(LeafRegistration { address: address.to_owned(), ..registration() }.encode());
        invalid(Replica { address: address.to_owned(), ..replica() }.encode());
    }
    invalid(Replica { epoch: Epoch(0), ..replica() }.encode());
    invalid(Replica { build: Some(String::new()), ..replica() }.encode());
    invalid(Assignment { owner: holder("leaf-2", 0), retiring: None, ..assignment() }.encode());
    for epoch in [0, 5, 6] {
        invalid(Assignment { retiring: Some(holder("leaf-1", epoch)), ..assignment() }.encode());
    }
    for reason in ["", "leaf lost", "_X", "1X"] {
        invalid(Assignment { reason: reason.to_owned(), ..assignment() }.encode());
    }
    invalid(Decision { held_back: Some("x".repeat(1025)), ..decision() }.encode());

    let corrupt = |class: Class| assert_eq!(class, Class::Corrupt);
    // The golden bytes with the leaf's name, an epoch, the owner, or the order of partitions spoilt.
    corrupt(
        LeafRegistration::decode(&spoilt(LEAF, b"leaf-1", b"leaf/1")).expect_err("name").class(),
    );
    corrupt(
        Assignment::decode(&spoilt(ASSIGNMENT, b"\x10\x05", b"\x10\x04"))
            .expect_err("epoch")
            .class(),
    );
    corrupt(Assignment::decode(&ASSIGNMENT[..2]).expect_err("no owner").class());
    corrupt(Leader::decode(b"").expect_err("no name").class());
    corrupt(Decision::decode(b"\x12\x02\x01\x01").expect_err("twice").class());
}

fn spoilt(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).expect("there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn the_largest_decision_fits_a_value() {
    let unassigned: BTreeSet<_> = (u32::MAX - 5000..=u32::MAX).map(PartitionId).collect();
    let decision = Decision { held_back: Some("x".repeat(1024)), unassigned };
    let bytes = decision.encode().expect("encodes");
    assert!(bytes.len() <= VALUE_BYTES_MAX, "{}", bytes.len());
    let read = Decision::decode(&bytes).expect("decodes");
    assert_eq!(read.unassigned.len(), UNASSIGNED_MAX);
    assert!(read.unassigned.iter().eq(decision.unassigned.iter().take(UNASSIGNED_MAX)));
}

#[test]
fn entries_read_as_what_they_say() {
    let group = GroupName::new("a").expect("valid");
    let entry = |key: String, value: &[u8]| Entry {
        key,
        value: Bytes::copy_from_slice(value),
        modified: Revision(1),
        lease: None,
    };
    for (record, bytes) in [
        (Record::Leaf(group.clone(), registration()), LEAF),
        (Record::Assignment(group.clone(), assignment()), ASSIGNMENT),
        (Record::Replica(group.clone(), replica()), REPLICA),
        (Record::Coordinator(group.clone(), leader()), LEADER),
        (Record::Decision(group.clone(), decision()), DECISION),
    ] {
        let read = Record::read(&entry(record.key().to_string(), bytes)).expect("reads");
        assert_eq!(read, Some(record));
    }
    let newer = entry("groups/a/later/x".to_owned(), b"whatever");
    assert_eq!(Record::read(&newer).expect("passed over"), None);
    let elsewhere = Key::Leaf { group, leaf: leaf("leaf-9") };
    let error = Record::read(&entry(elsewhere.to_string(), LEAF)).expect_err("about another leaf");
    assert_eq!(error.class(), Class::Corrupt);
}
