//! The one place where error classes become gRPC statuses, and back.
//!
//! | class | code | details beside `ErrorInfo` |
//! |---|---|---|
//! | Invalid | `INVALID_ARGUMENT` | `BadRequest` |
//! | Unauthenticated | `UNAUTHENTICATED` | |
//! | Denied | `PERMISSION_DENIED` | |
//! | NotFound | `NOT_FOUND` | `ResourceInfo` |
//! | Conflict | `ABORTED` | |
//! | Precondition, Fenced | `FAILED_PRECONDITION` | `PreconditionFailure` |
//! | Overloaded | `RESOURCE_EXHAUSTED` | `QuotaFailure`, `RetryInfo` |
//! | Unavailable | `UNAVAILABLE` | `RetryInfo` |
//! | Deadline | `DEADLINE_EXCEEDED` | |
//! | Cancelled | `CANCELLED` | |
//! | Corrupt | `DATA_LOSS` | |
//! | Bug | `INTERNAL` | `RequestInfo`; message and reason are fixed |
//!
//! Details follow google.rpc (AIP-193): `ErrorInfo` always, each type at most once. Overloaded and
//! Unavailable also carry the `grpc-retry-pushback-ms` trailer.

use std::collections::HashMap;
use std::time::Duration;

use nautilus_types::Class;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::clock::saturating_ms;
use crate::request_id::RequestId;

mod class_of;
#[cfg(test)]
mod tests;

pub use class_of::{class_of, is_connection_loss, is_loss_under_way};

/// Domain of all reasons.
pub const ERROR_DOMAIN: &str = "nautilus.dev";
/// Trailer that tells gRPC clients when to try again, in milliseconds.
pub const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";

/// When to try again after a refusal, unless the error says better.
const RETRY_OVERLOADED: Duration = Duration::from_secs(1);
/// When to try again after a part was not there, unless the error says better.
const RETRY_UNAVAILABLE: Duration = Duration::from_millis(200);
/// Metadata key that keeps Fenced apart from Precondition, which share a code.
const CLASS_KEY: &str = "class";
const CLASS_FENCED: &str = "fenced";

