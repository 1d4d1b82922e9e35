//! Grants: what is signed comes back, and nothing else does.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::KeyPair;

const NOW: u64 = 1_700_000_000_000;

struct Party {
    signer: GrantSigner,
    verifier: GrantVerifier,
}

static PARTY: LazyLock<Party> = LazyLock::new(|| {
    let signer = GrantSigner::new(KeyPair::generate().expect("made"));
    let verifier = GrantVerifier::new(KeySet::from(signer.public_key()));
    Party { signer, verifier }
});

fn name(bytes: impl AsRef<[u8]>) -> NamespaceName {
    NamespaceName::new(bytes).expect("valid")
}

fn many(count: usize) -> Vec<(NamespaceName, Incarnation)> {
    (0..count).map(|n| (name(n.to_be_bytes()), Incarnation(7))).collect()
}

fn grant(namespaces: Vec<(NamespaceName, Incarnation)>) -> Grant {
    Grant::new("ada", namespaces, Purpose::Search, 42, NOW + 5_000).expect("valid")
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let name = proptest::collection::vec(any::<u8>(), 1..40);
    let purpose = prop_oneof![
        Just(Purpose::Search),
        Just(Purpose::Fetch),
        Just(Purpose::List),
        Just(Purpose::Status)
    ];
    let namespaces = proptest::collection::btree_map(name, any::<u64>(), 0..12);
    (any::<u64>(), namespaces, purpose, 1..=5_000_u64).prop_map(|(hash, lives, purpose, ms)| {
        let lives = lives.into_iter().map(|(n, life)| (self::name(n), Incarnation(life)));
        Grant::new("Zoë", lives, purpose, hash, NOW + ms).expect("valid")
    })
}

proptest! {
    #[test]
    fn what_is_signed_comes_back(grant in any_grant()) {
        let bytes = PARTY.signer.sign(&grant);
        prop_assert_eq!(&PARTY.signer.sign(&grant), &bytes, "deterministic");
        prop_assert_eq!(PARTY.verifier.verify(&bytes, NOW), Ok(grant));
    }

    #[test]
    fn a_changed_byte_is_refused(
        grant in any_grant(),
        at in any::<prop::sample::Index>(),
        change in 1..=255_u8,
    ) {
        let mut bytes = PARTY.signer.sign(&grant);
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(PARTY.verifier.verify(&bytes, NOW).is_err());
    }

    #[test]
    fn cut_and_lengthened_grants_are_refused(
        grant in any_grant(),
        at in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        let mut bytes = PARTY.signer.sign(&grant);
        prop_assert!(PARTY.verifier.verify(&bytes[..at.index(bytes.len())], NOW).is_err());
        bytes.extend(tail);
        prop_assert!(PARTY.verifier.verify(&bytes, NOW).is_err());
    }

    #[test]
    fn random_bytes_are_refused(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        with_head in any::<bool>(),
        is_signed in any::<bool>(),
    ) {
        // Bytes as they come, behind a right head, and even signed: the payload decoder sees those.
        let bytes = match (with_head, is_signed) {
            (false, false) => bytes,
            (true, false) => [&b"NGRT\x01"[..], &PARTY.signer.public_key().id().0, &bytes].concat(),
            (_, true) => codec::sign_payload(1, &bytes, &PARTY.signer.pair),
        };
        prop_assert!(PARTY.verifier.verify(&bytes, NOW).is_err());
    }

    #[test]
    fn permits_what_it_holds_and_nothing_else(grant in any_grant(), other in any::<u64>()) {
        for (namespace, incarnation) in grant.namespaces() {
            prop_assert!(grant.permits(namespace, incarnation));
            let other = Incarnation(other);
            prop_assert_eq!(grant.permits(namespace, other), other == incarnation);
            let longer = name([namespace.as_bytes(), b"\0"].concat());
            let held = grant.namespaces().any(|held| held == (&longer, incarnation));
            prop_assert_eq!(grant.permits(&longer, incarnation), held);
        }
    }
}

