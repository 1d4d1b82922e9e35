//! The registry: who is there, and who does what.
//!
//! ```text
//! leaf ── registration, replicas (lease) ─┐                      ┌─► coordinator: plan, assignments
//! coordinator ── leader, assignments ─────┴─ Registry ── watches ┴─► root: routing table
//! ```
//!
//! Small values that change seldom; nothing that a search waits for.

mod error;
pub mod layout;
mod port;

pub use error::RegistryError;
pub use port::{
    Change, Condition, Entry, KEY_BYTES_MAX, LeaseId, Listing, Operation, Registry, Revision,
    TRANSACTION_OPERATIONS_MAX, Transaction, VALUE_BYTES_MAX, Watch,
};
