//! `IngestService` and `CatalogService` over gRPC: only identity and conversion.

mod catalog;
mod ingest;

pub use catalog::CatalogGrpc;
pub use ingest::IngestGrpc;
