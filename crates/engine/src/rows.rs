//! Values of the rows: one codec per kind, each of which survives any bytes.

pub(crate) mod attributes;
pub(crate) mod document;
pub(crate) mod id;
pub(crate) mod namespace;
pub(crate) mod pairs;
pub(crate) mod posting;
pub(crate) mod varint;

/// Stored bytes that no encoder of ours writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {row} row")]
pub struct Malformed {
    /// The kind of row.
    pub(crate) row: &'static str,
}
