//! The suite of the port on real nodes, one for each case: revisions are of the whole etcd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use nautilus_test_services::Etcd;

use super::{etcd, open_on};
use crate::Registry;
use crate::conformance::RegistryUnderTest;
use crate::etcd::EtcdRegistry;

struct OnEtcd {
    etcd: Etcd,
    registry: Arc<EtcdRegistry>,
}

impl OnEtcd {
    async fn open() -> Option<Self> {
        let etcd = etcd()?;
        let registry = open_on(&etcd).await;
        Some(Self { etcd, registry })
    }
}

#[async_trait]
impl RegistryUnderTest for OnEtcd {
    fn registry(&self) -> Arc<dyn Registry> {
        Arc::clone(&self.registry) as Arc<dyn Registry>
    }

    /// Kills the node, too.
    async fn reopen(&mut self) -> Arc<dyn Registry> {
        self.registry.close().await;
        self.etcd.restart();
        self.registry = open_on(&self.etcd).await;
        self.registry()
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    async fn pass(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }

    /// A lease lasts a second at least, and its end is noticed up to a second later.
    fn ttl(&self) -> Duration {
        Duration::from_secs(6)
    }
}

crate::registry_conformance!({
    let Some(subject) = OnEtcd::open().await else { return };
    subject
});
