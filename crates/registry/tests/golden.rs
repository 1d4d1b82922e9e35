//! Values keep their bytes: what an older version wrote is read, and what this version writes is
//! what older readers know. The bytes here are never changed; a new layout adds new ones.

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::Bytes;
use nautilus_registry::layout::{
    Assignment, BuildRef, CoordinatorName, Cordon, CordonKind, DIGEST_POINTS_MAX, Decision,
    DigestPoint, GroupBuild, GroupName, GroupStanding, GroupState, Holder, Key, Leader, LeafName,
    LeafRegistration, MoveRequest, Note, PartitionDigests, REFUSED_MOVES_MAX, Record, RefusedMove,
    Replica, ReplicaState, SHARE_ALL, ShadowSearches, UNASSIGNED_MAX, WHY_BYTES_MAX,
};
use nautilus_registry::{Entry, RegistryError, Revision, VALUE_BYTES_MAX};
use nautilus_types::{Class, Epoch, Offset, PartitionId};

const LEAF: &[u8] = b"\x0a\x06leaf-1\x12\x15http://127.0.0.1:7301\x18\xac\x02\x20\x01";
const ASSIGNMENT: &[u8] = b"\x08\x07\x12\x0a\x0a\x06leaf-2\x10\x05\x1a\x0a\x0a\x06leaf-1\x10\x04\
    \x22\x09LEAF_LOST";
const FIRST_ASSIGNMENT: &[u8] = b"\x12\x0a\x0a\x06leaf-1\x10\x01\x22\x05FIRST";
const REPLICA: &[u8] = b"\x08\x07\x12\x06leaf-2\x1a\x15http://127.0.0.1:7302\x20\x05\x28\x03\
    \x32\x06b-2026";
const LEADER: &[u8] = b"\x0a\x0dcoordinator-a";
const DECISION: &[u8] = b"\x0a\x0btoo manyout\x12\x03\x01\xac\x02";
const PINNED: &[u8] = b"\x08\x07\x12\x0a\x0a\x06leaf-2\x10\x05\x1a\x0a\x0a\x06leaf-1\x10\x04\
    \x22\x09LEAF_LOST\x28\x01";
const REFUSING: &[u8] =
    b"\x1a\x15\x08\x07\x12\x06leaf-2\x1a\x09LEAF_GONE\x1a\x0f\x1a\x0dNO_OTHER_LEAF";
const CORDON: &[u8] = b"\x0a\x06leaf-1\x10\x02\x1a\x02me\x22\x04disk\x28\xe8\x07";
const MOVE: &[u8] = b"\x08\x07\x12\x06leaf-2\x1a\x02me\x22\x04heat\x28\x05";
const MOVE_ANYWHERE: &[u8] = b"\x08\x07\x1a\x02me";
const DIGESTS: &[u8] =
    b"\x08\x07\x12\x01a\x1a\x06leaf-1\x22\x29\x08\x80\x20\x12\x10documents-digest\
    \x1a\x10-postings-digest\x20\x02";
const STANDING: &[u8] = b"\x08\x02\x12\x02me\x1a\x06deploy\x20\xe8\x07";

const BUILD: &[u8] =
    b"\x0a\x0a\x0a\x06b-2026\x10\x02\x12\x02\x10\x01\x1a\x02me\x22\x06deploy\x28\xe8\x07";
const SHADOW: &[u8] = b"\x0a\x06b-2026\x10\x90\x4e\x1a\x02me\x22\x06deploy\x28\xe8\x07";

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
        is_pinned: false,
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
    Decision { held_back: Some("too manyout".to_owned()), unassigned, refused_moves: Vec::new() }
}

fn refusing() -> Decision {
    let refused = |partition, to: Option<&str>, why: &str| RefusedMove {
        partition: PartitionId(partition),
        to: to.map(leaf),
        why: why.to_owned(),
    };
    let gone = refused(7, Some("leaf-2"), "LEAF_GONE");
    Decision { refused_moves: vec![gone, refused(0, None, "NO_OTHER_LEAF")], ..Decision::default() }
}

fn note(reason: &str) -> Note {
    Note { owner: "me".to_owned(), reason: reason.to_owned() }
}

fn cordon() -> Cordon {
    let (leaf, kind) = (leaf("leaf-1"), CordonKind::Drain);
    Cordon { leaf, kind, note: note("disk"), placed_unix_ms: 1_000 }
}

fn move_request() -> MoveRequest {
    let (partition, to) = (PartitionId(7), Some(leaf("leaf-2")));
    MoveRequest { partition, to, epoch: Some(Epoch(5)), note: note("heat") }
}

