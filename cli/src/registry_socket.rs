//! The registry of a running `nautilus dev` for the commands of its machine: a Unix socket in the data directory,
//! which only its owner reaches.
//!
//! ```text
//! nautilus group drain b ─► SocketRegistry ─ one call, one connection, JSON ─► RegistrySocket ─► embedded registry
//! ```
//!
//! With etcd none of this is needed: then commands reach the registry as processes do.

mod client;
mod server;

use std::path::{Path, PathBuf};

use nautilus_registry::{Condition, Entry, LeaseId, Operation, RegistryError, Revision};
use serde::{Deserialize, Serialize};

pub(crate) use client::SocketRegistry;
pub(crate) use server::RegistrySocket;

/// Longest call and longest answer, in bytes: a listing of thousands of keys.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where it is.
pub(crate) fn socket_file(data_dir: &Path) -> PathBuf {
    data_dir.join("registry.sock")
}

/// What is asked.
#[derive(Debug, Serialize, Deserialize)]
enum Call {
    /// What groups shall look like, as the coordinators of the process are told.
    Coordinator,
    Get {
        key: String,
    },
    List {
        prefix: String,
    },
    Transact {
        conditions: Vec<WireCondition>,
        operations: Vec<WireOperation>,
    },
    GrantLease {
        ttl_ms: u64,
    },
    KeepAlive {
        lease: u64,
    },
    RevokeLease {
        lease: u64,
    },
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Coordinator(Box<nautilus_coordinator::RawConfig>),
    Entry(Option<WireEntry>),
    Listing { revision: u64, entries: Vec<WireEntry> },
    Revision(u64),
    Lease(u64),
    Done,
    Refused(WireError),
}

#[derive(Debug, Serialize, Deserialize)]
struct WireEntry {
    key: String,
    value: Vec<u8>,
    modified: u64,
    lease: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
enum WireCondition {
    Absent(String),
    Unchanged(String, u64),
    Present(String),
}

#[derive(Debug, Serialize, Deserialize)]
enum WireOperation {
    Put { key: String, value: Vec<u8>, lease: Option<u64> },
    Delete(String),
}

#[derive(Debug, Serialize, Deserialize)]
enum WireError {
    Conflict { key: String, revision: u64 },
    LeaseGone { lease: u64 },
    Invalid { problem: String },
    Corrupt { problem: String },
    Unavailable { problem: String },
}

impl From<Entry> for WireEntry {
    fn from(entry: Entry) -> Self {
        Self {
            key: entry.key,
            value: entry.value.to_vec(),
            modified: entry.modified.0,
            lease: entry.lease.map(|lease| lease.0),
        }
    }
}

impl From<WireEntry> for Entry {
    fn from(entry: WireEntry) -> Self {
        Self {
            key: entry.key,
            value: entry.value.into(),
            modified: Revision(entry.modified),
            lease: entry.lease.map(LeaseId),
        }
    }
}

impl From<Condition> for WireCondition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Absent(key) => Self::Absent(key),
            Condition::Unchanged(key, revision) => Self::Unchanged(key, revision.0),
            Condition::Present(key) => Self::Present(key),
        }
    }
}

impl From<WireCondition> for Condition {
    fn from(condition: WireCondition) -> Self {
        match condition {
            WireCondition::Absent(key) => Self::Absent(key),
            WireCondition::Unchanged(key, revision) => Self::Unchanged(key, Revision(revision)),
            WireCondition::Present(key) => Self::Present(key),
        }
    }
}

impl From<Operation> for WireOperation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Put { key, value, lease } => {
                Self::Put { key, value: value.to_vec(), lease: lease.map(|lease| lease.0) }
            }
            Operation::Delete(key) => Self::Delete(key),
        }
    }
}

impl From<WireOperation> for Operation {
    fn from(operation: WireOperation) -> Self {
        match operation {
            WireOperation::Put { key, value, lease } => {
                Self::Put { key, value: value.into(), lease: lease.map(LeaseId) }
            }
            WireOperation::Delete(key) => Self::Delete(key),
        }
    }
}

impl From<RegistryError> for WireError {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Conflict { key, revision } => {
                Self::Conflict { key, revision: revision.0 }
            }
            RegistryError::LeaseGone { lease } => Self::LeaseGone { lease },
            RegistryError::Invalid { what, problem } => {
                Self::Invalid { problem: format!("{what}: {problem}") }
            }
            RegistryError::Corrupt { problem } => Self::Corrupt { problem },
            RegistryError::Compacted { .. }
            | RegistryError::Unavailable(_)
            | RegistryError::Closed => Self::Unavailable { problem: error.to_string() },
        }
    }
}

impl From<WireError> for RegistryError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Conflict { key, revision } => {
                Self::Conflict { key, revision: Revision(revision) }
            }
            WireError::LeaseGone { lease } => Self::LeaseGone { lease },
            WireError::Invalid { problem } => Self::Invalid { what: "call", problem },
            WireError::Corrupt { problem } => Self::Corrupt { problem },
            WireError::Unavailable { problem } => Self::Unavailable(problem.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use nautilus_registry::{EmbeddedConfig, EmbeddedRegistry, Registry as _, Transaction};
    use nautilus_service::{CancellationToken, Clock, TaskGroup};

    use super::*;

    #[tokio::test]
    async fn a_registry_is_the_same_from_outside() {
        let dir = tempfile::tempdir().expect("folder");
        let clock = Clock::system();
        let config =
            EmbeddedConfig::new(dir.path().join("registry.sqlite"), Arc::new(move || clock.now()));
        let inner = Arc::new(EmbeddedRegistry::open(config).await.expect("opens"));
        let raw = nautilus_coordinator::RawConfig { partitions: 7, ..Default::default() };
        let socket = RegistrySocket::bind(dir.path(), inner.clone(), raw).expect("binds");
        let mut tasks = TaskGroup::new(&CancellationToken::new());
        tasks.spawn("registry-socket", |stop| socket.run(stop));

        let outside = SocketRegistry::at(dir.path());
        assert_eq!(outside.coordinator().await.expect("told").partitions, 7);
        let lease = outside.grant_lease(Duration::from_secs(9)).await.expect("granted");
        let put = |key: &str, lease| Operation::Put {
            key: key.to_owned(),
            value: vec![0, 255].into(),
            lease,
        };
        let absent = vec![Condition::Absent("a/x".to_owned())];
        let operations = vec![put("a/x", None), put("a/y", Some(lease))];
        let transaction = Transaction { conditions: absent.clone(), operations };
        let revision = outside.transact(transaction).await.expect("written");
        let listed = outside.list("a/").await.expect("listed");
        assert_eq!(listed, inner.list("a/").await.expect("listed"));
        assert_eq!((listed.entries.len(), listed.entries[0].modified), (2, revision));
        let again = Transaction { conditions: absent, operations: vec![put("a/x", None)] };
        let refused = outside.transact(again).await.expect_err("a conflict");
        assert!(matches!(refused, RegistryError::Conflict { .. }), "{refused}");
        outside.keep_alive(lease).await.expect("kept");
        outside.revoke_lease(lease).await.expect("revoked");
        assert!(outside.get("a/y").await.expect("read").is_none());
        assert!(outside.get("a/x").await.expect("read").is_some());

        assert!(tasks.drain(Duration::from_secs(5)).await.is_clean());
        let gone = outside.get("a/x").await.expect_err("nobody answers");
        assert!(matches!(gone, RegistryError::Unavailable(_)), "{gone}");
    }
}
