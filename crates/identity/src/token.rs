//! Opaque tokens: what a client keeps for us and must neither read nor make.
//!
//! ```text
//! token = base64url( nonce (12) | AES-256-GCM-SIV( content ) | tag (16) )     additional data: kind
//! ```
//!
//! Sealed with RFC 8452, which stays safe when a random nonce should ever repeat: a token goes out
//! with every answer, for as long as the key lives.

mod consistency;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nautilus_types::Class;

use crate::KeyError;

pub use consistency::{ConsistencyToken, LogIdentity};

/// Length of a key: AES-256.
pub(crate) const KEY_BYTES: usize = 32;
/// Most content a token holds, in bytes: 256 partitions with their offsets, or a document id with
/// its namespace, take less.
pub const TOKEN_CONTENT_BYTES_MAX: usize = 6 * 1024;
/// Longest token, in characters: above what the content's bound gives in base64.
const TEXT_BYTES_MAX: usize = 9 * 1024;

/// What a token is for. One kind never opens as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// "At least what this write did, or this answer showed."
    Consistency,
    /// "The next page of this list."
    Page,
    /// "The next page of this search."
    SearchPage,
}

impl TokenKind {
    /// Persisted in clients' hands: never changed, never reused.
    fn additional_data(self) -> &'static [u8] {
        match self {
            Self::Consistency => b"nautilus consistency token 1",
            Self::Page => b"nautilus page token 1",
            Self::SearchPage => b"nautilus search page token 1",
        }
    }
}

/// Why a token is not taken, or was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this cluster and kind, or changed on its way.
    #[error("the token is not one that was given out here")]
    Forged,
    /// Given out by another cluster, or before this one's log began anew.
    #[error("the token is of another cluster or of an earlier log")]
    Foreign,
    /// The content is over [`TOKEN_CONTENT_BYTES_MAX`].
    #[error("a token cannot hold {bytes} bytes")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The cipher failed or the system gave no randomness.
    #[error("the token could not be sealed")]
    SealFailed,
}

impl TokenError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Forged | Self::Foreign => Class::Invalid,
            Self::TooLarge { .. } | Self::SealFailed => Class::Bug,
        }
    }

    /// Stable name of the error for clients, at most 63 characters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forged => "TOKEN_FORGED",
            Self::Foreign => "TOKEN_FOREIGN",
            Self::TooLarge { .. } => "TOKEN_TOO_LARGE",
            Self::SealFailed => "TOKEN_SEAL_FAILED",
        }
    }
}

/// The cluster's key for tokens: every process that gives them out or takes them has the same.
/// Kept in a file by [`TokenKey::load_or_create`].
pub struct TokenKey {
    key: RandomizedNonceKey,
}

impl TokenKey {
    /// A new key, from the system's randomness, in memory only.
    pub fn generate() -> Result<Self, KeyError> {
        Self::from_bytes(&Self::random_bytes()?)
    }

    pub(crate) fn random_bytes() -> Result<[u8; KEY_BYTES], KeyError> {
        let mut bytes = [0; KEY_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
        Ok(bytes)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM_SIV, bytes)
            .map_err(|_| KeyError::TokenKeyMalformed)?;
        Ok(Self { key })
    }

    /// Seals `content` as a token: letters, digits, `-` and `_`.
    pub fn seal(&self, kind: TokenKind, content: &[u8]) -> Result<String, TokenError> {
        if content.len() > TOKEN_CONTENT_BYTES_MAX {
            return Err(TokenError::TooLarge { bytes: content.len() });
        }
        let mut sealed = content.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(kind.additional_data()), &mut sealed)
            .map_err(|_| TokenError::SealFailed)?;
        let mut token = nonce.as_ref().to_vec();
        token.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(token))
    }

    /// The content of a token that [`TokenKey::seal`] made for the same kind.
    pub fn open(&self, kind: TokenKind, token: &str) -> Result<Vec<u8>, TokenError> {
        if token.len() > TEXT_BYTES_MAX {
            return Err(TokenError::Forged);
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| TokenError::Forged)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(TokenError::Forged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| TokenError::Forged)?;
        let content = self
            .key
            .open_in_place(nonce, Aad::from(kind.additional_data()), sealed)
            .map_err(|_| TokenError::Forged)?;
        Ok(content.to_vec())
    }
}

/// Shows nothing of the key.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}
