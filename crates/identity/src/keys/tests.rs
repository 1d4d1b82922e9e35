//! Keys and their files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use nautilus_types::Class;

use super::*;

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o777
}

#[test]
fn the_first_test_vector_of_rfc_8032_holds() {
    // Section 7.1, TEST 1: the empty message.
    let public = PublicKey([
        0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07,
        0x3a, 0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07,
        0x51, 0x1a,
    ]);
    let signature = [
        0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80, 0x6e, 0x82,
        0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73, 0xe0, 0x65, 0x22, 0x49,
        0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b, 0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c,
        0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5, 0xf0, 0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43,
        0x8e, 0x7a, 0x10, 0x0b,
    ];
    assert!(public.verifies(b"", &signature));
    assert!(!public.verifies(b"x", &signature));
    assert_eq!(PublicKey::from_pem(&public.to_pem()).expect("parses"), public);
}

#[test]
fn reads_keys_that_openssl_made() {
    // The keys of RFC 8410, section 10.
    let public = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let private = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("k.key");
    fs::write(&path, private).expect("writes");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    let pair = KeyPair::open(dir.path(), "k").expect("opens");
    assert_eq!(pair.public(), PublicKey::from_pem(public).expect("parses"));
    assert_eq!(fs::read_to_string(dir.path().join("k.pub")).expect("written"), public);
}

#[test]
fn a_pair_is_made_once_and_is_private() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let keys = dir.path().join("state/keys");
    let pair = KeyPair::open(&keys, "grants").expect("makes");
    let again = KeyPair::open(&keys, "grants").expect("reads");
    assert_eq!(pair.public(), again.public());
    assert_eq!(PublicKey::load(&keys, "grants").expect("reads"), pair.public());
    assert_eq!((mode(&keys.join("grants.key")), mode(&keys.join("grants.pub"))), (0o600, 0o644));
    assert_eq!(fs::read_dir(&keys).expect("lists").count(), 2, "nothing is left over");
    let message = b"message";
    assert!(again.public().verifies(message, &pair.sign(message)));
    assert!(!format!("{pair:?}").contains("PRIVATE"));
}

#[test]
fn racing_processes_get_the_same_pair() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let ids: Vec<KeyId> = std::thread::scope(|scope| {
        let open = || KeyPair::open(dir.path(), "k").expect("opens").public().id();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("joins")).collect()
    });
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(PublicKey::load(dir.path(), "k").expect("reads").id(), ids[0]);
}

#[test]
fn open_files_and_other_contents_are_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    KeyPair::open(dir.path(), "k").expect("makes");
    let path = dir.path().join("k.key");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("sets");
    let error = KeyPair::open(dir.path(), "k").expect_err("must fail");
    assert!(matches!(error, KeyError::TooOpen { mode: 0o640, .. }), "{error}");
    assert_eq!(error.class(), Class::Precondition);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("sets");
    let public = fs::read_to_string(dir.path().join("k.pub")).expect("reads");
    for text in ["", "hello", public.as_str()] {
        fs::write(&path, text).expect("writes");
        let error = KeyPair::open(dir.path(), "k").expect_err("must fail");
        assert_eq!(error.class(), Class::Corrupt);
    }
    for text in ["", "hello", &public.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu")] {
        assert!(PublicKey::from_pem(text).is_err());
    }
}
