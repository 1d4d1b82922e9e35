//! The catalog: who there is, which namespaces there are, who may do what in them, and where people see them.
//!
//! ```text
//! merger ── readable_namespaces ──► scope of a search      ┐
//!        └─ may_read ─────────────► second check of hits   ├─ Catalog ── SqliteCatalog (embedded)
//! ingest ── right_of, pending_namespace_deletions          │          ├─ PostgresCatalog
//!                                                          │          └─ Faulty (tests)
//! admin  ── create, delete, grant, revoke, list            ┘
//! ```
//!
//! It holds no documents and decides no query; it knows no credentials either: callers arrive as a
//! [`UserId`] that an authenticator vouched for.

#[cfg(test)]
mod conformance;
mod error;
mod faulty;
mod mount_path;
mod port;
#[cfg(feature = "postgres")]
mod postgres;
mod records;
mod sqlite;
mod stored;
mod user_group_id;
mod user_id;

pub use error::CatalogError;
pub use faulty::{FaultPlan, Faulty};
pub use mount_path::{MOUNT_PATH_BYTES_MAX, MOUNTS_MAX, MountPath};
pub use port::Catalog;
#[cfg(feature = "postgres")]
pub use postgres::{
    PostgresCatalog, PostgresClientCertificate, PostgresConfig, PostgresConfigError, PostgresTls,
};
pub use records::{
    DISPLAY_NAME_BYTES_MAX, DeletedNamespace, Member, MemberGroup, Mount, NamespaceAccess,
    NamespaceRecord, Right, UserGroupRecord, UserRecord,
};
pub use sqlite::SqliteCatalog;
pub use user_group_id::UserGroupId;
pub use user_id::{InvalidUserId, USER_ID_BYTES_MAX, UserId};
