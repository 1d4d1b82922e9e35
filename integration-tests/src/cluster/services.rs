//! The services a cluster stands on.

use nautilus_test_services::{EtcdCluster, Kafka, Postgres, S3, or_skip};

/// All four, on ports of their own.
#[derive(Debug)]
pub struct Services {
    /// The registry.
    pub etcd: EtcdCluster,
    /// The mutation log.
    pub kafka: Kafka,
    /// The index repository.
    pub s3: S3,
    /// The catalog.
    pub postgres: Postgres,
    /// The catalog's database.
    pub database: String,
}

impl Services {
    /// Of the index repository.
    pub const BUCKET: &str = "nautilus";

    /// Starts them, etcd with so many members; none where one is missing, which is said aloud.
    #[must_use]
    pub fn start(test: &str, etcd_members: usize) -> Option<Self> {
        let etcd = or_skip(test, EtcdCluster::start(etcd_members))?;
        let s3 = or_skip(test, S3::start())?;
        let postgres = or_skip(test, Postgres::start())?;
        let kafka = or_skip(test, Kafka::start())?;
        s3.make_bucket(Self::BUCKET);
        let database = postgres.create_database();
        Some(Self { etcd, kafka, s3, postgres, database })
    }
}
