//! The grant: what one request may touch, signed by whoever asked the catalog.
//!
//! A root passes it on and cannot widen it; every leaf verifies it for itself. It lives for seconds.

mod codec;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use nautilus_types::{Class, Incarnation, Limits, NamespaceName};

use crate::{KeyPair, KeySet};

/// Longest life of a grant, in milliseconds: the hard cap of a request's time budget.
pub const GRANT_LIFETIME_MS_MAX: u64 = 5_000;
/// By how many milliseconds the signer's clock may be ahead of the verifier's. A signer's clock that
/// is behind shortens the grant's life instead.
pub const GRANT_CLOCK_SKEW_MS_MAX: u64 = 2_000;

/// What a grant is good for: one kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Search, with the statistics ranking needs.
    Search,
    /// Read stored documents by id.
    Fetch,
    /// List document ids.
    List,
    /// Look at the state of leaves and partitions; for operators, without any namespace.
    Status,
}

/// What one request may do, for whom, on what, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    user: String,
    /// One life per name: two lives of a name are never both readable.
    namespaces: BTreeMap<NamespaceName, Incarnation>,
    purpose: Purpose,
    query_hash: u64,
    expires_at_unix_ms: u64,
}

/// A grant was not made, not accepted, or does not cover the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There is no grant.
    #[error("no grant was given")]
    Missing,
    /// The bytes are not a grant, or not one that a signer of ours makes.
    #[error("the grant is malformed")]
    Malformed,
    /// Made by another version of this program.
    #[error("the grant has version {found}, this program reads {supported}")]
    VersionUnknown {
        /// The version in it.
        found: u8,
        /// The only version that can be read.
        supported: u8,
    },
    /// Signed by a key that is not trusted.
    #[error("the grant's key is not known")]
    KeyUnknown,
    /// The signature is not that key's: the grant was changed on its way.
    #[error("the grant's signature is wrong")]
    SignatureWrong,
    /// Its time is over.
    #[error("the grant has expired")]
    Expired,
    /// Valid for longer than is allowed.
    #[error("the grant's lifetime is over {lifetime_ms_max} ms")]
    LifetimeTooLong {
        /// The bound in milliseconds.
        lifetime_ms_max: u64,
    },
    /// More namespaces than are allowed.
    #[error("the grant holds {count} namespaces, at most {count_max} are allowed")]
    TooManyNamespaces {
        /// How many.
        count: usize,
        /// The bound.
        count_max: usize,
    },
    /// The same name twice, with different incarnations.
    #[error("the grant names two lives of one namespace")]
    TwoLives,
    /// The user's name is empty or too long.
    #[error("the grant's user is not a user id")]
    UserInvalid,
    /// Made for another kind of call.
    #[error("the grant is for another purpose")]
    PurposeWrong,
    /// Made for another query.
    #[error("the grant is for another query")]
    QueryWrong,
    /// Does not name that life of that namespace.
    #[error("the grant does not cover a namespace of the request")]
    NamespaceNotCovered,
}

impl GrantError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Denied
    }

    /// Stable name of the error for clients, at most 63 characters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "GRANT_MISSING",
            Self::Malformed => "GRANT_MALFORMED",
            Self::VersionUnknown { .. } => "GRANT_VERSION_UNKNOWN",
            Self::KeyUnknown => "GRANT_KEY_UNKNOWN",
            Self::SignatureWrong => "GRANT_SIGNATURE_WRONG",
            Self::Expired => "GRANT_EXPIRED",
            Self::LifetimeTooLong { .. } => "GRANT_LIFETIME_TOO_LONG",
            Self::TooManyNamespaces { .. } => "GRANT_TOO_MANY_NAMESPACES",
            Self::TwoLives => "GRANT_TWO_LIVES",
            Self::UserInvalid => "GRANT_USER_INVALID",
            Self::PurposeWrong => "GRANT_PURPOSE_WRONG",
            Self::QueryWrong => "GRANT_QUERY_WRONG",
            Self::NamespaceNotCovered => "GRANT_NAMESPACE_NOT_COVERED",
        }
    }
}

