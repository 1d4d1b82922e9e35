//! Tests of the whole system from outside: real processes, killed and deprived of what they had
//! not synced.
//!
//! ```text
//! corpus ─► `nautilus feed` ──gRPC──► `nautilus dev` ─► data folder
//!               │                        ▲      │           │
//!               ▼              kill -9 ──┘      └► shim ─► journal ─► power cut: what the disk kept
//!        acknowledgements ───────────► checks ◄── ListDocuments, Search
//! ```
//!
//! The tests themselves are in `tests/`. `NAUTILUS_SEED` replays a run, `NAUTILUS_CRASH_ROUNDS` sets
//! its length, `NAUTILUS_BIN` tests another binary than the one built here.
//!
//! Not here: tests of one library, which are beside it.

pub mod acks;
pub mod chaos;
pub mod checks;
pub mod client;
pub mod cluster;
pub mod corpus;
pub mod faulty_leaf;
pub mod feed;
pub mod history;
pub mod load;
pub mod machine;
pub mod namespaces;
pub mod power_cut;
pub mod process;
pub mod rng;
pub mod rounds;
pub mod scratch;
pub mod settings;
pub mod wait;
