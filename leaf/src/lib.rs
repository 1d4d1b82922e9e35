//! The leaf: serves partitions of one replica group. `config → build → run → drain`.
//!
//! ```text
//! mutation log ─► applier (a thread per partition, its only writer) ─► partition ─► watch of the applied offset
//! root ─► grant ─► state and offset ─► search pool ─► snapshot of the partition ─► candidates, documents, ids
//! ```
//!
//! It answers for a partition only once it has caught up with the log's end at its start, and only for
//! namespaces that the signed grant of the request names. A search never waits for a write.

mod applier;
mod budget;
mod config;
mod error;
mod grpc;
mod leaf;
mod partition;
mod record;
mod request;
mod state;
mod status;

pub use config::{Config, RawConfig};
pub use error::LeafError;
pub use grpc::LeafGrpc;
pub use leaf::Leaf;
pub use state::{Event, State};
