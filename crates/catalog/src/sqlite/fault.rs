//! What SQLite's errors mean for the caller.

use crate::CatalogError;

/// Primary result codes that say the file is not what was written (sqlite.org/rescode.html).
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// For anything before the commit: a transaction not committed leaves nothing behind.
pub(super) fn failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> CatalogError {
    move |error| {
        if is_corruption(&error) {
            CatalogError::Corrupt { action, source: Box::new(error) }
        } else {
            CatalogError::Unavailable { action, source: Some(Box::new(error)) }
        }
    }
}

/// For the commit itself: its failure does not say whether it happened.
pub(super) fn commit_failed(action: &'static str) -> impl FnOnce(sqlx::Error) -> CatalogError {
    move |error| {
        if is_corruption(&error) {
            CatalogError::Corrupt { action, source: Box::new(error) }
        } else {
            CatalogError::OutcomeUnknown { action, source: Some(Box::new(error)) }
        }
    }
}

fn is_corruption(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(database) = error {
        let primary = database.code().and_then(|code| code.parse::<i32>().ok()).map(|c| c & 0xff);
        return matches!(primary, Some(SQLITE_CORRUPT | SQLITE_NOTADB));
    }
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
    )
}
