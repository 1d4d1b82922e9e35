//! The mutation log: the one ordered, durable sequence of mutations per partition.
//!
//! ```text
//! ingest ──► append ──► partition p: [ record | record | record ]──► read / wait_beyond ──► appliers
//!                            low (trimmed below)          high (next)
//! ```
//!
//! Here are the [`MutationLog`] port, its embedded implementation on local files ([`EmbeddedLog`]),
//! two wrappers of the port ([`Faulty`] injects seeded faults, [`Metered`] counts calls), and the
//! conformance suite every implementation runs (feature `conformance`). Records are opaque bytes
//! here: what a mutation means is decided by its writers and appliers. Nothing here replicates;
//! the embedded log lives on one disk.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod embedded;
mod error;
mod faulty;
mod fingerprint;
mod metered;
mod port;
mod seeded;

#[cfg(any(test, feature = "simulation"))]
pub use embedded::simulated::SimulatedStorage;
pub use embedded::storage::{FileStorage, LogStorage, StorageLock, StoredFile};
pub use embedded::{EmbeddedConfig, EmbeddedLog, EmbeddedStats, WallClock};
pub use error::LogError;
pub use faulty::{FaultPlan, Faulty};
pub use fingerprint::fingerprint_before;
pub use metered::{CallCounts, Metered};
pub use port::{BATCH_BYTES_MAX, LogIdentity, MutationLog, Record, Watermarks};
