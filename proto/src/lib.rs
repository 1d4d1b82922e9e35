//! The wire contract: generated messages and services, and the conversions that belong to the messages themselves.
//!
//! ```text
//! proto/nautilus/<package>/v1/*.proto ─► build.rs ─► modules below ─► roles, CLI
//!                                                └─► descriptor set ─► reflection
//! ```

mod content_hash;
mod query;

pub use content_hash::content_hash;
pub use query::{QueryDecodeError, query_from_proto, query_to_proto};

/// The file descriptor set of every package, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/nautilus.bin"));

macro_rules! packages {
    ($($(#[$doc:meta])* $name:ident = $package:literal),* $(,)?) => {$(
        $(#[$doc])*
        pub mod $name {
            /// Version 1.
            pub mod v1 {
                #![allow(missing_docs, unreachable_pub, reason = "generated; the .proto files hold the docs")]
                #![allow(clippy::all, clippy::wildcard_enum_match_arm, clippy::allow_attributes_without_reason, reason = "generated")]
                tonic::include_proto!($package);
            }
        }
    )*};
}

packages! {
    /// What several packages share.
    common = "nautilus.common.v1",
    /// The mutation log's record (persisted).
    log = "nautilus.log.v1",
    /// The snapshot manifest (persisted).
    snapshot = "nautilus.snapshot.v1",
    /// The public search API.
    search = "nautilus.search.v1",
    /// The public write API.
    ingest = "nautilus.ingest.v1",
    /// The operators' API.
    admin = "nautilus.admin.v1",
    /// Between root and leaf.
    leaf = "nautilus.leaf.v1",
    /// Between merger and root.
    root = "nautilus.root.v1",
    /// What roles tell each other through the registry (persisted).
    coordinator = "nautilus.coordinator.v1",
}