/// An error on its way to a client. Everything in it but the source may be read by the client:
/// no content, no paths, no names the caller may not know.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    class: Class,
    reason: &'static str,
    message: String,
    metadata: HashMap<String, String>,
    fields: Vec<(String, String)>,
    resource: Option<(String, String)>,
    preconditions: Vec<(String, String, String)>,
    quotas: Vec<(String, String)>,
    retry_after: Option<Duration>,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl RpcError {
    /// An error of this class. `reason` is a constant in UPPER_SNAKE_CASE of at most 63 letters
    /// that programs compare; `message` is for people.
    #[must_use]
    pub fn new(class: Class, reason: &'static str, message: impl Into<String>) -> Self {
        debug_assert!(is_reason(reason), "{reason:?} is not UPPER_SNAKE_CASE of at most 63");
        Self {
            class,
            reason,
            message: message.into(),
            metadata: HashMap::new(),
            fields: Vec::new(),
            resource: None,
            preconditions: Vec::new(),
            quotas: Vec::new(),
            retry_after: None,
            source: None,
        }
    }

    /// Names a field of the request that is wrong, and how.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>, problem: impl Into<String>) -> Self {
        self.fields.push((field.into(), problem.into()));
        self
    }

    /// Names what was not found: its type and its name.
    #[must_use]
    pub fn resource(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.resource = Some((kind.into(), name.into()));
        self
    }

    /// Names a condition that does not hold: its type, its subject, and what is wrong.
    #[must_use]
    pub fn precondition(
        mut self,
        kind: impl Into<String>,
        subject: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        self.preconditions.push((kind.into(), subject.into(), problem.into()));
        self
    }

    /// Names a bound that was met: its subject and what it is.
    #[must_use]
    pub fn quota(mut self, subject: impl Into<String>, problem: impl Into<String>) -> Self {
        self.quotas.push((subject.into(), problem.into()));
        self
    }

    /// When trying again may succeed. Only Overloaded and Unavailable carry it.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Adds a fact that programs may read, such as an epoch.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The cause; it is logged where the class calls for a person and never sent.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller should conclude.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The reason programs compare.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The status as a client gets it. Bug and Corrupt are logged here with the whole chain of
    /// causes, under the id of the request: this is where such an error is handled.
    #[must_use]
    pub fn into_status(self) -> Status {
        if matches!(self.class, Class::Bug) {
            return self.into_internal();
        }
        if matches!(self.class, Class::Corrupt) {
            let request_id = RequestId::current().map(|id| id.to_string());
            tracing::error!(request_id, reason = self.reason, error = error_chain(&self));
        }
        let details = self.details();
        let mut trailers = MetadataMap::new();
        if let Some(delay) = self.retry_delay() {
            let delay_ms = saturating_ms(delay).min(u64::from(u32::MAX));
            trailers.insert(RETRY_PUSHBACK, MetadataValue::from(delay_ms));
        }
        Status::with_error_details_and_metadata(
            code_of(self.class),
            self.message,
            details,
            trailers,
        )
    }

    fn into_internal(self) -> Status {
        let request_id = RequestId::current().unwrap_or_else(RequestId::generate);
        tracing::error!(
            request_id = request_id.as_str(),
            reason = self.reason,
            error = error_chain(&self),
            "internal error"
        );
        let mut details = ErrorDetails::new();
        details.set_error_info("INTERNAL", ERROR_DOMAIN, HashMap::new());
        details.set_request_info(request_id.as_str(), "");
        let message = format!("internal error, request {request_id}");
        Status::with_error_details(Code::Internal, message, details)
    }

    fn details(&self) -> ErrorDetails {
        let mut metadata = self.metadata.clone();
        if matches!(self.class, Class::Fenced) {
            metadata.insert(CLASS_KEY.to_owned(), CLASS_FENCED.to_owned());
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(self.reason, ERROR_DOMAIN, metadata);
        for (field, problem) in &self.fields {
            details.add_bad_request_violation(field, problem);
        }
        if let Some((kind, name)) = &self.resource {
            details.set_resource_info(kind, name, "", "");
        }
        for (kind, subject, problem) in &self.preconditions {
            details.add_precondition_failure_violation(kind, subject, problem);
        }
        for (subject, problem) in &self.quotas {
            details.add_quota_failure_violation(subject, problem);
        }
        self.add_expected_details(&mut details);
        if let Some(delay) = self.retry_delay() {
            details.set_retry_info(Some(delay));
        }
        details
    }

    /// The details clients expect of a class even when the error named none.
    fn add_expected_details(&self, details: &mut ErrorDetails) {
        let is_condition = matches!(self.class, Class::Precondition | Class::Fenced);
        if is_condition && self.preconditions.is_empty() {
            details.add_precondition_failure_violation(self.reason, "", &self.message);
        }
        if matches!(self.class, Class::Overloaded) && self.quotas.is_empty() {
            details.add_quota_failure_violation(self.reason, &self.message);
        }
    }

    fn retry_delay(&self) -> Option<Duration> {
        let usual = match self.class {
            Class::Overloaded => RETRY_OVERLOADED,
            Class::Unavailable => RETRY_UNAVAILABLE,
            Class::Invalid
            | Class::Unauthenticated
            | Class::Denied
            | Class::NotFound
            | Class::Conflict
            | Class::Precondition
            | Class::Fenced
            | Class::Deadline
            | Class::Cancelled
            | Class::Corrupt
            | Class::Bug => return None,
        };
        Some(self.retry_after.unwrap_or(usual))
    }
}

impl From<RpcError> for Status {
    fn from(error: RpcError) -> Self {
        error.into_status()
    }
}

/// The code of a class.
#[must_use]
pub fn code_of(class: Class) -> Code {
    match class {
        Class::Invalid => Code::InvalidArgument,
        Class::Unauthenticated => Code::Unauthenticated,
        Class::Denied => Code::PermissionDenied,
        Class::NotFound => Code::NotFound,
        Class::Conflict => Code::Aborted,
        Class::Precondition | Class::Fenced => Code::FailedPrecondition,
        Class::Overloaded => Code::ResourceExhausted,
        Class::Unavailable => Code::Unavailable,
        Class::Deadline => Code::DeadlineExceeded,
        Class::Cancelled => Code::Cancelled,
        Class::Corrupt => Code::DataLoss,
        Class::Bug => Code::Internal,
    }
}

/// An error and all its causes on one line: `a: b: c`.
#[must_use]
pub fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

fn is_reason(reason: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=63).contains(&reason.len())
        && reason.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
        && reason.bytes().all(is_allowed)
}
