use nautilus_types::{LogGeneration, Offset, PartitionId};
use proptest::prelude::*;

use super::*;

const LOG: LogIdentity = LogIdentity { cluster_id: [7; 16], generation: LogGeneration(1) };

fn key() -> TokenKey {
    TokenKey::generate().expect("randomness")
}

#[test]
fn tokens_open_for_their_kind_and_key_only() {
    let (ours, theirs) = (key(), key());
    let token = ours.seal(TokenKind::Page, b"after me").expect("sealed");
    assert_eq!(ours.open(TokenKind::Page, &token).expect("opens"), b"after me");
    assert_eq!(ours.open(TokenKind::Consistency, &token), Err(TokenError::Forged));
    assert_eq!(theirs.open(TokenKind::Page, &token), Err(TokenError::Forged));
    for bad in ["", "a", "####", &token[1..], &format!("{token}="), &"A".repeat(100_000)] {
        assert_eq!(ours.open(TokenKind::Page, bad), Err(TokenError::Forged), "{bad:.20}");
    }
}

#[test]
fn content_is_bounded_and_tokens_differ() {
    let key = key();
    let large = vec![0; TOKEN_CONTENT_BYTES_MAX];
    let token = key.seal(TokenKind::Page, &large).expect("at the bound");
    assert_eq!(key.open(TokenKind::Page, &token), Ok(large.clone()));
    let over = [large, vec![0]].concat();
    assert_eq!(
        key.seal(TokenKind::Page, &over),
        Err(TokenError::TooLarge { bytes: TOKEN_CONTENT_BYTES_MAX + 1 })
    );
    // The same content twice: nobody can tell that from the tokens.
    let twice = [key.seal(TokenKind::Page, b"x"), key.seal(TokenKind::Page, b"x")];
    assert_ne!(twice[0], twice[1]);
}

#[test]
fn the_largest_consistency_token_fits() {
    let key = key();
    let mut token = ConsistencyToken::new();
    for partition in 0..256 {
        assert!(token.require(PartitionId(u32::MAX - partition), Offset(u64::MAX)));
    }
    assert!(!token.require(PartitionId(0), Offset(1)));
    assert!(token.require(PartitionId(u32::MAX), Offset(1)));
    let sealed = token.seal(&key, &LOG).expect("sealed");
    assert_eq!(ConsistencyToken::open(&key, &LOG, &sealed), Ok(token));
}

/// Clients keep tokens over upgrades: one that version 0.1.0 gave out opens for ever.
#[test]
fn an_old_token_still_opens() {
    let key = TokenKey::from_bytes(&[7; KEY_BYTES]).expect("a key");
    let token =
        "BOiQNRFQKqdZLRoIdcCXmxTHyA6lCHEziaoYhPkgg84xEYckpe9Q59UrgmhXH2zg1MCWRRnrSVToCfuQKW1a2g";
    let mut expected = ConsistencyToken::new();
    expected.require(PartitionId(3), Offset(300));
    expected.require(PartitionId(70_000), Offset(1 << 40));
    assert_eq!(ConsistencyToken::open(&key, &LOG, token), Ok(expected));
}

#[test]
fn tokens_of_another_log_are_foreign() {
    let key = key();
    let mut token = ConsistencyToken::new();
    token.require(PartitionId(3), Offset(9));
    let sealed = token.seal(&key, &LOG).expect("sealed");
    for other in [
        LogIdentity { cluster_id: [8; 16], ..LOG },
        LogIdentity { generation: LogGeneration(2), ..LOG },
    ] {
        let error = ConsistencyToken::open(&key, &other, &sealed).expect_err("foreign");
        assert_eq!((error, error.class()), (TokenError::Foreign, Class::Invalid));
    }
}

#[test]
fn merging_keeps_the_higher_offset() {
    let of = |offsets: &[(u32, u64)]| {
        let mut token = ConsistencyToken::new();
        for &(partition, offset) in offsets {
            token.require(PartitionId(partition), Offset(offset));
        }
        token
    };
    let mut token = of(&[(1, 5), (2, 7)]);
    assert!(token.merge(&of(&[(2, 6), (1, 9), (4, 0)])));
    assert_eq!(token, of(&[(1, 9), (2, 7), (4, 0)]));
    assert_eq!(token.of(PartitionId(3)), Offset(0));
}

#[test]
fn the_key_file_is_made_once_and_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().expect("temporary folder");
    let path = dir.path().join("keys/token.key");
    let token = TokenKey::load_or_create(&path)
        .expect("makes")
        .seal(TokenKind::Page, b"x")
        .expect("sealed");
    let again = TokenKey::load_or_create(&path).expect("reads");
    assert_eq!(again.open(TokenKind::Page, &token).expect("opens"), b"x");
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o640).expect("may");
    assert!(matches!(TokenKey::load_or_create(&path), Err(KeyError::TooOpen { mode: 0o640, .. })));
    mode(0o600).expect("may");
    std::fs::write(&path, "not a key").expect("may");
    let error = TokenKey::load_or_create(&path).expect_err("malformed");
    assert_eq!(error.class(), Class::Corrupt);
}

proptest! {
    #[test]
    fn a_changed_token_does_not_open(content: Vec<u8>, at: prop::sample::Index, bit in 0..6_u32) {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let key = key();
        let token = key.seal(TokenKind::Page, &content).expect("sealed");
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        let value = LETTERS.iter().position(|letter| *letter == changed[at]).expect("a letter");
        changed[at] = LETTERS[value ^ (1 << bit)];
        let changed = String::from_utf8(changed).expect("ASCII");
        prop_assert_eq!(key.open(TokenKind::Page, &changed), Err(TokenError::Forged));
    }

    #[test]
    fn no_text_opens_or_panics(text: String) {
        prop_assert_eq!(key().open(TokenKind::Page, &text), Err(TokenError::Forged));
    }
}
