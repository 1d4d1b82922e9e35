//! Authentication by JSON Web Token (RFC 7519), as strict as RFC 8725 asks.

mod claims;
#[cfg(test)]
mod tests;

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation};

use crate::{AuthError, Authenticator, KeySet, Principal, PublicKey};
use claims::RawClaims;
pub(crate) use claims::{Audience, Claims, OPERATOR_ROLE, is_user_id};

/// Longest token, in bytes: ours have under 400, and whatever is longer costs before it is refused.
pub const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// Longest lifetime of a token, in seconds: there is no revocation before it ends.
pub const TOKEN_LIFETIME_S_MAX: u64 = 15 * 60;
/// By how many seconds the issuer's clock may differ from ours.
pub const TOKEN_LEEWAY_S: u64 = 30;

/// What a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtConfig {
    /// The only `iss` that is trusted.
    pub issuer: String,
    /// What must be among the token's `aud`.
    pub audience: String,
    /// The header's `typ`; `at+jwt` for access tokens (RFC 9068). Compared without regard to case and
    /// to a leading `application/` (RFC 7515 section 4.1.9).
    pub token_type: String,
}

/// Verifies EdDSA tokens of one issuer with a set of loaded keys. A token chooses among those by
/// `kid`; nothing in a token can bring in another key or algorithm.
pub struct JwtAuthenticator {
    config: JwtConfig,
    keys: RwLock<Arc<KeySet>>,
    validation: Validation,
}

impl JwtAuthenticator {
    /// Trusts `keys` for tokens as `config` describes them.
    #[must_use]
    pub fn new(config: JwtConfig, keys: KeySet) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        // The library reads the system's clock, and has lax defaults: signature and algorithm are its
        // part, all claims are checked here.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { config, keys: RwLock::new(Arc::new(keys)), validation }
    }

    /// Trusts `keys` from now on, instead of those before.
    pub fn replace_keys(&self, keys: KeySet) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The synchronous form of [`Authenticator::authenticate`].
    pub fn verify(&self, token: &str, now_unix_s: u64) -> Result<Principal, AuthError> {
        if token.is_empty() {
            return Err(AuthError::Missing);
        }
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::TooLong { bytes: token.len(), bytes_max: TOKEN_BYTES_MAX });
        }
        let header = jsonwebtoken::decode_header(token).map_err(|e| refusal(&e))?;
        self.check_header(&header)?;
        let key = self.key(&header)?;
        let token = jsonwebtoken::decode::<RawClaims>(
            token,
            &DecodingKey::from_ed_der(key.as_bytes()),
            &self.validation,
        )
        .map_err(|error| refusal(&error))?;
        let claims = token.claims.required()?;
        claims.check(&self.config, now_unix_s)?;
        Ok(Principal {
            user: claims.sub,
            is_operator: claims.role.as_deref() == Some(OPERATOR_ROLE),
            issuer: claims.iss,
            expires_at_unix_s: claims.exp,
        })
    }

    fn check_header(&self, header: &Header) -> Result<(), AuthError> {
        if header.alg != Algorithm::EdDSA {
            return Err(AuthError::AlgorithmNotAllowed);
        }
        if header.crit.is_some() {
            return Err(AuthError::ExtensionUnknown);
        }
        let typ = header.typ.as_deref().ok_or(AuthError::TypeWrong)?;
        if !bare_type(typ).eq_ignore_ascii_case(bare_type(&self.config.token_type)) {
            return Err(AuthError::TypeWrong);
        }
        Ok(())
    }

    fn key(&self, header: &Header) -> Result<PublicKey, AuthError> {
        let kid = header.kid.as_deref().ok_or(AuthError::KeyUnknown)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let key = keys.iter().find(|key| key.id().to_string() == kid);
        key.copied().ok_or(AuthError::KeyUnknown)
    }
}

#[async_trait]
impl Authenticator for JwtAuthenticator {
    async fn authenticate(&self, bearer: &str, now_unix_s: u64) -> Result<Principal, AuthError> {
        self.verify(bearer, now_unix_s)
    }
}

/// A media type without `application/`, which a header may leave out.
fn bare_type(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => &typ[PREFIX.len()..],
        _ => typ,
    }
}

/// What the library's refusal means, without what it quotes of the token.
fn refusal(error: &jsonwebtoken::errors::Error) -> AuthError {
    if matches!(error.kind(), ErrorKind::InvalidSignature) {
        AuthError::SignatureWrong
    } else if matches!(error.kind(), ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName)
    {
        AuthError::AlgorithmNotAllowed
    } else {
        AuthError::Malformed
    }
}
