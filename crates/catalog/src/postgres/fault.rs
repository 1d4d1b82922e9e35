//! What PostgreSQL's errors mean for the caller.

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::CatalogError;
use crate::error::Cause;

/// How an attempt at a call ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The answer is an error of the port; the connection is as good as before.
    Answer(CatalogError),
    /// The database or the way to it failed; the connection is not used again.
    Sql(sqlx::Error),
    /// There is no usable connection.
    NoConnection(Cause),
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        Self::Answer(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

/// For anything before the commit: a transaction not committed leaves nothing behind.
pub(super) fn failed(action: &'static str, error: sqlx::Error) -> CatalogError {
    if is_corruption(&error) {
        CatalogError::Corrupt { action, source: Box::new(error) }
    } else {
        CatalogError::Unavailable { action, source: Some(Box::new(error)) }
    }
}

/// For the commit itself: a plain error of the server says that nothing happened, anything else says nothing.
pub(super) fn commit_failed(action: &'static str, error: sqlx::Error) -> CatalogError {
    let is_refusal =
        of_server(&error).is_some_and(|error| matches!(error.severity(), PgSeverity::Error));
    if is_refusal {
        failed(action, error)
    } else {
        CatalogError::OutcomeUnknown { action, source: Some(Box::new(error)) }
    }
}

/// Whether the change ran into another one and succeeds when tried again: serialization_failure, deadlock_detected.
pub(super) fn is_conflict(error: &sqlx::Error) -> bool {
    of_server(error).is_some_and(|error| matches!(error.code(), "40001" | "40P01"))
}

/// Whether the connection ended: on a connection that was kept from before, it may have been long ago.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match of_server(error) {
        // Class 08: connection exception. 57P01 admin_shutdown, 57P02 crash_shutdown, 57P05 idle_session_timeout.
        Some(error) => {
            error.code().starts_with("08") || matches!(error.code(), "57P01" | "57P02" | "57P05")
        }
        None => {
            matches!(error, sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_))
        }
    }
}

fn of_server(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>())
}

/// The data, or the tables, are not what our writers leave.
fn is_corruption(error: &sqlx::Error) -> bool {
    if let Some(error) = of_server(error) {
        // XX001 data_corrupted, XX002 index_corrupted, class 23: a constraint that locks already keep,
        // 42P01 undefined_table, 42703 undefined_column, 3F000 invalid_schema_name.
        return error.code().starts_with("23")
            || matches!(error.code(), "XX001" | "XX002" | "42P01" | "42703" | "3F000");
    }
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
    )
}
