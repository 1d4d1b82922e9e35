//! Measurements of Nautilus: of a running cluster, and what the format decisions rest on.
//!
//! Not part of the product and not a default member: it may hold variants that were refused, so that
//! a decision can be measured again on another machine or another corpus.
//!
//! ```text
//! generated documents ─► engine: a partition against Tantivy ─► lines with their targets
//! running cluster ─► cluster ─► latency, freshness, back-pressure, budgets
//! corpus (files, JSONL) ─► words ─► tokens ─► store (RocksDB rows) ─► edits, phrases ─► tables
//! ```

pub mod cluster;
pub mod corpus;
pub mod edits;
pub mod engine;
pub mod format;
pub mod measure;
pub mod phrases;
pub mod store;
pub mod tokens;
