//! Queries: the tree every part agrees on, the parser that makes one from a person's text, and the
//! fragments of a text that show where it matched.
//!
//! ```text
//! text ─► lexer ─► parser (positions in errors) ─► analysis of its words ─► Node ─► wire ─► engine
//!                                                                            └────► highlight
//! ```
//!
//! The tree holds tokens of analyzer version 1, so whoever evaluates it needs no parser; partitions of another version
//! map them first ([`Node::normalized`]).
//!
//! # The language
//!
//! | text | meaning |
//! |---|---|
//! | `red fox` | both words, or either, as the [`MatchMode`] says |
//! | `red AND fox`, `red OR fox` | upper case only; `OR` binds weakest, then words side by side, then `AND` |
//! | `NOT red`, `-red` | not this; never alone on a side of `OR` or in the whole query |
//! | `"red fox"` | these words one after the other in one field |
//! | `fo*` | words that begin so; `*` is special only right after a word |
//! | `title:fox`, `path:"a b"`, `body:(a OR b)` | in this field; `title,path:fox` in either; inner wins |
//! | `( … )` | a group |
//!
//! - In [`MatchMode::Any`], `a b NOT c` is (a OR b) AND NOT c; `a AND NOT b c` is (a AND NOT b) OR c.
//! - A word of several tokens is a phrase of them: `main.rs`, `std::vec`, also `foo:bar`, as `foo` is no field.
//!   With a star, `main.r*`, it is the tokens before and a word that begins with `r`, in any order.
//! - A word without tokens (`--`, `()`) is as if it were not there. `--flag` is the word `flag`.
//! - `NOT NOT x` is `x`.

mod ast;
mod display;
mod error;
pub mod highlight;
mod lexer;
mod limits;
mod normalize;
mod operand;
mod parser;
pub mod scoring;
mod validate;

pub use ast::{Field, FieldSet, Node};
pub use error::{Operator, QueryError, QueryErrorKind};
pub use limits::QueryLimits;
pub use parser::{MatchMode, literal, parse};
pub use validate::{TreeError, validate};

#[cfg(test)]
mod tests;
