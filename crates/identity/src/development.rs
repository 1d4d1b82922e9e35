//! An issuer for one machine: `nautilus dev` and `nautilus user token`.

use std::path::Path;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use nautilus_types::Class;

use crate::jwt::{Audience, Claims, OPERATOR_ROLE, is_user_id};
use crate::{
    JwtAuthenticator, JwtConfig, KeyError, KeyPair, KeySet, PublicKey, TOKEN_LIFETIME_S_MAX,
};

/// `iss` of the tokens made here.
pub const DEVELOPMENT_ISSUER: &str = "nautilus-development";
/// `aud` of the tokens made here.
pub const DEVELOPMENT_AUDIENCE: &str = "nautilus";
/// `typ` of access tokens (RFC 9068).
const TOKEN_TYPE: &str = "at+jwt";
/// Name of the key's files.
const KEY_NAME: &str = "development-issuer";

/// A token was not issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The text cannot be a user id.
    #[error("not a user id: 1 to 128 bytes without control characters are allowed")]
    UserInvalid,
    /// No verifier would take the token.
    #[error("a lifetime of {lifetime_s} s is not allowed, 1 to {TOKEN_LIFETIME_S_MAX} s are")]
    LifetimeNotAllowed {
        /// What was asked for, in whole seconds.
        lifetime_s: u64,
    },
    /// The key cannot sign.
    #[error("signing the token failed")]
    SigningFailed,
}

impl IssueError {
    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::UserInvalid | Self::LifetimeNotAllowed { .. } => Class::Invalid,
            Self::SigningFailed => Class::Bug,
        }
    }

    /// Stable name of the error for clients, at most 63 characters.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::UserInvalid => "USER_ID_INVALID",
            Self::LifetimeNotAllowed { .. } => "TOKEN_LIFETIME_NOT_ALLOWED",
            Self::SigningFailed => "TOKEN_SIGNING_FAILED",
        }
    }
}

/// Issues tokens to whoever can read its key file. Not for production: it knows no passwords.
#[derive(Debug)]
pub struct DevelopmentIssuer {
    pair: KeyPair,
}

impl DevelopmentIssuer {
    /// Reads the issuer's key from `dir`, or makes it there (see [`KeyPair::open`]).
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
        Ok(Self { pair: KeyPair::open(dir, KEY_NAME)? })
    }

    /// A token for `user`, valid from `now_unix_s` for `lifetime`, at most 15 minutes.
    pub fn issue(
        &self,
        user: &str,
        now_unix_s: u64,
        lifetime: Duration,
    ) -> Result<String, IssueError> {
        self.sign(user, now_unix_s, lifetime, None)
    }

    /// As [`DevelopmentIssuer::issue`], for somebody who operates the cluster.
    pub fn issue_operator(
        &self,
        user: &str,
        now_unix_s: u64,
        lifetime: Duration,
    ) -> Result<String, IssueError> {
        self.sign(user, now_unix_s, lifetime, Some(OPERATOR_ROLE.to_owned()))
    }

    fn sign(
        &self,
        user: &str,
        now_unix_s: u64,
        lifetime: Duration,
        role: Option<String>,
    ) -> Result<String, IssueError> {
        if !is_user_id(user) {
            return Err(IssueError::UserInvalid);
        }
        let lifetime_s = lifetime.as_secs();
        if !(1..=TOKEN_LIFETIME_S_MAX).contains(&lifetime_s) {
            return Err(IssueError::LifetimeNotAllowed { lifetime_s });
        }
        let claims = Claims {
            iss: DEVELOPMENT_ISSUER.to_owned(),
            sub: user.to_owned(),
            aud: Audience::One(DEVELOPMENT_AUDIENCE.to_owned()),
            exp: now_unix_s.saturating_add(lifetime_s),
            nbf: now_unix_s,
            iat: Some(now_unix_s),
            role,
        };
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.pair.public().id().to_string());
        let key = EncodingKey::from_ed_der(self.pair.pkcs8());
        jsonwebtoken::encode(&header, &claims, &key).map_err(|_| IssueError::SigningFailed)
    }

    /// The public part of the key.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.pair.public()
    }

    /// The authenticator that trusts this issuer only.
    #[must_use]
    pub fn authenticator(&self) -> JwtAuthenticator {
        JwtAuthenticator::new(Self::config(), KeySet::from(self.public_key()))
    }

    /// The authenticator for the issuer whose key [`DevelopmentIssuer::open`] made in `dir`, for a
    /// process that must not read the private key.
    pub fn authenticator_from(dir: &Path) -> Result<JwtAuthenticator, KeyError> {
        let key = PublicKey::load(dir, KEY_NAME)?;
        Ok(JwtAuthenticator::new(Self::config(), KeySet::from(key)))
    }

    /// What tokens made here say.
    #[must_use]
    pub fn config() -> JwtConfig {
        JwtConfig {
            issuer: DEVELOPMENT_ISSUER.to_owned(),
            audience: DEVELOPMENT_AUDIENCE.to_owned(),
            token_type: TOKEN_TYPE.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AuthError;

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn tokens_are_accepted_also_after_reopening() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let issuer = DevelopmentIssuer::open(dir.path()).expect("makes");
        let token = issuer.issue("ada", NOW, Duration::from_secs(900)).expect("issued");
        assert!(token.len() < 400, "{} bytes", token.len());
        for authenticator in [
            issuer.authenticator(),
            DevelopmentIssuer::open(dir.path()).expect("reads").authenticator(),
            DevelopmentIssuer::authenticator_from(dir.path()).expect("reads"),
        ] {
            let principal = authenticator.verify(&token, NOW).expect("accepted");
            assert_eq!((&*principal.user, &*principal.issuer), ("ada", DEVELOPMENT_ISSUER));
            assert_eq!(principal.expires_at_unix_s, NOW + 900);
        }
    }

    #[test]
    fn only_operators_are_operators() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let issuer = DevelopmentIssuer::open(dir.path()).expect("makes");
        let lifetime = Duration::from_secs(60);
        let tokens =
            [issuer.issue("ada", NOW, lifetime), issuer.issue_operator("ada", NOW, lifetime)];
        let is_operator = tokens.map(|token| {
            let token = token.expect("issued");
            issuer.authenticator().verify(&token, NOW).expect("accepted").is_operator
        });
        assert_eq!(is_operator, [false, true]);
    }

    #[test]
    fn another_machines_issuer_is_not_trusted() {
        let (ours, theirs) = (tempfile::tempdir(), tempfile::tempdir());
        let ours = DevelopmentIssuer::open(ours.expect("folder").path()).expect("makes");
        let theirs = DevelopmentIssuer::open(theirs.expect("folder").path()).expect("makes");
        let token = theirs.issue("ada", NOW, Duration::from_secs(60)).expect("issued");
        assert_eq!(ours.authenticator().verify(&token, NOW), Err(AuthError::KeyUnknown));
    }

    #[test]
    fn what_nobody_would_accept_is_not_issued() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let issuer = DevelopmentIssuer::open(dir.path()).expect("makes");
        for user in ["", "a\0", "a\n", &"x".repeat(129)] {
            let outcome = issuer.issue(user, NOW, Duration::from_secs(60));
            assert_eq!(outcome, Err(IssueError::UserInvalid));
        }
        for lifetime_s in [0, 901] {
            let outcome = issuer.issue("ada", NOW, Duration::from_secs(lifetime_s));
            assert_eq!(outcome, Err(IssueError::LifetimeNotAllowed { lifetime_s }));
        }
    }
}
