//! The process shell every role uses: tasks, threads, time, configuration, logging, gRPC server.
//!
//! ```text
//! file + NAUTILUS_* + flags ─► config ─► role ─► TaskGroup ─► tasks, threads, WorkerPool
//!                                         │          ▲
//!                                         │          └── signals (stop)
//!                                         └► server: tls ► arrival ► admission ► peer ► guard ► metrics ► trace ► handler
//! ```
//!
//! What is banned everywhere else by lint has its one home here: starting tasks
//! ([`task_group`]), reading clocks ([`clock`]), reading the environment ([`config`]). The one
//! mapping between [`nautilus_types::Class`] and gRPC codes is [`status`].
//!
//! Not here: anything that knows a search, a partition or a message of ours.

pub mod admin_http;
pub mod clock;
pub mod config;
pub mod deadline;
pub mod logging;
pub mod request_id;
pub mod server;
pub mod signals;
pub mod status;
pub mod task_group;
pub mod threads;
pub mod tls;
pub mod traces;
pub mod worker_pool;

pub use clock::{Clock, ManualClock};
pub use deadline::Deadline;
pub use request_id::RequestId;
pub use status::{RpcError, class_of};
pub use task_group::TaskGroup;
/// The stop signal tasks receive.
pub use tokio_util::sync::CancellationToken;
pub use worker_pool::{PoolError, PoolSettings, WorkerPool};
