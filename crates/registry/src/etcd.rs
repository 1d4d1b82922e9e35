//! The registry on etcd, for clusters of more than one machine.
//!
//! ```text
//! get, list ──── linearizable reads ──┐                       ┌─► endpoint (the one that answered last)
//! transact ───── compare, put, delete ┼─► members: deadline, ─┼─► endpoint
//! leases ─────── grant, keep, revoke ─┘   failover            └─► endpoint
//! watch ──────── stream ─► assembly: one revision at a time, never back
//! ```
//!
//! A revision of the port is one of etcd's; others that write to the same etcd make revisions that
//! change nothing here. Nothing is decided from one member's memory: reads go through the majority, and
//! a watch on a member that lost it ends. No task of ours runs behind the calls.
//!
//! How etcd is to be set up, and what it does not promise: `docs/adr/2026-11-22-etcd.md`.

mod assembly;
mod config;
mod keyspace;
mod leases;
mod listing;
mod members;
mod seen;
mod status;
#[cfg(test)]
mod tests;
mod transaction;
mod watch;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch as signal;

pub use self::config::{EtcdConfig, EtcdIdentity, EtcdTls, EtcdUser};
use self::keyspace::Keyspace;
use self::members::{Members, Repeat};
use self::seen::Seen;
use self::watch::EtcdWatch;
use crate::checks::{check_transaction, check_ttl};
use crate::{Entry, LeaseId, Listing, Registry, RegistryError, Revision, Transaction, Watch};

/// A registry in etcd, below the prefix of one cluster.
///
/// A change whose future is dropped may still happen.
pub struct EtcdRegistry {
    /// Nothing once it was closed.
    members: Mutex<Option<Arc<Members>>>,
    keyspace: Keyspace,
    seen: Arc<Seen>,
    closed: signal::Sender<bool>,
    timeout: Duration,
}

impl EtcdRegistry {
    /// Prepares to talk to etcd; connections are made when first needed, so that etcd may be away.
    ///
    /// `Invalid` where the configuration is wrong or a file it names cannot be read. Must be called within
    /// a tokio runtime.
    pub async fn open(config: EtcdConfig) -> Result<Self, RegistryError> {
        config.check()?;
        let members = Members::new(&config).await?;
        Ok(Self {
            members: Mutex::new(Some(Arc::new(members))),
            keyspace: Keyspace::of_cluster(&config.cluster),
            seen: Arc::new(Seen::default()),
            closed: signal::Sender::new(false),
            timeout: config.timeout,
        })
    }

    fn members(&self) -> Result<Arc<Members>, RegistryError> {
        let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        members.clone().ok_or(RegistryError::Closed)
    }

    /// The outcome of `call`, unless the registry is closed meanwhile.
    async fn unless_closed<T>(
        &self,
        call: impl Future<Output = Result<T, RegistryError>> + Send,
    ) -> Result<T, RegistryError> {
        let mut closed = self.closed.subscribe();
        tokio::select! {
            biased;
            _ = closed.wait_for(|is_closed| *is_closed) => Err(RegistryError::Closed),
            outcome = call => outcome,
        }
    }
}

#[async_trait]
impl Registry for EtcdRegistry {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        self.unless_closed(listing::get(self, key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        let members = self.members()?;
        let in_time = members.in_time(listing::list(self, prefix, listing::PAGE_ENTRIES));
        self.unless_closed(in_time).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        check_transaction(&transaction)?;
        self.unless_closed(transaction::transact(self, transaction)).await
    }

    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        let watch = EtcdWatch::begin(self, prefix, from);
        Ok(Box::new(self.unless_closed(watch).await?))
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        check_ttl(ttl)?;
        self.unless_closed(leases::grant(self, ttl)).await
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.unless_closed(leases::keep_alive(self, lease)).await
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.unless_closed(leases::revoke(self, lease)).await
    }

    async fn close(&self) {
        self.closed.send_replace(true);
        drop(self.members.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
