//! Ed25519 keys: pairs, public parts, and sets of trusted ones.

mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use nautilus_types::Class;

/// Length of a raw Ed25519 public key (RFC 8032).
const PUBLIC_KEY_BYTES: usize = 32;
/// What stands before the raw key in its `SubjectPublicKeyInfo` (RFC 8410, section 10.1).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Label of a public key in PEM (RFC 7468).
const PUBLIC_LABEL: &str = "PUBLIC KEY";

/// A key could not be made, read or stored.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Reading or writing a key file failed.
    #[error("{action} {path}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others than its owner can read or change a private key.
    #[error("{path} has mode {mode:o}, a private key must be 600")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The text is not an Ed25519 key in PEM.
    #[error("{what} is not an Ed25519 key in PEM")]
    Malformed {
        /// Which key: "private key" or "public key".
        what: &'static str,
    },
    /// The file does not hold a token key.
    #[error("the token key is not 32 bytes in PEM with its label")]
    TokenKeyMalformed,
    /// The system gave no randomness.
    #[error("no randomness to make a key from")]
    NoRandomness,
}

impl KeyError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Io { .. } | Self::NoRandomness => Class::Unavailable,
            Self::TooOpen { .. } => Class::Precondition,
            Self::Malformed { .. } | Self::TokenKeyMalformed => Class::Corrupt,
        }
    }
}

/// Name of a key: the first 8 bytes of SHA-256 of the raw public key. As text 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) [u8; KeyId::BYTES]);

impl KeyId {
    pub(crate) const BYTES: usize = 8;
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The public part of a key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_BYTES]);

impl PublicKey {
    /// Reads a `PUBLIC KEY` in PEM, as `openssl pkey -pubout` writes it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { what: "public key" };
        let pem = pem::parse(text).map_err(|_| malformed())?;
        if pem.tag() != PUBLIC_LABEL {
            return Err(malformed());
        }
        let raw = pem.contents().strip_prefix(&SPKI_PREFIX).ok_or_else(malformed)?;
        raw.try_into().map(Self).map_err(|_| malformed())
    }

    /// As PEM; what [`PublicKey::from_pem`] reads.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let contents = [&SPKI_PREFIX[..], &self.0].concat();
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new(PUBLIC_LABEL, contents), config)
    }

    /// The key's name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let hash = digest::digest(&digest::SHA256, &self.0);
        let mut id = [0; KeyId::BYTES];
        id.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        KeyId(id)
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether `signature` is this key's for `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// A private key with its public part. Kept in a file by [`KeyPair::open`].
pub struct KeyPair {
    pair: Ed25519KeyPair,
    /// For the token library, which takes this form only.
    pkcs8: Vec<u8>,
    public: PublicKey,
}

impl KeyPair {
    /// A new pair, from the system's randomness, in memory only.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError::NoRandomness)?;
        // Version 1 is the form that openssl reads and writes too.
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| KeyError::NoRandomness)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed { what: "private key" };
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| malformed())?;
        let raw = pair.public_key().as_ref().try_into().map_err(|_| malformed())?;
        Ok(Self { pair, pkcs8: der.to_vec(), public: PublicKey(raw) })
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs `message` (RFC 8032): 64 bytes, the same for the same message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }
}

/// Shows the name of the key, never the key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPair(")?;
        fmt::Display::fmt(&self.public.id(), f)?;
        f.write_char(')')
    }
}

/// The public keys that are trusted; several while one replaces another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(BTreeMap<KeyId, PublicKey>);

impl KeySet {
    /// The trusted key of that name.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&PublicKey> {
        self.0.get(&id)
    }

    /// The trusted keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = &PublicKey> {
        self.0.values()
    }
}

impl FromIterator<PublicKey> for KeySet {
    fn from_iter<I: IntoIterator<Item = PublicKey>>(keys: I) -> Self {
        Self(keys.into_iter().map(|key| (key.id(), key)).collect())
    }
}

impl From<PublicKey> for KeySet {
    fn from(key: PublicKey) -> Self {
        Self::from_iter([key])
    }
}

/// The private key of RFC 8410, section 10.3: for golden bytes, known to everybody.
#[cfg(test)]
pub(crate) fn known_pair() -> KeyPair {
    let text = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    KeyPair::from_pkcs8(pem::parse(text).expect("pem").contents()).expect("key")
}
