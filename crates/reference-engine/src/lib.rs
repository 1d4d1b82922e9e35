//! The reference engine: the oracle that property tests hold the real engine against.
//!
//! ```text
//! mutations in log order ─► state (a map of maps) ─► scan of everything ─► hits
//! ```
//!
//! One partition, in memory, as naive as the definitions allow: no index, no quick ways. It shares
//! the query tree and the ids with the engine and nothing else; tokens
//! (`docs/formats/analysis.md`) and scores (`docs/formats/scoring.md`) are computed here anew.

mod request;
mod search;
mod state;
mod suggest;
mod tokens;

pub use request::{Bound, Number, Order, Page, Place, Request, place};
pub use search::{Hit, Statistics};
pub use state::{
    Attributes, ExpectedVersion, Metadata, Mutation, Outcome, Parts, ReferenceEngine,
    StoredDocument, Text,
};
pub use tokens::{tokens, tokens_of};

#[cfg(test)]
mod tests;
