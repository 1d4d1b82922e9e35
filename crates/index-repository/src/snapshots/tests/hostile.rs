//! Manifests with a sound envelope and bad intentions: refused before a byte is written.

use nautilus_proto::snapshot::v1 as proto;
use prost::Message as _;

use super::format::sealed;
use super::*;

#[tokio::test]
async fn hostile_manifests_are_passed_over() {
    let scene = Scene::new().await;
    let older = scene.publish(draft(10)).await;
    let newer = scene.publish(draft(20)).await;
    let path = scene.manifest_path(&newer);
    let sound = newer.to_proto().expect("in bounds");
    let changes: [(Change<proto::Manifest>, &str); 14] = [
        (|m| m.files[0].name = "../../escaped.sst".to_owned(), "file"),
        (|m| m.files[0].name = "/etc/passwd".to_owned(), "file"),
        (|m| m.files[0].name = "LOCK".to_owned(), "file"),
        (|m| m.files[0].name.clear(), "file"),
        (|m| m.files[0].name = m.files[1].name.clone(), "twice"),
        (|m| m.files[0].size_bytes = crate::OBJECT_BYTES_MAX + 1, "too many"),
        (|m| m.files[0].sha256.truncate(31), "SHA-256"),
        (|m| m.files.clear(), "no files"),
        (|m| m.files = vec![m.files[0].clone(); FILES_MAX + 1], "10001 files"),
        (|m| m.slots.clear(), "slots"),
        (|m| m.slots[0].last = u32::MAX, "slot"),
        (|m| m.cluster_id = vec![7; 15], "cluster id"),
        (|m| m.last_record_fingerprint = vec![7; 3], "fingerprint"),
        (|m| m.created_unix_ms = -1, "1970"),
    ];
    for (change, hint) in changes {
        let mut hostile = sound.clone();
        change(&mut hostile);
        fs::write(&path, sealed(&hostile.encode_to_vec())).expect("written");
        let found = scene.restore(&wanted()).await;
        assert_eq!(found.manifest.as_ref(), Some(&older));
        let [Unusable::Unreadable { problem }] = reasons(&found)[..] else { panic!("{found:?}") };
        assert!(problem.contains(hint), "{problem:?} does not say {hint:?}");
    }
}

#[tokio::test]
async fn what_newer_writers_wrote_is_understood_or_named() {
    let scene = Scene::new().await;
    scene.publish(draft(10)).await;
    let newer = scene.publish(draft(20)).await;
    let path = scene.manifest_path(&newer);
    let mut future = newer.to_proto().expect("in bounds");
    future.manifest_version = 9;
    future.min_reader_version = 3;
    fs::write(&path, sealed(&future.encode_to_vec())).expect("written");
    let found = scene.restore(&wanted()).await;
    assert_eq!(offset_of(&found), Some(10));
    assert_eq!(reasons(&found), [&Unusable::NewerLayout { found: 3, supported: 2 }]);

    // A newer writer that old readers may follow; field 2000 is unknown to them.
    future.min_reader_version = 1;
    let mut bytes = future.encode_to_vec();
    bytes.extend([0x80, 0x7d, 0x01]);
    let mut bytes = sealed(&bytes);
    bytes[12..28].copy_from_slice(&newer.upload.0);
    let checksum = crate::source::sha256(&bytes[..bytes.len() - 32]);
    let end = bytes.len() - 32;
    bytes[end..].copy_from_slice(&checksum);
    fs::write(&path, bytes).expect("written");
    assert_eq!(scene.restore(&wanted()).await.manifest, Some(newer));
}