fn build() -> GroupBuild {
    GroupBuild {
        build: BuildRef { name: Some("b-2026".to_owned()), analyzer_version: 2 },
        previous: Some(BuildRef::of_log()),
        note: note("deploy"),
        placed_unix_ms: 1_000,
    }
}

fn standing() -> GroupStanding {
    GroupStanding { state: GroupState::Drained, note: note("deploy"), placed_unix_ms: 1_000 }
}

fn shadow() -> ShadowSearches {
    let (build, share_per_million) = (Some("b-2026".to_owned()), 10_000);
    ShadowSearches { build, share_per_million, note: note("deploy"), placed_unix_ms: 1_000 }
}

fn digests() -> PartitionDigests {
    let point = DigestPoint {
        next_offset: Offset(4_096),
        documents: *b"documents-digest",
        postings: *b"-postings-digest",
        analyzer_version: 2,
    };
    let group = GroupName::new("a").expect("valid");
    let (partition, leaf) = (PartitionId(7), leaf("leaf-1"));
    PartitionDigests { partition, group, leaf, points: vec![point] }
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
        is_pinned: false,
    };
    check(&first, first.encode(), Assignment::decode, FIRST_ASSIGNMENT);
    check(&replica(), replica().encode(), Replica::decode, REPLICA);
    check(&leader(), leader().encode(), Leader::decode, LEADER);
    check(&decision(), decision().encode(), Decision::decode, DECISION);
    let pinned = Assignment { is_pinned: true, ..assignment() };
    check(&pinned, pinned.encode(), Assignment::decode, PINNED);
    check(&refusing(), refusing().encode(), Decision::decode, REFUSING);
    check(&cordon(), cordon().encode(), Cordon::decode, CORDON);
    check(&move_request(), move_request().encode(), MoveRequest::decode, MOVE);
    let anywhere = MoveRequest { to: None, epoch: None, note: note(""), ..move_request() };
    check(&anywhere, anywhere.encode(), MoveRequest::decode, MOVE_ANYWHERE);
    check(&standing(), standing().encode(), GroupStanding::decode, STANDING);
    check(&build(), build().encode(), GroupBuild::decode, BUILD);
    check(&digests(), digests().encode(), PartitionDigests::decode, DIGESTS);
    check(&shadow(), shadow().encode(), ShadowSearches::decode, SHADOW);
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
fn every_mark_has_its_number() {
    for (number, kind) in [(1, CordonKind::Cordon), (2, CordonKind::Drain)] {
        let bytes = Cordon { kind, ..cordon() }.encode().expect("encodes");
        assert_eq!(bytes[8..10], [0x10, number], "{}", kind.as_str());
    }
    for (number, state) in [(1, GroupState::Active), (2, GroupState::Drained)] {
        let bytes = GroupStanding { state, ..standing() }.encode().expect("encodes");
        assert_eq!(bytes[..2], [0x08, number], "{}", state.as_str());
    }
    for unknown in [b"\x10\x00", b"\x10\x03"] {
        let error = Cordon::decode(&spoilt(CORDON, b"\x10\x02", unknown)).expect_err("refused");
        assert_eq!(error.class(), Class::Corrupt);
    }
    for unknown in [b"\x08\x00", b"\x08\x03"] {
        let spoilt = spoilt(STANDING, b"\x08\x02", unknown);
        let error = GroupStanding::decode(&spoilt).expect_err("refused");
        assert_eq!(error.class(), Class::Corrupt);
    }
}

