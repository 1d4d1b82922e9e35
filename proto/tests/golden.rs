//! Persisted messages keep their bytes: what an older version wrote is read, and what this version
//! writes is what older readers know. A file here is never changed; a new layout adds new ones.

use std::path::PathBuf;

use prost::Message;

#[path = "golden/values.rs"]
mod values;

fn golden(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{name}.bin"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

fn check<M: Message + Default + PartialEq + std::fmt::Debug>(name: &str, value: &M) {
    let bytes = golden(name);
    assert_eq!(&M::decode(&*bytes).expect("golden bytes decode"), value, "{name} reads back");
    assert_eq!(value.encode_to_vec(), bytes, "{name} is written as before");
}

#[test]
fn every_operation_of_the_log_keeps_its_bytes() {
    for (name, record) in values::records() {
        check(name, &record);
    }
}

#[test]
fn the_manifest_keeps_its_bytes() {
    check("manifest", &values::manifest());
    check("manifest_with_uploads", &values::manifest_with_uploads());
}

/// A newer writer's field is passed over, so that fields can be added.
#[test]
fn an_unknown_field_does_not_stop_a_reader() {
    for (name, record) in values::records() {
        let mut bytes = golden(name);
        // Field 2000, a varint of 1.
        bytes.extend([0x80, 0x7d, 0x01]);
        let read = nautilus_proto::log::v1::MutationRecord::decode(&*bytes).expect("decodes");
        assert_eq!(read, record, "{name}");
    }
}
