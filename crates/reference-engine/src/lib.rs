//! The reference engine: the oracle that property tests hold the real engine against.
//!
//! ```text
//! mutations in log order ─► state (a map of maps) ─► scan of everything ─► hits
//! ```
//!
//! One partition, in memory, as naive as the definitions allow: no index, no quick ways. It shares
//! the query tree and the ids with the engine and nothing else; tokens
//! (`docs/formats/analysis.md`) and scores (`docs/formats/scoring.md`) are computed here anew.

mod search;
mod state;
mod tokens;

pub use search::{Hit, Statistics};
pub use state::{ExpectedVersion, Mutation, Outcome, ReferenceEngine, StoredDocument, Text};
pub use tokens::tokens;

#[cfg(test)]
mod tests;
