//! What is particular to the registry on etcd, on real ones, and the suite of the port.

mod access;
mod bounds;
mod cluster;
mod conformance;
mod faults;
mod history;
mod races;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nautilus_test_services::{Etcd, or_skip};

use super::{EtcdConfig, EtcdRegistry};
use crate::{
    Change, Condition, LeaseId, Operation, Registry, RegistryError, Revision, Transaction, Watch,
};

/// A node of its own, where this machine has etcd.
fn etcd() -> Option<Etcd> {
    or_skip("registry::etcd", Etcd::start())
}

fn config(endpoints: Vec<String>) -> EtcdConfig {
    EtcdConfig::new(endpoints, "test")
}

async fn open(config: EtcdConfig) -> Arc<EtcdRegistry> {
    Arc::new(EtcdRegistry::open(config).await.expect("opened"))
}

async fn open_on(etcd: &Etcd) -> Arc<EtcdRegistry> {
    open(config(vec![etcd.endpoint()])).await
}

/// A client of etcd's own, for what the port does not do.
async fn raw(etcd: &Etcd) -> etcd_client::Client {
    etcd_client::Client::connect([etcd.endpoint()], None).await.expect("connected")
}

/// The result of a step that must end.
async fn bounded<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), step).await.expect("the step ended in time")
}

fn put(key: &str, value: &str) -> Operation {
    put_under(None, key, value)
}

fn put_under(lease: Option<LeaseId>, key: &str, value: &str) -> Operation {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Operation::Put { key: key.to_owned(), value, lease }
}

fn delete(key: &str) -> Operation {
    Operation::Delete(key.to_owned())
}

fn when(condition: Condition, operation: Operation) -> Transaction {
    Transaction { conditions: vec![condition], operations: vec![operation] }
}

fn all(operations: impl Into<Vec<Operation>>) -> Transaction {
    Transaction { conditions: Vec::new(), operations: operations.into() }
}

async fn perform(registry: &dyn Registry, operations: impl Into<Vec<Operation>>) -> Revision {
    bounded(registry.transact(all(operations))).await.expect("performed")
}

async fn latest(registry: &dyn Registry) -> Revision {
    bounded(registry.list("")).await.expect("listed").revision
}

async fn watch_from(registry: &dyn Registry, from: Revision) -> Box<dyn Watch> {
    bounded(registry.watch("", from)).await.expect("watches")
}

async fn next(watch: &mut dyn Watch) -> (Revision, Vec<Change>) {
    bounded(watch.next()).await.expect("a change")
}

/// Repeats a call that fails with `Unavailable` until it does not.
async fn available<T, F>(call: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    bounded(async {
        loop {
            match call().await {
                Err(RegistryError::Unavailable(_)) => {
                    // An endpoint that is away refuses at once; this one machine also has to start it.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    })
    .await
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(outcome: Result<T, RegistryError>) {
    assert!(matches!(outcome, Err(RegistryError::Unavailable(_))), "{outcome:?}");
}

#[track_caller]
fn assert_corrupt<T: std::fmt::Debug>(outcome: Result<T, RegistryError>) {
    assert!(matches!(outcome, Err(RegistryError::Corrupt { .. })), "{outcome:?}");
}
