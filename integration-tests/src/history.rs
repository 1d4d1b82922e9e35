//! The exact checker: every recorded answer against the log it was made from.
//!
//! ```text
//! Kafka ─► LogCopy ─► reference engine, one per partition ─► at each label: what the answer must have been
//! load ──► Answer (request, hits, figures, labels) ──────────────────────────► equal, or a Difference
//! load ──► Acknowledged (document, version, token) ─► in the log once, below the token's offset
//! ```
//!
//! An answer is right when it is what the reference engine gives for exactly the records below its label: hits and
//! their order, scores, totals, and the figures scores are made of. What is lost, made up, outdated, brought back
//! or counted twice breaks that one rule. The checker is pure; it shares with the cluster the query parser, the
//! hash of namespaces and the record's protobuf, and nothing else.

mod check;
mod log;
mod order;
mod record;
#[cfg(test)]
mod tests;
mod verdict;

pub use self::check::check_answers;
pub use self::log::{DecodeError, Entry, LogCopy};
pub use self::order::{check_acknowledged, check_labels};
pub use self::record::{Acknowledged, Answer, Figures, Label, ShownHit};
pub use self::verdict::{Difference, Verdict};
