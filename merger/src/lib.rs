//! The merger: the public search API. Who is asking, what they may see, what they mean, in which
//! order, and how it is shown.
//!
//! ```text
//! client ─ bearer token, text ─► caller ─► scope (catalog) ─► understand ─► grant ─► root
//!                                                                                     │
//!        candidates with frequencies and lengths, statistics of the scope, coverage ◄─┘
//!             │ (again by those statistics, where partitions chose by different ones)
//!             └─► rank ─► second access check (catalog) ─► fetch (root), with highlights ─► page
//! ```
//!
//! A drawn search is run again on a candidate build once it is answered, and only compared ([`shadow`]).
//!
//! It fails closed: without the catalog, or without a part of the scope that the caller did not
//! give up, there is an error and no page. It holds no documents and no state of a request after
//! its end; what a client keeps for it (tokens) is sealed.
//!
//! Life: [`RawConfig`] → [`Config`] → [`Merger::build`] → [`Merger::spawn`] and its services on a
//! server, which drains.

mod caller;
mod candidates;
mod config;
mod consistency;
pub mod coverage;
mod documents;
mod error;
mod explain;
mod fetch;
mod grpc;
mod merger;
mod metrics;
mod page;
mod page_token;
pub mod rank;
mod root_client;
mod roots;
mod scope;
mod search;
mod search_token;
pub mod shadow;
mod status;
pub mod stopwatch;
mod suggest;
mod track;
pub mod understand;
mod wish;

pub use config::{Config, RawConfig};
pub use error::{MergerError, PageTokenProblem};
pub use grpc::MergerGrpc;
pub use merger::{Merger, Parts};
pub use metrics::Counts;
pub use root_client::RootError;
