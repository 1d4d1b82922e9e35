//! Identity: who is asking, and the signed grant that carries the answer through the cluster.
//!
//! ```text
//! client ─ bearer token ─► Authenticator ─► Principal ─► scope from the catalog
//!                                                          │
//!                              GrantSigner (merger) ◄──────┘
//!                                    │ grant: user, namespaces, purpose, query hash, expiry
//!                                    ▼
//!                              GrantVerifier (root, leaf) ─► Grant::permits(namespace)
//! ```
//!
//! It also seals the opaque tokens that clients keep for us ([`TokenKey`]).
//!
//! Nothing here knows the catalog, a transport or a clock: time comes in as data. Errors name what
//! was wrong, never the token or its content.

mod authenticator;
mod bearer;
mod development;
mod grant;
mod jwt;
mod keys;
mod token;

pub use authenticator::{AuthError, Authenticator, Principal};
pub use bearer::bearer_token;
pub use development::{DEVELOPMENT_AUDIENCE, DEVELOPMENT_ISSUER, DevelopmentIssuer, IssueError};
pub use grant::{
    GRANT_CLOCK_SKEW_MS_MAX, GRANT_LIFETIME_MS_MAX, Grant, GrantError, GrantSigner, GrantVerifier,
    Purpose, query_hash,
};
pub use jwt::{JwtAuthenticator, JwtConfig, TOKEN_BYTES_MAX, TOKEN_LEEWAY_S, TOKEN_LIFETIME_S_MAX};
pub use keys::{KeyError, KeyId, KeyPair, KeySet, PublicKey};
pub use token::{
    ConsistencyToken, LogIdentity, TOKEN_CONTENT_BYTES_MAX, TokenError, TokenKey, TokenKind,
};
