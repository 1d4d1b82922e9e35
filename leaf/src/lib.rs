//! The leaf: serves partitions of one replica group. `config → build → run → drain`.
//!
//! ```text
//! registry ─► placement ─► a driver for each partition ─► its life (a pure state machine)
//! index repository ─► recovery ──────┐                        │
//! mutation log ─► feed ─► turns on the apply pool ─► partition ─► watch of the applied offset
//! root ─► grant ─► state and offset ─► search pool ─► snapshot of the partition ─► candidates, documents, ids
//! registry ◄─ announcer, lease      index repository ◄─ snapshotter      metrics, roots ◄─ sampler, status
//! ```
//!
//! It answers for a partition only once it has caught up with the log's end at its start, and only for
//! namespaces that the signed grant of the request names. A search never waits for a write. A registry that is
//! away takes nothing from it: it goes on with its last assignments and says that it is not sure of its lease.

mod announcer;
mod answer;
mod applier;
mod assignment;
mod budget;
mod builds;
mod config;
mod convert;
mod digester;
mod digests;
mod driver;
mod error;
mod failures;
mod feed;
mod folders;
mod grpc;
mod highlights;
mod leaf;
mod lease;
mod metrics;
mod partition;
mod partitions;
mod placement;
mod poison;
mod progress;
mod pulse;
mod record;
mod recovery;
mod remake;
mod request;
mod sampler;
mod scrubber;
mod shared;
mod snapshotter;
mod state;
mod status;
mod verdict;
mod watch;
mod work;

pub use config::{Config, RawConfig};
pub use convert::attributes_of;
pub use error::LeafError;
pub use grpc::LeafGrpc;
pub use leaf::{Leaf, Parts};
pub use metrics::LeafMetrics;
pub use state::{Action, Event, Folder, Life, Next, Source, State};
pub use work::Work;
