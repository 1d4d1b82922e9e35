//! The indexing side. Its `serve` part is the gateway every write comes through, and the accounts that say who may
//! write where; beside it [`offline`] makes whole partitions of documents at once, and [`rebuild`] a build of another
//! analyzer from snapshots.
//!
//! ```text
//! IngestService.Write ─► caller ─► validate ─► rights ─► pressure ─► annotators ─► record ─► log partition ─► ack, token
//! RootService.WatchReplicas ───────────────────────────────┘
//! CatalogService ──────► caller ─► accounts ─► catalog
//!                                     └─ deleted namespaces ─► deletions ─► log, "logged" in the catalog
//! ```
//!
//! A write is acknowledged once the log has it durably; it says nothing about when it is found.
//! It is refused while the slowest replica group is too far behind: that is what the root says of its replicas.
//! Nothing here reads documents but the annotators, and only those that are written.

#![allow(
    clippy::result_large_err,
    reason = "a refusal carries its details; it is made once and goes straight to the transport"
)]

mod accounts;
mod annotating;
mod caller;
mod config;
mod deletions;
mod error;
mod grpc;
mod in_flight;
mod index_builder;
mod ingest;
mod metrics;
pub mod offline;
mod pages;
mod pressure;
pub mod rebuild;
mod record;
mod replicas;
mod rights;
mod user_groups;
pub mod validate;

pub use config::{AnnotatorSettings, Config, RawAnnotators, RawConfig};
pub use error::IndexBuilderError;
pub use grpc::{CatalogGrpc, IngestGrpc};
pub use index_builder::{IndexBuilder, Parts};
pub use ingest::{BATCH_BYTES_MAX, BATCH_WRITES_MAX};
