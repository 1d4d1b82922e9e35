//! A registry that can be switched off.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nautilus_registry::{
    Change, EmbeddedRegistry, Entry, LeaseId, Listing, Registry, RegistryError, Revision,
    Transaction, Watch,
};
use tokio::sync::watch;

/// The embedded registry behind a switch. Writes always pass: tests make the world with them.
pub(crate) struct Switch {
    inner: EmbeddedRegistry,
    is_on: Arc<watch::Sender<bool>>,
}

struct SwitchedWatch {
    inner: Box<dyn Watch>,
    is_on: watch::Receiver<bool>,
}

fn off() -> RegistryError {
    RegistryError::Unavailable("switched off".into())
}

impl Switch {
    pub(crate) fn new(inner: EmbeddedRegistry, is_on: bool) -> Self {
        Self { inner, is_on: Arc::new(watch::Sender::new(is_on)) }
    }

    pub(crate) fn set(&self, is_on: bool) {
        self.is_on.send_replace(is_on);
    }

    fn check(&self) -> Result<(), RegistryError> {
        if *self.is_on.borrow() { Ok(()) } else { Err(off()) }
    }
}

#[async_trait]
impl Watch for SwitchedWatch {
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError> {
        tokio::select! {
            biased;
            _ = self.is_on.wait_for(|is_on| !is_on) => Err(off()),
            next = self.inner.next() => next,
        }
    }
}

#[async_trait]
impl Registry for Switch {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        self.check()?;
        self.inner.get(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        self.check()?;
        self.inner.list(prefix).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        self.inner.transact(transaction).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        self.check()?;
        let inner = self.inner.watch(prefix, from).await?;
        Ok(Box::new(SwitchedWatch { inner, is_on: self.is_on.subscribe() }))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        self.inner.grant_lease(ttl).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.inner.keep_alive(lease).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.inner.revoke_lease(lease).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
