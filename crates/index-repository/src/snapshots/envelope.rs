//! The bytes of a manifest object: versioned, with a checksum. `docs/formats/snapshot.md`.
//!
//! ```text
//! 0   8  magic "NAUTSNAP"
//! 8   4  version of this envelope, 1         (little endian)
//! 12  16 upload id
//! 28  4  length of the manifest               (little endian)
//! 32  n  nautilus.snapshot.v1.Manifest
//! +n  32 SHA-256 of everything before
//! ```

use bytes::Bytes;
use nautilus_proto::snapshot::v1 as proto;
use prost::Message as _;

use super::{MANIFEST_VERSION, Manifest, Unusable, UploadId};
use crate::RepositoryError;
use crate::source::sha256;

const MAGIC: &[u8; 8] = b"NAUTSNAP";
const VERSION: u32 = 1;

/// Largest manifest object, in bytes: above that of 10,000 files and the most scattered slots.
pub(super) const ENVELOPE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The bytes to store; [`RepositoryError::Invalid`] for a manifest out of bounds.
pub(super) fn encode(manifest: &Manifest) -> Result<Bytes, RepositoryError> {
    let payload = manifest.to_proto()?.encode_to_vec();
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(64));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&manifest.upload.0);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&payload);
    let checksum = sha256(&bytes);
    bytes.extend_from_slice(&checksum);
    Ok(bytes.into())
}

/// The manifest in any bytes, or why there is none to be used.
pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, Unusable> {
    let (magic, rest) = bytes.split_first_chunk().ok_or_else(cut)?;
    if magic != MAGIC {
        return Err(unreadable("it is not a manifest"));
    }
    let (version, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let version = u32::from_le_bytes(*version);
    if version > VERSION {
        return Err(Unusable::NewerLayout { found: version, supported: VERSION });
    }
    if version != VERSION {
        return Err(unreadable("there is no such version"));
    }
    let (head, checksum) = bytes.split_last_chunk().ok_or_else(cut)?;
    if sha256(head) != *checksum {
        return Err(unreadable("its checksum does not match"));
    }
    let (upload, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (length, rest) = rest.split_first_chunk().ok_or_else(cut)?;
    let (payload, _) = rest.split_last_chunk::<32>().ok_or_else(cut)?;
    if u32::try_from(payload.len()) != Ok(u32::from_le_bytes(*length)) {
        return Err(unreadable("its length does not match"));
    }
    let manifest = proto::Manifest::decode(payload).map_err(unreadable)?;
    if manifest.min_reader_version > MANIFEST_VERSION {
        let found = manifest.min_reader_version;
        return Err(Unusable::NewerLayout { found, supported: MANIFEST_VERSION });
    }
    Manifest::from_proto(manifest, UploadId(*upload)).map_err(unreadable)
}

fn cut() -> Unusable {
    unreadable("it is cut short")
}

fn unreadable(problem: impl std::fmt::Display) -> Unusable {
    Unusable::Unreadable { problem: problem.to_string() }
}
