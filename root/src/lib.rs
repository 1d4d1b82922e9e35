//! The root: takes a grant and a query, asks the partitions of the scope, gathers their answers.
//!
//! ```text
//! registry ─ listings, changes ─► routing table ─┐        ┌─ leaves' status streams
//!                                                ▼        ▼
//! merger ─ grant, namespaces, query ─► plan ─► choice of a replica for each partition
//!                                                │ one call each, at once; hedged, retried
//!                                                ▼
//!                                              leaves
//!                                                │ answers (each checked, fenced), failures
//!        ◄─ candidates, summed statistics, coverage ─ gather
//! ```
//!
//! Of a drawn search it says where a candidate build could answer it too ([`shadow`]).
//!
//! It holds no documents and no state of a request after its end, and it cannot widen a grant: leaves
//! verify it again. It neither ranks nor decides what a missing partition means to a client.
//!
//! Life: [`RawConfig`] → [`Config`] → [`Root::build`] → [`Root::spawn`], [`Root::bind`] → `serve`
//! until told to stop.

pub mod answer;
pub mod budget;
pub mod builds;
mod call;
pub mod choice;
mod config;
mod dispatch;
mod error;
pub mod failure;
mod fetch;
pub mod fingerprint;
pub mod gather;
mod grpc;
pub mod hedge;
mod leaf_state;
mod leaf_watch;
mod metrics;
pub mod plan;
mod registry_watch;
mod replicas;
mod request;
mod root;
mod router;
pub mod routing;
mod search;
pub mod shadow;
mod stages;
mod status;
mod suggest;
mod suspect_sharing;
pub mod suspects;
mod work;

pub use config::{Config, Dispatching, Following, RawConfig};
pub use error::RootError;
pub use grpc::RootGrpc;
pub use hedge::HedgeMode;
pub use metrics::RootMetrics;
pub use request::{CANDIDATES_MAX, FETCH_KEYS_MAX, LIST_MAX, SUGGESTIONS_MAX};
pub use root::Root;
pub use router::RoutingState;
pub use routing::RoutingTable;
pub use search::search_fingerprint;
pub use work::Work;
