//! Real services for tests: each started by the test that needs it, on loopback ports of its own, and gone
//! with the test's process however that ends.
//!
//! A service that this machine does not have is said aloud and counted, never passed over in silence
//! ([`or_skip`]); with `CI=true` it is a failure.

mod daemon;
mod etcd;
mod folder;
mod kafka;
mod missing;
mod port;
mod postgres;
mod s3;

pub use self::daemon::{Daemon, Launch};
pub use self::etcd::{Etcd, EtcdCluster};
pub use self::kafka::Kafka;
pub use self::missing::{Missing, or_skip};
pub use self::port::free_port;
pub use self::postgres::Postgres;
pub use self::s3::S3;
