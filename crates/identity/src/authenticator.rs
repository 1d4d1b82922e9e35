//! The port: from a bearer token to who is asking.

use async_trait::async_trait;
use nautilus_types::Class;

/// Who is asking, as an issuer we trust says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user: the token's `sub`, 1 to 128 bytes of text without control characters. Whether the
    /// catalog knows this user is the caller's question.
    pub user: String,
    /// Who says so: the token's `iss`.
    pub issuer: String,
    /// Whether the issuer calls this user an operator: one who may look at the whole cluster. It
    /// opens no namespace.
    pub is_operator: bool,
    /// When this knowledge ends, in seconds since 1970; long-lived streams end with it.
    pub expires_at_unix_s: u64,
}

/// Says who is asking. Implementations answer from what they hold: no call goes out per request.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Checks the token (without the word `Bearer`) as of `now_unix_s`, seconds since 1970.
    async fn authenticate(&self, bearer: &str, now_unix_s: u64) -> Result<Principal, AuthError>;
}

/// Why a token was refused. Holds nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no token.
    #[error("no bearer token was given")]
    Missing,
    /// The `authorization` value is of another kind.
    #[error("the authorization is not a bearer token")]
    NotBearer,
    /// The token is over the bound.
    #[error("the token is {bytes} bytes long, at most {bytes_max} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
        /// The bound in bytes.
        bytes_max: usize,
    },
    /// The token is not a JSON Web Token, or a claim has the wrong type.
    #[error("the token is malformed")]
    Malformed,
    /// Signed, or not signed, by an algorithm other than EdDSA.
    #[error("the token's algorithm is not allowed")]
    AlgorithmNotAllowed,
    /// The header's `typ` is another.
    #[error("the token is of the wrong type")]
    TypeWrong,
    /// The header asks for an extension (`crit`) that is not known here.
    #[error("the token needs an extension that is not supported")]
    ExtensionUnknown,
    /// The header names no key, or none that is loaded.
    #[error("the token's key is not known")]
    KeyUnknown,
    /// The signature is not that key's.
    #[error("the token's signature is wrong")]
    SignatureWrong,
    /// A claim that must be there is not.
    #[error("the token has no {claim} claim")]
    ClaimMissing {
        /// Which: a name of ours, not of the token's.
        claim: &'static str,
    },
    /// Issued by somebody else.
    #[error("the token's issuer is not trusted")]
    IssuerWrong,
    /// Meant for somebody else.
    #[error("the token is meant for another audience")]
    AudienceWrong,
    /// The `sub` claim cannot be a user.
    #[error("the token's subject is not a user id")]
    SubjectInvalid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its time has not begun.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Valid for longer than is allowed, or for no time at all.
    #[error("the token's lifetime is not allowed, at most {lifetime_s_max} s are")]
    LifetimeNotAllowed {
        /// The bound in seconds.
        lifetime_s_max: u64,
    },
}

impl AuthError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        Class::Unauthenticated
    }

    /// Stable name of the error for clients, at most 63 characters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "TOKEN_MISSING",
            Self::NotBearer => "TOKEN_NOT_BEARER",
            Self::TooLong { .. } => "TOKEN_TOO_LONG",
            Self::Malformed => "TOKEN_MALFORMED",
            Self::AlgorithmNotAllowed => "TOKEN_ALGORITHM_NOT_ALLOWED",
            Self::TypeWrong => "TOKEN_TYPE_WRONG",
            Self::ExtensionUnknown => "TOKEN_EXTENSION_UNKNOWN",
            Self::KeyUnknown => "TOKEN_KEY_UNKNOWN",
            Self::SignatureWrong => "TOKEN_SIGNATURE_WRONG",
            Self::ClaimMissing { .. } => "TOKEN_CLAIM_MISSING",
            Self::IssuerWrong => "TOKEN_ISSUER_WRONG",
            Self::AudienceWrong => "TOKEN_AUDIENCE_WRONG",
            Self::SubjectInvalid => "TOKEN_SUBJECT_INVALID",
            Self::Expired => "TOKEN_EXPIRED",
            Self::NotYetValid => "TOKEN_NOT_YET_VALID",
            Self::LifetimeNotAllowed { .. } => "TOKEN_LIFETIME_NOT_ALLOWED",
        }
    }
}
