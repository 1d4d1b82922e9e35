//! A registry that can be cut off: while it is, every call fails, and open watches end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nautilus_registry::{
    Change, Entry, LeaseId, Listing, Registry, RegistryError, Revision, Transaction, Watch,
};
use tokio::sync::watch;

pub(crate) struct Flaky {
    inner: Arc<dyn Registry>,
    is_up: Arc<watch::Sender<bool>>,
}

struct FlakyWatch {
    inner: Box<dyn Watch>,
    is_up: watch::Receiver<bool>,
}

impl Flaky {
    pub(crate) fn new(inner: Arc<dyn Registry>) -> Arc<Self> {
        Arc::new(Self { inner, is_up: Arc::new(watch::Sender::new(true)) })
    }

    pub(crate) fn set_up(&self, is_up: bool) {
        self.is_up.send_replace(is_up);
    }

    fn check(&self) -> Result<(), RegistryError> {
        if *self.is_up.borrow() { Ok(()) } else { Err(cut_off()) }
    }
}

fn cut_off() -> RegistryError {
    RegistryError::Unavailable("cut off".into())
}

#[async_trait]
impl Watch for FlakyWatch {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        tokio::select! {
            _ = self.is_up.wait_for(|is_up| !is_up) => Err(cut_off()),
            changes = self.inner.next() => changes,
        }
    }
}

#[async_trait]
impl Registry for Flaky {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        self.check()?;
        self.inner.list(prefix).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        self.check()?;
        self.inner.transact(transaction).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        self.check()?;
        let inner = self.inner.watch(prefix, from).await?;
        Ok(Box::new(FlakyWatch { inner, is_up: self.is_up.subscribe() }))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        self.check()?;
        self.inner.grant_lease(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.check()?;
        self.inner.keep_alive(lease).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.check()?;
        self.inner.revoke_lease(lease).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
