//! The suite every implementation of [`Registry`] runs: the port's rules, one case each.
//!
//! ```ignore
//! mod embedded {
//!     nautilus_registry::registry_conformance!(TempRegistry::open().await);
//! }
//! ```
//!
//! The expression makes a fresh [`RegistryUnderTest`] for each case, in a tokio test with several
//! threads.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Change, Condition, Entry, LeaseId, Operation, Registry, RegistryError, Revision, Transaction,
    Watch,
};

mod leases;
mod lifetime;
mod transactions;
mod watches;

pub use leases::*;
pub use lifetime::*;
pub use transactions::*;
pub use watches::*;

/// An empty registry.
#[async_trait]
pub trait RegistryUnderTest: Send {
    /// The registry as it is open now.
    fn registry(&self) -> Arc<dyn Registry>;

    /// Closes the registry and opens it again with what it holds, as after a restart of the process.
    async fn reopen(&mut self) -> Arc<dyn Registry>;

    /// The monotonic clock that leases run by.
    fn now(&self) -> Instant;

    /// Lets that clock go on by at least this: sets it by hand, or waits.
    async fn pass(&self, by: Duration);

    /// The time to live of the leases that cases let end: as long as a loaded machine needs for a step,
    /// since a real clock does not wait for the test, and more than twice what the shortest lease takes
    /// until it has ended.
    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }
}

/// Stamps the suite for one implementation: a test per case. Put it in a module of its own.
#[macro_export]
macro_rules! registry_conformance {
    ($subject:expr) => {
        $crate::registry_conformance! { @cases $subject =>
            what_is_put_is_read
            conditions_are_checked
            a_loser_changes_nothing
            transactions_happen_at_one_revision
            a_key_is_written_at_most_once
            deleting_what_is_missing_changes_nothing
            bounds_are_kept
            listings_are_of_their_prefix
            readers_see_all_of_a_transaction_or_none
            concurrent_increments_lose_nothing
            expiry_deletes_a_leases_keys_at_one_revision
            leases_never_end_early
            keeping_alive_extends
            revoking_ends_a_lease
            dead_leases_take_no_keys
            a_key_follows_its_last_lease
            times_to_live_are_bounded
            watches_deliver_each_change_once_and_in_order
            watches_begin_where_they_are_told
            watches_see_only_their_prefix
            watches_miss_nothing_after_a_listing
            watches_that_fall_behind_are_told
            a_dropped_wait_loses_nothing
            acknowledged_changes_survive_reopening
            revisions_only_grow
            closing_wakes_watchers_and_refuses_calls
        }
    };
    (@cases $subject:expr => $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::$case($subject).await;
            }
        )+
    };
}

/// No step of the suite takes this long unless it hangs.
const STEP_MAX: Duration = Duration::from_secs(60);

/// The result of a step that must end.
async fn bounded<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(STEP_MAX, step).await.expect("the step ended in time")
}

fn put(key: &str, value: &str) -> Operation {
    let value = Bytes::copy_from_slice(value.as_bytes());
    Operation::Put { key: key.to_owned(), value, lease: None }
}

fn put_under(lease: LeaseId, key: &str) -> Operation {
    Operation::Put { key: key.to_owned(), value: Bytes::from_static(b"alive"), lease: Some(lease) }
}

fn delete(key: &str) -> Operation {
    Operation::Delete(key.to_owned())
}

fn transaction<const C: usize, const O: usize>(
    conditions: [Condition; C],
    operations: [Operation; O],
) -> Transaction {
    Transaction { conditions: conditions.into(), operations: operations.into() }
}

/// Performs operations without conditions.
async fn perform<const O: usize>(registry: &dyn Registry, operations: [Operation; O]) -> Revision {
    bounded(registry.transact(transaction([], operations))).await.expect("performed")
}

async fn get(registry: &dyn Registry, key: &str) -> Option<Entry> {
    bounded(registry.get(key)).await.expect("read")
}

async fn grant(registry: &dyn Registry, ttl: Duration) -> LeaseId {
    bounded(registry.grant_lease(ttl)).await.expect("granted")
}

/// The latest revision.
async fn revision(registry: &dyn Registry) -> Revision {
    bounded(registry.list("")).await.expect("listed").revision
}

/// A watch of what comes after everything so far.
async fn watch_from_now(registry: &dyn Registry, prefix: &str) -> Box<dyn Watch> {
    let from = revision(registry).await.next();
    bounded(registry.watch(prefix, from)).await.expect("watches")
}

async fn next(watch: &mut dyn Watch) -> (Revision, Vec<Change>) {
    bounded(watch.next()).await.expect("a change")
}

/// Keys and values, `None` for a deletion; checks that all are of the revision.
fn changes((revision, changes): (Revision, Vec<Change>)) -> Vec<(String, Option<String>)> {
    let told = |change| match change {
        Change::Put(Entry { key, value, modified, .. }) => {
            assert_eq!(modified, revision, "{key}");
            (key, Some(String::from_utf8_lossy(&value).into_owned()))
        }
        Change::Delete { key, at } => {
            assert_eq!(at, revision, "{key}");
            (key, None)
        }
    };
    changes.into_iter().map(told).collect()
}

fn written(key: &str, value: &str) -> (String, Option<String>) {
    (key.to_owned(), Some(value.to_owned()))
}

fn deleted(key: &str) -> (String, Option<String>) {
    (key.to_owned(), None)
}

#[track_caller]
fn assert_conflict(outcome: Result<Revision, RegistryError>, wanted: &str, at: Revision) {
    match outcome {
        Err(RegistryError::Conflict { key, revision }) => {
            assert_eq!((&*key, revision), (wanted, at));
        }
        other => panic!("expected a conflict, got {other:?}"),
    }
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(outcome: Result<T, RegistryError>, wanted: &str) {
    match outcome {
        Err(RegistryError::Invalid { what, .. }) => assert_eq!(what, wanted),
        other => panic!("expected invalid, got {other:?}"),
    }
}

#[track_caller]
fn assert_lease_gone<T: std::fmt::Debug>(outcome: Result<T, RegistryError>, wanted: LeaseId) {
    match outcome {
        Err(RegistryError::LeaseGone { lease }) => assert_eq!(lease, wanted.0),
        other => panic!("expected that the lease is gone, got {other:?}"),
    }
}
