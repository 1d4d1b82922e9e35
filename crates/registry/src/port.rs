//! The port: what any registry promises, without naming a backend.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::RegistryError;

/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 4 * 1024;
/// Most conditions, and most operations, of one transaction.
pub const TRANSACTION_OPERATIONS_MAX: usize = 128;

/// Number of a state of the whole registry; grows with every change, never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseId(pub u64);

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Printable ASCII without spaces, parts separated by `/`.
    pub key: String,
    /// Any bytes.
    pub value: Bytes,
    /// When this value was written.
    pub modified: Revision,
    /// The lease it lives by, if any.
    pub lease: Option<LeaseId>,
}

/// The state of a prefix at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The revision; a watch from the next one misses nothing.
    pub revision: Revision,
    /// By key, ascending.
    pub entries: Vec<Entry>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written.
    Put(Entry),
    /// The key is gone: deleted, or its lease ended.
    Delete {
        /// Which key.
        key: String,
        /// The revision of its deletion.
        at: Revision,
    },
}

/// What must hold for a transaction to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key does not exist.
    Absent(String),
    /// The key exists and was last written at this revision.
    Unchanged(String, Revision),
    /// The key exists.
    Present(String),
}

/// One write of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Writes the key, whatever it was.
    Put {
        /// Which key.
        key: String,
        /// Its new value.
        value: Bytes,
        /// The key goes when this lease ends; none = it stays.
        lease: Option<LeaseId>,
    },
    /// Removes the key; a missing one is no error.
    Delete(String),
}

/// All operations happen at one revision if all conditions hold, else none. A key is written at most once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// In order.
    pub operations: Vec<Operation>,
}

/// Changes under a prefix, in order of their revisions.
#[async_trait]
pub trait Watch: Send {
    /// The changes of the next revision that has any under the prefix: all of them together. Waits for one.
    /// After an error the watch has ended: list again and watch from there. Cancel safe.
    async fn next(&mut self) -> Result<(Revision, Vec<Change>), RegistryError>;
}

/// A small, consistent store of who is there and who does what.
///
/// *Order*: transactions are serialisable in real time and numbered by revisions that only grow.
/// *Durability*: an acknowledged change survives a crash, except that keys under a lease go with it.
/// *Leases*: a lease that is not kept alive for its time ends, and with it its keys, at one revision, seen by
/// watchers. It may end late, never early: a holder that counts from before it sent the last acknowledged
/// keep-alive stops in time.
/// *Watches* deliver each later change once and in order, or say that it was compacted. They may end at any
/// time, so a user also lists again now and then.
///
/// Any call may fail with `Unavailable`, `Corrupt` or `Closed`; others are named below.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// The key, as of a moment after the call began.
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError>;

    /// All keys that begin with `prefix`, at one revision after the call began.
    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError>;

    /// Performs the transaction and returns its revision; where nothing was to be changed, that of the state
    /// its conditions held in. `Conflict`, `LeaseGone`, `Invalid`.
    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError>;

    /// Watches keys that begin with `prefix` for changes at revision `from` and later. `Compacted`.
    async fn watch(&self, prefix: &str, from: Revision) -> Result<Box<dyn Watch>, RegistryError>;

    /// A new lease of at least `ttl`. `Invalid` outside 100 ms to 1 hour.
    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError>;

    /// Begins the lease's time anew. `LeaseGone`.
    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError>;

    /// Ends the lease now, with its keys. A lease that is gone is no error.
    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError>;

    /// Lets go of everything; calls and watches after it fail with `Closed`.
    async fn close(&self);
}
