//! The id that follows one request through logs, errors and further calls.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use http::HeaderValue;

/// Name of the header, on requests and answers.
pub const REQUEST_ID: &str = "x-request-id";

/// Longest id taken over from a caller: it ends up in every log line of the request.
const LENGTH_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: RequestId;
}

/// Id of a request: 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// A fresh id of 32 hex digits, different from all others for practical purposes. Not a
    /// secret.
    #[must_use]
    pub fn generate() -> Self {
        static KEYS: LazyLock<[RandomState; 2]> =
            LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let [first, second] = &*KEYS;
        Self(format!("{:016x}{:016x}", first.hash_one(number), second.hash_one(number)).into())
    }

    /// The id a caller gave, if it is well formed: others are replaced, never echoed.
    #[must_use]
    pub fn accept(value: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let is_well_formed = (1..=LENGTH_MAX).contains(&value.len()) && value.bytes().all(is_plain);
        is_well_formed.then(|| Self(value.into()))
    }

    /// The id of an incoming request: the caller's, else a fresh one.
    #[must_use]
    pub fn of_headers(headers: &http::HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        given.and_then(Self::accept).unwrap_or_else(Self::generate)
    }

    /// The id of the request this task is answering, if it is answering one. A job on another
    /// thread or task has none: take it along as data.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Puts the id on an outgoing request.
    pub fn state_on<T>(&self, request: &mut tonic::Request<T>) {
        if let Ok(value) = self.0.parse() {
            request.metadata_mut().insert(REQUEST_ID, value);
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn header_value(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_taken_over() {
        assert_eq!(RequestId::accept("a-B_9.z").expect("plain").as_str(), "a-B_9.z");
        for bad in ["", "with space", "line\nbreak", "ä", &"x".repeat(65)] {
            assert_eq!(RequestId::accept(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn generated_ids_differ_and_are_acceptable() {
        let (one, other) = (RequestId::generate(), RequestId::generate());
        assert_ne!(one, other);
        assert_eq!(RequestId::accept(one.as_str()), Some(one));
    }

    #[tokio::test]
    async fn the_current_id_is_that_of_the_scope() {
        assert_eq!(RequestId::current(), None);
        let id = RequestId::generate();
        let seen = id.clone().scope(async { RequestId::current() }).await;
        assert_eq!(seen, Some(id));
    }
}
