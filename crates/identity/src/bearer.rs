//! The `authorization` metadata value.

use crate::AuthError;

/// The token in `Bearer TOKEN` (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1).
pub fn bearer_token(authorization: Option<&str>) -> Result<&str, AuthError> {
    let value = authorization.map(str::trim).filter(|v| !v.is_empty()).ok_or(AuthError::Missing)?;
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(AuthError::NotBearer);
    }
    let token = token.trim_start();
    if token.is_empty() {
        return Err(AuthError::Missing);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_token_of_the_bearer_scheme_only() {
        assert_eq!(bearer_token(Some("Bearer a.b.c")), Ok("a.b.c"));
        assert_eq!(bearer_token(Some("bEARER   a.b.c ")), Ok("a.b.c"));
        for missing in [None, Some(""), Some("  "), Some("Bearer"), Some("Bearer ")] {
            assert_eq!(bearer_token(missing), Err(AuthError::Missing));
        }
        for other in ["Basic YTpi", "a.b.c", "BearerX a.b.c"] {
            assert_eq!(bearer_token(Some(other)), Err(AuthError::NotBearer));
        }
    }
}