impl Grant {
    /// A grant over `namespaces`, in any order; the same pair twice counts once. An empty one permits
    /// nothing. `query_hash` is [`query_hash`] of the request's query, or 0 where there is none.
    pub fn new(
        user: impl Into<String>,
        namespaces: impl IntoIterator<Item = (NamespaceName, Incarnation)>,
        purpose: Purpose,
        query_hash: u64,
        expires_at_unix_ms: u64,
    ) -> Result<Self, GrantError> {
        let user = user.into();
        if !crate::jwt::is_user_id(&user) {
            return Err(GrantError::UserInvalid);
        }
        let mut lives = BTreeMap::new();
        for (name, incarnation) in namespaces {
            let before = lives.insert(name, incarnation);
            if before.is_some_and(|before| before != incarnation) {
                return Err(GrantError::TwoLives);
            }
        }
        let (count, count_max) = (lives.len(), Limits::GRANT_NAMESPACES_MAX);
        if count > count_max {
            return Err(GrantError::TooManyNamespaces { count, count_max });
        }
        Ok(Self { user, namespaces: lives, purpose, query_hash, expires_at_unix_ms })
    }

    /// For whom.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// On what, by name.
    pub fn namespaces(&self) -> impl ExactSizeIterator<Item = (&NamespaceName, Incarnation)> {
        self.namespaces.iter().map(|(name, incarnation)| (name, *incarnation))
    }

    /// For which kind of call.
    #[must_use]
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// For which query.
    #[must_use]
    pub fn query_hash(&self) -> u64 {
        self.query_hash
    }

    /// Until when, in milliseconds since 1970.
    #[must_use]
    pub fn expires_at_unix_ms(&self) -> u64 {
        self.expires_at_unix_ms
    }

    /// Whether that life of that namespace may be read under this grant.
    #[must_use]
    pub fn permits(&self, namespace: &NamespaceName, incarnation: Incarnation) -> bool {
        self.namespaces.get(namespace) == Some(&incarnation)
    }

    /// Whether this grant was made for a call of this kind with this query. `PurposeWrong`,
    /// `QueryWrong`.
    pub fn check_call(&self, purpose: Purpose, query_hash: u64) -> Result<(), GrantError> {
        if self.purpose != purpose {
            return Err(GrantError::PurposeWrong);
        }
        if self.query_hash != query_hash {
            return Err(GrantError::QueryWrong);
        }
        Ok(())
    }

    /// Whether all of `namespaces` are covered. `NamespaceNotCovered`.
    pub fn check_namespaces<'a>(
        &self,
        namespaces: impl IntoIterator<Item = (&'a NamespaceName, Incarnation)>,
    ) -> Result<(), GrantError> {
        let mut namespaces = namespaces.into_iter();
        if namespaces.all(|(name, incarnation)| self.permits(name, incarnation)) {
            Ok(())
        } else {
            Err(GrantError::NamespaceNotCovered)
        }
    }
}

/// Names a query in a grant: the first 8 bytes, big-endian, of SHA-256 over its canonical bytes.
/// Cryptographic, because a root must not find another query of the same hash.
#[must_use]
pub fn query_hash(canonical_query: &[u8]) -> u64 {
    let hash = digest::digest(&digest::SHA256, canonical_query);
    hash.as_ref().iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// Signs grants. Held by those who ask the catalog: merger and ingest, never a root or a leaf.
#[derive(Debug)]
pub struct GrantSigner {
    pair: KeyPair,
}

impl GrantSigner {
    /// Signs with `pair`, which should sign nothing else.
    #[must_use]
    pub fn new(pair: KeyPair) -> Self {
        Self { pair }
    }

    /// The grant as bytes for internal requests; the same bytes for the same grant.
    #[must_use]
    pub fn sign(&self, grant: &Grant) -> Vec<u8> {
        codec::encode(grant, &self.pair)
    }

    /// What verifiers must trust.
    #[must_use]
    pub fn public_key(&self) -> crate::PublicKey {
        self.pair.public()
    }
}

/// Verifies grants by a set of trusted keys.
#[derive(Debug, Clone)]
pub struct GrantVerifier {
    keys: KeySet,
}

impl GrantVerifier {
    /// Trusts `keys`; two while one replaces another.
    #[must_use]
    pub fn new(keys: KeySet) -> Self {
        Self { keys }
    }

    /// The grant in `bytes`, if it is whole, signed by a trusted key and alive at `now_unix_ms`.
    /// Takes any bytes. Whether it covers the request is asked of the [`Grant`].
    pub fn verify(&self, bytes: &[u8], now_unix_ms: u64) -> Result<Grant, GrantError> {
        let grant = codec::decode(bytes, &self.keys)?;
        if now_unix_ms >= grant.expires_at_unix_ms {
            return Err(GrantError::Expired);
        }
        if grant.expires_at_unix_ms - now_unix_ms > GRANT_LIFETIME_MS_MAX + GRANT_CLOCK_SKEW_MS_MAX
        {
            return Err(GrantError::LifetimeTooLong { lifetime_ms_max: GRANT_LIFETIME_MS_MAX });
        }
        Ok(grant)
    }
}
