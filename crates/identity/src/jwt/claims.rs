//! The claims of a token, and what they must say.

use serde::{Deserialize, Serialize};

use super::{JwtConfig, TOKEN_LEEWAY_S, TOKEN_LIFETIME_S_MAX};
use crate::AuthError;

/// Longest user id, in bytes; the catalog's bound.
const USER_ID_BYTES_MAX: usize = 128;

/// The `role` that makes a user an operator.
pub(crate) const OPERATOR_ROLE: &str = "operator";

/// Claims as they arrive: any may be missing. Times are whole seconds since 1970; a claim of another
/// type makes the token malformed.
#[derive(Deserialize)]
pub(super) struct RawClaims {
    iss: Option<String>,
    sub: Option<String>,
    aud: Option<Audience>,
    exp: Option<u64>,
    nbf: Option<u64>,
    iat: Option<u64>,
    role: Option<RawRole>,
}

/// Issuers put other things than a word there too; those mean nothing here.
#[derive(Deserialize)]
#[serde(untagged)]
enum RawRole {
    Word(String),
    Other(serde::de::IgnoredAny),
}

/// One audience or several (RFC 7519 section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Claims with all that must be there.
#[derive(Serialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: Audience,
    pub(crate) exp: u64,
    pub(crate) nbf: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<u64>,
    /// [`OPERATOR_ROLE`], or another word that means nothing here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role: Option<String>,
}

impl RawClaims {
    pub(super) fn required(self) -> Result<Claims, AuthError> {
        let missing = |claim| AuthError::ClaimMissing { claim };
        Ok(Claims {
            iss: self.iss.ok_or(missing("iss"))?,
            sub: self.sub.ok_or(missing("sub"))?,
            aud: self.aud.ok_or(missing("aud"))?,
            exp: self.exp.ok_or(missing("exp"))?,
            nbf: self.nbf.ok_or(missing("nbf"))?,
            iat: self.iat,
            role: match self.role {
                Some(RawRole::Word(role)) => Some(role),
                Some(RawRole::Other(_)) | None => None,
            },
        })
    }
}

impl Claims {
    /// Checks all of them as of `now_unix_s`.
    pub(super) fn check(&self, config: &JwtConfig, now_unix_s: u64) -> Result<(), AuthError> {
        if self.iss != config.issuer {
            return Err(AuthError::IssuerWrong);
        }
        let is_meant_for_us = match &self.aud {
            Audience::One(audience) => *audience == config.audience,
            Audience::Several(audiences) => audiences.contains(&config.audience),
        };
        if !is_meant_for_us {
            return Err(AuthError::AudienceWrong);
        }
        if !is_user_id(&self.sub) {
            return Err(AuthError::SubjectInvalid);
        }
        // On or after `exp` a token is over (RFC 7519 section 4.1.4).
        if now_unix_s >= self.exp.saturating_add(TOKEN_LEEWAY_S) {
            return Err(AuthError::Expired);
        }
        let latest_start = now_unix_s.saturating_add(TOKEN_LEEWAY_S);
        if self.nbf > latest_start || self.iat.is_some_and(|iat| iat > latest_start) {
            return Err(AuthError::NotYetValid);
        }
        // Counted from the earlier of the two, so that neither hides a long life.
        let start = self.iat.map_or(self.nbf, |iat| iat.min(self.nbf));
        let is_allowed = |from: u64| {
            self.exp.checked_sub(from).is_some_and(|s| (1..=TOKEN_LIFETIME_S_MAX).contains(&s))
        };
        if !is_allowed(start) || !is_allowed(self.nbf) {
            return Err(AuthError::LifetimeNotAllowed { lifetime_s_max: TOKEN_LIFETIME_S_MAX });
        }
        Ok(())
    }
}

/// A first look at a user id; the catalog, which knows the users, is stricter.
pub(crate) fn is_user_id(text: &str) -> bool {
    (1..=USER_ID_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}
