//! The coordinator: decides, for one replica group, which leaf serves which partition.
//!
//! ```text
//! registry ─ listing, watch ─► view ─► roster ─► plan ─► check ─► transactions ─► registry
//!    │                                   (who is missing)          each under the condition that this
//!    └─ leader key, by lease ─► election ─────────────────────────► coordinator leads and that the
//!                                                                   assignment is as the plan saw it
//! ```
//!
//! Of the coordinators of a group one acts, elected by a key under its lease; the others stand by. All
//! decisions are [`plan`]'s, a pure function; the driver only does IO. It keeps no state that a successor would
//! need: what it decided stands in the registry. So does what people ask of it, through [`operate`].
//!
//! Not here: what a leaf does with its assignments, and how roots find out. A group without a coordinator
//! keeps serving as it does.
//!
//! Life: [`RawConfig`] → [`Config`] → [`Coordinator::build`] → [`Coordinator::spawn`], until told to stop.

mod backoff;
mod config;
mod coordinator;
mod driver;
mod election;
mod error;
mod metrics;
pub mod operate;
pub mod plan;
mod view;

#[cfg(test)]
mod tests;

pub use config::{Config, RawConfig};
pub use coordinator::Coordinator;
pub use error::CoordinatorError;
pub use metrics::CoordinatorMetrics;
