//! The registry: who is there, and who does what.
//!
//! ```text
//! leaf ── registration, replicas (lease) ─┐                      ┌─► coordinator: plan, assignments
//! coordinator ── leader, assignments ─────┴─ Registry ── watches ┴─► root: routing table
//! ```
//!
//! Small values that change seldom; nothing that a search waits for. Here are the [`Registry`] port, its
//! implementations on etcd (`EtcdRegistry`, feature `etcd`) and on a SQLite file ([`EmbeddedRegistry`]), a
//! wrapper that injects seeded faults ([`Faulty`]), the keys and values that roles keep in it ([`layout`]),
//! and the conformance suite every implementation runs (feature `conformance`). What is decided from it is the roles' business.

mod checks;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod embedded;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod faulty;
pub mod layout;
mod port;
mod seeded;

pub use embedded::{EmbeddedConfig, EmbeddedRegistry, MonotonicClock};
pub use error::RegistryError;
#[cfg(feature = "etcd")]
pub use etcd::{EtcdConfig, EtcdIdentity, EtcdRegistry, EtcdTls, EtcdUser};
pub use faulty::{FaultPlan, Faulty};
pub use port::{
    Change, Condition, Entry, KEY_BYTES_MAX, LeaseId, Listing, Operation, Registry, Revision,
    TRANSACTION_OPERATIONS_MAX, Transaction, VALUE_BYTES_MAX, Watch,
};