#[test]
fn every_single_byte_is_protected() {
    let bytes = PARTY.signer.sign(&grant(many(3)));
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(PARTY.verifier.verify(&changed, NOW).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn lives_until_its_expiry_and_no_longer_than_allowed() {
    let bytes = PARTY.signer.sign(&grant(many(1)));
    let verify = |now| PARTY.verifier.verify(&bytes, now).map(|_| ());
    assert_eq!(verify(NOW + 4_999), Ok(()));
    assert_eq!(verify(NOW + 5_000), Err(GrantError::Expired));
    assert_eq!(verify(u64::MAX), Err(GrantError::Expired));
    assert_eq!(verify(NOW - GRANT_CLOCK_SKEW_MS_MAX), Ok(()));
    let too_long = GrantError::LifetimeTooLong { lifetime_ms_max: GRANT_LIFETIME_MS_MAX };
    assert_eq!(verify(NOW - GRANT_CLOCK_SKEW_MS_MAX - 1), Err(too_long));
    assert_eq!(verify(0), Err(too_long));
    let forever = Grant::new("ada", many(1), Purpose::Search, 0, u64::MAX).expect("valid");
    assert_eq!(PARTY.verifier.verify(&PARTY.signer.sign(&forever), NOW), Err(too_long));
}

#[test]
fn several_keys_are_trusted_during_a_rotation() {
    let (old, new, other) = (pair(), pair(), pair());
    let bytes = |pair: KeyPair| GrantSigner::new(pair).sign(&grant(many(2)));
    let verifier = GrantVerifier::new([old.public(), new.public()].into_iter().collect());
    let none = GrantVerifier::new(KeySet::default());
    for pair in [old, new] {
        let bytes = bytes(pair);
        assert!(verifier.verify(&bytes, NOW).is_ok());
        assert_eq!(none.verify(&bytes, NOW), Err(GrantError::KeyUnknown));
    }
    assert_eq!(verifier.verify(&bytes(other), NOW), Err(GrantError::KeyUnknown));
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("made")
}

/// A stranger who names a trusted key, and a key that signs for another use.
#[test]
fn signatures_of_others_and_for_others_are_refused() {
    let payload = b"\x0a\x03ada\x18\x01";
    let stranger = pair();
    let mut bytes = codec::sign_payload(1, payload, &stranger);
    bytes[5..13].copy_from_slice(&PARTY.signer.public_key().id().0);
    assert_eq!(PARTY.verifier.verify(&bytes, NOW), Err(GrantError::SignatureWrong));

    let mut bytes = codec::sign_payload(1, payload, &PARTY.signer.pair);
    let without_context = [&bytes[..13], payload].concat();
    bytes[13..77].copy_from_slice(&PARTY.signer.pair.sign(&without_context));
    assert_eq!(PARTY.verifier.verify(&bytes, NOW), Err(GrantError::SignatureWrong));
}

/// Bytes that are signed rightly and are still no grant: a signer of ours does not make them.
#[test]
fn signed_nonsense_is_refused() {
    let verify = |version, payload: &[u8]| {
        PARTY.verifier.verify(&codec::sign_payload(version, payload, &PARTY.signer.pair), NOW)
    };
    let tail = b"\x18\x01\x21\x2a\0\0\0\0\0\0\0\x28\x88\xf7\x95\xff\xbc\x31";
    let with = |namespaces: &[u8]| [&b"\x0a\x03ada"[..], namespaces, tail].concat();
    let sound =
        verify(1, &with(b"\x12\x05\x0a\x01a\x10\x07")).expect("a sound one, for comparison");
    assert_eq!(sound.user(), "ada");
    assert!(sound.permits(&name("a"), Incarnation(7)));

    let unknown = GrantError::VersionUnknown { found: 2, supported: 1 };
    assert_eq!(verify(2, &with(b"")), Err(unknown));
    let malformed: [(&str, Vec<u8>); 7] = [
        ("unsorted", with(b"\x12\x05\x0a\x01b\x10\x07\x12\x05\x0a\x01a\x10\x07")),
        ("twice", with(b"\x12\x05\x0a\x01a\x10\x07\x12\x05\x0a\x01a\x10\x07")),
        ("two lives", with(b"\x12\x05\x0a\x01a\x10\x07\x12\x05\x0a\x01a\x10\x08")),
        ("empty name", with(b"\x12\x02\x10\x07")),
        ("unknown field", [with(b""), b"\x30\x01".to_vec()].concat()),
        ("written otherwise", [b"\x28\x01".to_vec(), with(b"")].concat()),
        ("no purpose", b"\x0a\x03ada".to_vec()),
    ];
    for (what, payload) in malformed {
        assert_eq!(verify(1, &payload), Err(GrantError::Malformed), "{what}");
    }
    assert_eq!(verify(1, tail), Err(GrantError::UserInvalid));
    let crowd: Vec<u8> = (0..=Limits::GRANT_NAMESPACES_MAX)
        .flat_map(|n| {
            let n = u16::try_from(n).expect("small").to_be_bytes();
            [0x12, 0x06, 0x0a, 0x02, n[0], n[1], 0x10, 0x07]
        })
        .collect();
    let refused = verify(1, &with(&crowd));
    assert!(matches!(refused, Err(GrantError::TooManyNamespaces { count: 1025, .. })));
}

#[test]
fn bounds_hold_when_it_is_made() {
    let most = Limits::GRANT_NAMESPACES_MAX;
    let longest = (0..most).map(|n| {
        let mut bytes = [0xff; Limits::NAMESPACE_BYTES_MAX];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        (name(bytes), Incarnation(u64::MAX))
    });
    let largest = Grant::new("x".repeat(128), longest, Purpose::List, u64::MAX, NOW + 1);
    let largest = largest.expect("allowed");
    assert_eq!(PARTY.verifier.verify(&PARTY.signer.sign(&largest), NOW), Ok(largest));

    let make = |user: &str, namespaces| Grant::new(user, namespaces, Purpose::Fetch, 0, NOW);
    let refused = make("ada", many(most + 1));
    assert!(matches!(refused, Err(GrantError::TooManyNamespaces { .. })));
    assert_eq!(make("", many(1)), Err(GrantError::UserInvalid));
    assert_eq!(make(&"x".repeat(129), many(1)), Err(GrantError::UserInvalid));
    let lives = vec![(name("a"), Incarnation(1)), (name("a"), Incarnation(2))];
    assert_eq!(make("ada", lives), Err(GrantError::TwoLives));
    let twice = vec![(name("a"), Incarnation(1)), (name("a"), Incarnation(1))];
    assert_eq!(make("ada", twice).expect("valid").namespaces().len(), 1);
    assert_eq!(PARTY.verifier.verify(b"", NOW), Err(GrantError::Missing));
}

#[test]
fn covers_its_own_call_only() {
    let grant = grant(vec![(name("a"), Incarnation(1)), (name("b"), Incarnation(2))]);
    assert_eq!(grant.check_call(Purpose::Search, 42), Ok(()));
    assert_eq!(grant.check_call(Purpose::Fetch, 42), Err(GrantError::PurposeWrong));
    assert_eq!(grant.check_call(Purpose::Search, 43), Err(GrantError::QueryWrong));
    let (a, b, ab) = (name("a"), name("b"), name("ab"));
    let check = |asked: &[(&NamespaceName, Incarnation)]| grant.check_namespaces(asked.to_vec());
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[(&b, Incarnation(2)), (&a, Incarnation(1))]), Ok(()));
    for other in [(&ab, Incarnation(1)), (&a, Incarnation(2)), (&b, Incarnation(1))] {
        let refused = check(&[(&a, Incarnation(1)), other]);
        assert_eq!(refused, Err(GrantError::NamespaceNotCovered));
    }
    assert_eq!(GrantError::NamespaceNotCovered.class(), Class::Denied);
    let empty = Grant::new("ada", [], Purpose::Search, 42, NOW + 1).expect("valid");
    assert!(!empty.permits(&a, Incarnation(1)));
}

#[test]
fn query_hashes_are_those_of_sha_256() {
    // FIPS 180-4's "abc": ba7816bf 8f01cfea …
    assert_eq!(query_hash(b"abc"), 0xba78_16bf_8f01_cfea);
    assert_ne!(query_hash(b""), query_hash(b"\0"));
}

/// The bytes of version 1, so that a change of the layout does not pass unseen.
#[test]
fn golden_bytes_hold() {
    let pair = crate::keys::known_pair();
    let grant = Grant::new(
        "ada",
        [(name(b"n\0"), Incarnation(300)), (name("a"), Incarnation(1))],
        Purpose::Fetch,
        0x0102_0304_0506_0708,
        1_700_000_005_000,
    );
    let bytes = GrantSigner::new(pair).sign(&grant.expect("valid"));
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, include_str!("golden_v1.hex").trim());
}
