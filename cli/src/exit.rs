//! What an error says to a person and to a shell.

use std::fmt::Write as _;
use std::process::ExitCode;

use nautilus_service::status::{class_of, is_connection_loss};
use nautilus_types::Class;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt;

use crate::cli::OutputFormat;
use crate::output;

/// The arguments are wrong.
pub(crate) const USAGE: u8 = 2;

/// A failure found on this side, with what the shell should hear.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    class: Class,
    message: String,
}

impl Failure {
    /// A failure of this class; `message` may have several lines.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }

    /// What the shell hears.
    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// Wrong usage that only shows after parsing.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Invalid, message)
    }
}

/// A status with something for people below it.
#[derive(Debug, thiserror::Error)]
#[error("{hint}")]
pub(crate) struct Hinted {
    /// Printed below the status, as it is.
    pub(crate) hint: String,
    /// What the server said.
    #[source]
    pub(crate) status: Status,
}

/// Prints the error to stderr and answers with its exit code.
pub(crate) fn report(error: &anyhow::Error, format: OutputFormat) -> ExitCode {
    let text = match format {
        OutputFormat::Human => format!("error: {}", describe(error)),
        OutputFormat::Json => as_json(error).to_string(),
    };
    output::complain(&text);
    ExitCode::from(code(error))
}

/// The exit code of an error: of the failure or gRPC status nearest to its surface.
fn code(error: &anyhow::Error) -> u8 {
    let from_cause = error.chain().find_map(|cause| {
        let of_status =
            cause.downcast_ref::<Status>().map(|status| code_of_class(class_of(status)));
        of_status.or_else(|| {
            let failure = cause.downcast_ref::<Failure>()?;
            // A request the server refuses is a failure; the same said here is wrong usage.
            let is_usage = failure.class == Class::Invalid;
            Some(if is_usage { USAGE } else { code_of_class(failure.class) })
        })
    });
    from_cause.unwrap_or(1)
}

fn code_of_class(class: Class) -> u8 {
    match class {
        Class::Invalid
        | Class::Conflict
        | Class::Precondition
        | Class::Fenced
        | Class::Corrupt
        | Class::Bug => 1,
        Class::NotFound => 3,
        Class::Unauthenticated | Class::Denied => 4,
        Class::Overloaded | Class::Unavailable | Class::Deadline | Class::Cancelled => 5,
    }
}

/// The error and its causes; a status as its message with what its details add.
pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut parts = Vec::new();
    for cause in error.chain() {
        if let Some(hinted) = cause.downcast_ref::<Hinted>() {
            parts.push(format!("{}\n{}", describe_status(&hinted.status), hinted.hint));
            break;
        }
        if let Some(status) = cause.downcast_ref::<Status>() {
            parts.push(describe_status(status));
            // What lies under a status is transport noise the status has summed up.
            break;
        }
        parts.push(cause.to_string());
    }
    output::clean_text(&parts.join(": "))
}

/// A status for people: its message, its reason, the fields it complains about.
pub(crate) fn describe_status(status: &Status) -> String {
    let details = status.get_error_details();
    let mut text = if is_connection_loss(status) {
        format!("the connection was lost: {}", root_cause(status))
    } else {
        status.message().to_owned()
    };
    if text.is_empty() {
        text = status.code().description().to_owned();
    }
    if let Some(info) = details.error_info() {
        let _ = write!(text, " ({})", info.reason);
        if info.reason == "USER_UNKNOWN" {
            text.push_str("\n  `nautilus user create NAME` adds it; --as says on whose behalf");
        }
    }
    if let Some(request) = details.bad_request() {
        let is_news = |said: &str| said != status.message();
        let violations = request.field_violations.iter();
        for violation in violations.filter(|violation| is_news(&violation.description)) {
            // Writing to a string cannot fail.
            let _ = write!(text, "\n  {}: {}", violation.field, violation.description);
        }
    }
    text
}

/// The last of the causes: of a broken connection the only one that says something.
fn root_cause(status: &Status) -> String {
    let mut cause: &dyn std::error::Error = status;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

/// What programs are told of an error.
pub(crate) fn as_json(error: &anyhow::Error) -> serde_json::Value {
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    let reason = status
        .and_then(|status| status.get_error_details().error_info().map(|info| info.reason.clone()));
    json!({ "error": {
        "exit_code": code(error),
        "grpc_code": status.map(|status| i32::from(status.code())),
        "reason": reason,
        "message": describe(error),
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use nautilus_service::RpcError;

    #[test]
    fn codes_follow_the_class_wherever_it_stands_in_the_chain() {
        let denied = RpcError::new(Class::Denied, "NO_RIGHT", "no").into_status();
        let wrapped = Err::<(), _>(denied).context("list documents").expect_err("an error");
        assert_eq!(code(&wrapped), 4);
        assert_eq!(code(&Failure::new(Class::NotFound, "no such").into()), 3);
        assert_eq!(code(&Failure::usage("two of a kind").into()), 2);
        assert_eq!(code(&anyhow::anyhow!("anything")), 1);
        assert_eq!(code(&Status::unavailable("away").into()), 5);
    }

    #[test]
    fn a_status_is_told_with_its_reason_and_fields() {
        let status = RpcError::new(Class::Invalid, "QUERY_SYNTAX", "the query does not parse")
            .field("query", "the quote is not closed")
            .into_status();
        assert_eq!(
            describe(&status.into()),
            "the query does not parse (QUERY_SYNTAX)\n  query: the quote is not closed"
        );
        let unknown = RpcError::new(Class::Unauthenticated, "USER_UNKNOWN", "no such user");
        let said = describe(&unknown.into_status().into());
        assert!(said.contains("(USER_UNKNOWN)\n  `nautilus user create"), "{said}");
    }
}
