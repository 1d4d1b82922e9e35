//! The catalog: who there is, which namespaces there are, and who may do what in them.
//!
//! ```text
//! merger ── readable_namespaces ──► scope of a search      ┐
//!        └─ may_read ─────────────► second check of hits   ├─ Catalog ── SqliteCatalog (embedded)
//! ingest ── right_of, pending_namespace_deletions          │          └─ Faulty (tests)
//! admin  ── create, delete, grant, revoke, list            ┘
//! ```
//!
//! It holds no documents and decides no query; it knows no credentials either: callers arrive as a
//! [`UserId`] that an authenticator vouched for.

#[cfg(test)]
mod conformance;
mod error;
mod faulty;
mod port;
mod records;
mod sqlite;
mod user_id;

pub use error::CatalogError;
pub use faulty::{FaultPlan, Faulty};
pub use port::Catalog;
pub use records::{
    DISPLAY_NAME_BYTES_MAX, DeletedNamespace, Member, NamespaceAccess, NamespaceRecord, Right,
    UserRecord,
};
pub use sqlite::SqliteCatalog;
pub use user_id::{InvalidUserId, USER_ID_BYTES_MAX, UserId};