#[test]
fn what_people_write_is_one_line_with_a_name() {
    let long = "x".repeat(256);
    for (owner, reason) in [("", ""), ("a\nb", ""), ("me", "\x1b[2J"), (&long, ""), ("me", &long)] {
        let note = Note { owner: owner.to_owned(), reason: reason.to_owned() };
        for outcome in [
            Cordon { note: note.clone(), ..cordon() }.encode(),
            MoveRequest { note: note.clone(), ..move_request() }.encode(),
            GroupStanding { note: note.clone(), ..standing() }.encode(),
            GroupBuild { note: note.clone(), ..build() }.encode(),
            ShadowSearches { note: note.clone(), ..shadow() }.encode(),
        ] {
            assert_eq!(outcome.expect_err("refused").class(), Class::Invalid);
        }
    }
    for (name, analyzer_version) in
        [(Some(""), 1), (Some("a b"), 1), (Some(long.as_str()), 1), (None, 0)]
    {
        let wrong = BuildRef { name: name.map(str::to_owned), analyzer_version };
        for outcome in [
            GroupBuild { build: wrong.clone(), ..build() }.encode(),
            GroupBuild { previous: Some(wrong), ..build() }.encode(),
        ] {
            assert_eq!(outcome.expect_err("refused").class(), Class::Invalid);
        }
    }
    for (name, share_per_million) in
        [(Some(""), 1), (Some("a b"), 1), (None, 0), (None, SHARE_ALL + 1)]
    {
        let build = name.map(str::to_owned);
        let wrong = ShadowSearches { build, share_per_million, ..shadow() };
        assert_eq!(wrong.encode().expect_err("refused").class(), Class::Invalid);
    }
    let of_log = ShadowSearches { build: None, share_per_million: SHARE_ALL, ..shadow() };
    let bytes = of_log.encode().expect("encodes");
    assert_eq!(ShadowSearches::decode(&bytes).expect("decodes"), of_log);
    let outcome = MoveRequest { epoch: Some(Epoch(0)), ..move_request() }.encode();
    assert_eq!(outcome.expect_err("refused").class(), Class::Invalid);
    let note = Note { owner: "Grüße 🦀".to_owned(), reason: "ß".repeat(127) };
    let any = Cordon { note, ..cordon() };
    assert_eq!(Cordon::decode(&any.encode().expect("encodes")).expect("decodes"), any);
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

#[test]
fn digests_are_few_and_ascend() {
    assert_eq!(digests().key(), "digests/p0007/a");
    let of = |offsets: &[u64]| {
        let point =
            |offset: &u64| DigestPoint { next_offset: Offset(*offset), ..digests().points[0] };
        PartitionDigests { points: offsets.iter().map(point).collect(), ..digests() }.encode()
    };
    let most: Vec<u64> = (0..8).map(|n| u64::MAX - 8 + n).collect();
    assert_eq!(most.len(), DIGEST_POINTS_MAX);
    assert!(of(&most).expect("encodes").len() <= VALUE_BYTES_MAX);
    for broken in [&[2, 1][..], &[1, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        assert_eq!(of(broken).expect_err("refused").class(), Class::Invalid);
    }
}

fn spoilt(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).expect("there");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn the_largest_decision_fits_a_value() {
    let unassigned: BTreeSet<_> = (u32::MAX - 5000..=u32::MAX).map(PartitionId).collect();
    let refused_moves = |count: usize| {
        let partitions = (0..=u32::MAX).rev().take(count).map(PartitionId);
        let (to, why) = (Some(leaf(&"x".repeat(63))), "X".repeat(WHY_BYTES_MAX));
        let refused = |partition| RefusedMove { partition, to: to.clone(), why: why.clone() };
        partitions.map(refused).collect::<Vec<_>>()
    };
    let decision = Decision {
        held_back: Some("x".repeat(1024)),
        unassigned,
        refused_moves: refused_moves(REFUSED_MOVES_MAX),
    };
    let bytes = decision.encode().expect("encodes");
    assert!(bytes.len() <= VALUE_BYTES_MAX, "{}", bytes.len());
    let read = Decision::decode(&bytes).expect("decodes");
    assert_eq!(read.unassigned.len(), UNASSIGNED_MAX);
    assert!(read.unassigned.iter().eq(decision.unassigned.iter().take(UNASSIGNED_MAX)));
    assert_eq!(read.refused_moves, decision.refused_moves);
    let refused = |refused_moves| Decision { refused_moves, ..Decision::default() }.encode();
    let too_many = refused(refused_moves(REFUSED_MOVES_MAX + 1));
    assert_eq!(too_many.expect_err("refused").class(), Class::Invalid);
    let twice = [refused_moves(1), refused_moves(1)].concat();
    assert_eq!(refused(twice).expect_err("refused").class(), Class::Invalid);
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
        (Record::Cordon(group.clone(), cordon()), CORDON),
        (Record::Move(group.clone(), move_request()), MOVE),
        (Record::Standing(group.clone(), standing()), STANDING),
        (Record::Build(group.clone(), build()), BUILD),
    ] {
        assert_eq!(record.encode().expect("encodes"), bytes);
        let read = Record::read(&entry(record.key().to_string(), bytes)).expect("reads");
        assert_eq!(read, Some(record));
    }
    let newer = entry("groups/a/later/x".to_owned(), b"whatever");
    assert_eq!(Record::read(&newer).expect("passed over"), None);
    let elsewhere = Key::Leaf { group, leaf: leaf("leaf-9") };
    let error = Record::read(&entry(elsewhere.to_string(), LEAF)).expect_err("about another leaf");
    assert_eq!(error.class(), Class::Corrupt);
}
