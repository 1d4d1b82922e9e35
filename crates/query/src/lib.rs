//! Queries: the tree every part agrees on, and the parser that makes one from a person's text.
//!
//! ```text
//! text ─► parser (positions in errors) ─► analysis of its words ─► Node ─► leaf.v1 on the wire ─► engine
//! ```
//!
//! The tree holds analysed tokens, so whoever evaluates it needs no analyzer and no parser.

mod ast;

pub use ast::{Field, FieldSet, Node};
