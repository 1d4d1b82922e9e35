//! Bytes of a signed grant.
//!
//! ```text
//! offset  bytes  what
//! 0       4      magic "NGRT"
//! 4       1      version, 1
//! 5       8      key id
//! 13      64     Ed25519 signature over: context string ‖ bytes 0..13 ‖ payload
//! 77      …      payload: protobuf message GrantPayload
//! ```
//!
//! Everything is signed or is the signature, so no byte can change. The context string keeps a
//! signature made for anything else from passing as one of a grant.

use nautilus_types::{Incarnation, Limits, NamespaceName};
use prost::Message;

use super::{Grant, GrantError, Purpose};
use crate::{KeyId, KeyPair, KeySet};

const MAGIC: [u8; 4] = *b"NGRT";
const VERSION: u8 = 1;
const CONTEXT: &[u8] = b"nautilus grant v1\0";
const SIGNATURE_BYTES: usize = 64;

/// Longest signed grant: the most namespaces with the longest names and numbers, and the rest.
const BYTES_MAX: usize = 1024 + Limits::GRANT_NAMESPACES_MAX * (Limits::NAMESPACE_BYTES_MAX + 32);

/// Fields only get added; a reader of this version refuses a grant with fields it does not know,
/// because an unknown field may be a restriction.
#[derive(Clone, PartialEq, Eq, Message)]
struct GrantPayload {
    #[prost(string, tag = "1")]
    user: String,
    /// Strictly ascending by name.
    #[prost(message, repeated, tag = "2")]
    namespaces: Vec<NamespaceLife>,
    /// 1 search, 2 fetch, 3 list, 4 status.
    #[prost(uint32, tag = "3")]
    purpose: u32,
    #[prost(fixed64, tag = "4")]
    query_hash: u64,
    #[prost(uint64, tag = "5")]
    expires_at_unix_ms: u64,
}

#[derive(Clone, PartialEq, Eq, Message)]
struct NamespaceLife {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(uint64, tag = "2")]
    incarnation: u64,
}

pub(super) fn encode(grant: &Grant, pair: &KeyPair) -> Vec<u8> {
    let payload = GrantPayload {
        user: grant.user.clone(),
        namespaces: grant
            .namespaces()
            .map(|(name, incarnation)| NamespaceLife {
                name: name.as_bytes().to_vec(),
                incarnation: incarnation.0,
            })
            .collect(),
        purpose: purpose_number(grant.purpose),
        query_hash: grant.query_hash,
        expires_at_unix_ms: grant.expires_at_unix_ms,
    };
    sign_payload(VERSION, &payload.encode_to_vec(), pair)
}

/// Puts head and signature before a payload.
pub(super) fn sign_payload(version: u8, payload: &[u8], pair: &KeyPair) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(version);
    bytes.extend_from_slice(&pair.public().id().0);
    let signature = pair.sign(&signed_message(&bytes, payload));
    bytes.extend_from_slice(&signature);
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn decode(bytes: &[u8], keys: &KeySet) -> Result<Grant, GrantError> {
    if bytes.is_empty() {
        return Err(GrantError::Missing);
    }
    if bytes.len() > BYTES_MAX {
        return Err(GrantError::Malformed);
    }
    let rest = bytes.strip_prefix(&MAGIC).ok_or(GrantError::Malformed)?;
    let (&version, rest) = rest.split_first().ok_or(GrantError::Malformed)?;
    if version != VERSION {
        return Err(GrantError::VersionUnknown { found: version, supported: VERSION });
    }
    let (&key_id, rest) = rest.split_first_chunk().ok_or(GrantError::Malformed)?;
    let (signature, payload) =
        rest.split_first_chunk::<SIGNATURE_BYTES>().ok_or(GrantError::Malformed)?;
    let head = [&MAGIC[..], &[version], &key_id].concat();
    let key = keys.get(KeyId(key_id)).ok_or(GrantError::KeyUnknown)?;
    if !key.verifies(&signed_message(&head, payload), signature) {
        return Err(GrantError::SignatureWrong);
    }
    // Only now is anything parsed that a stranger could have written.
    decode_payload(payload)
}

fn decode_payload(bytes: &[u8]) -> Result<Grant, GrantError> {
    let payload = GrantPayload::decode(bytes).map_err(|_| GrantError::Malformed)?;
    // The encoding is deterministic, so this refuses unknown fields and any second way to write the same.
    if payload.encode_to_vec() != bytes {
        return Err(GrantError::Malformed);
    }
    if !payload.namespaces.is_sorted_by(|a, b| a.name < b.name) {
        return Err(GrantError::Malformed);
    }
    let purpose = purpose_of(payload.purpose).ok_or(GrantError::Malformed)?;
    let mut namespaces = Vec::with_capacity(payload.namespaces.len());
    for life in payload.namespaces {
        let name = NamespaceName::new(life.name).map_err(|_| GrantError::Malformed)?;
        namespaces.push((name, Incarnation(life.incarnation)));
    }
    let (user, hash, expires) = (payload.user, payload.query_hash, payload.expires_at_unix_ms);
    Grant::new(user, namespaces, purpose, hash, expires)
}

fn signed_message(head: &[u8], payload: &[u8]) -> Vec<u8> {
    [CONTEXT, head, payload].concat()
}

fn purpose_number(purpose: Purpose) -> u32 {
    match purpose {
        Purpose::Search => 1,
        Purpose::Fetch => 2,
        Purpose::List => 3,
        Purpose::Status => 4,
    }
}

fn purpose_of(number: u32) -> Option<Purpose> {
    match number {
        1 => Some(Purpose::Search),
        2 => Some(Purpose::Fetch),
        3 => Some(Purpose::List),
        4 => Some(Purpose::Status),
        _ => None,
    }
}
