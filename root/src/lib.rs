//! The root: takes a grant and a query, asks the partitions of the scope, gathers their answers.
//!
//! ```text
//! merger ─ grant, namespaces, query ─► request (checked) ─► plan: parts by partition
//!                                                              │ one call each, at once
//!                                                              ▼
//!                                                    router ─► leaves
//!                                                              │ answers, failures
//!        ◄─ candidates, summed statistics, coverage ─ gather ◄─┘ (each answer checked)
//! ```
//!
//! It holds no documents and no state of a request after its end, and it cannot widen a grant: leaves
//! verify it again. It neither ranks nor decides what a missing partition means to a client.
//!
//! Life: [`RawConfig`] → [`Config`] → [`Root::build`] → [`Root::bind`] → `serve` until told to stop.

pub mod answer;
mod call;
mod config;
mod error;
pub mod failure;
pub mod gather;
mod grpc;
pub mod plan;
mod request;
mod root;
mod router;
mod routing;

pub use config::{Config, RawConfig, RawLeaf};
pub use error::RootError;
pub use grpc::RootGrpc;
pub use request::{CANDIDATES_MAX, FETCH_KEYS_MAX, LIST_MAX};
pub use root::Root;
pub use routing::RoutingTable;
