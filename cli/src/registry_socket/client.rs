//! The side of the commands: the registry's port over the socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use nautilus_coordinator::RawConfig;
use nautilus_registry::{
    Entry, LeaseId, Listing, Registry, RegistryError, Revision, Transaction, Watch,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{Answer, Call, MESSAGE_BYTES_MAX, socket_file};

/// The registry of a process on this machine.
pub(crate) struct SocketRegistry {
    file: PathBuf,
}

impl SocketRegistry {
    /// Of the process that holds this data directory.
    pub(crate) fn at(data_dir: &Path) -> Self {
        Self { file: socket_file(data_dir) }
    }

    /// Whether such a process runs, or was killed.
    pub(crate) fn is_there(&self) -> bool {
        self.file.exists()
    }

    /// What its coordinators are told.
    pub(crate) async fn coordinator(&self) -> Result<RawConfig, RegistryError> {
        let answer = self.ask(&Call::Coordinator).await?;
        let Answer::Coordinator(config) = answer else { return Err(unexpected(&answer)) };
        Ok(*config)
    }

    async fn ask(&self, call: &Call) -> Result<Answer, RegistryError> {
        let answered = async {
            let mut stream = UnixStream::connect(&self.file).await?;
            stream.write_all(&serde_json::to_vec(call)?).await?;
            stream.shutdown().await?;
            let mut bytes = Vec::new();
            stream.take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes).await?;
            Ok(serde_json::from_slice(&bytes)?)
        };
        let answered: Result<Answer, std::io::Error> = answered.await;
        match answered.map_err(|error| RegistryError::Unavailable(Box::new(error)))? {
            Answer::Refused(error) => Err(error.into()),
            answer @ (Answer::Coordinator(_)
            | Answer::Entry(_)
            | Answer::Listing { .. }
            | Answer::Revision(_)
            | Answer::Lease(_)
            | Answer::Done) => Ok(answer),
        }
    }
}

fn unexpected(answer: &Answer) -> RegistryError {
    let problem = format!("an answer to another call: {answer:?}");
    RegistryError::Unavailable(problem.into())
}

#[async_trait]
impl Registry for SocketRegistry {
    async fn get(&self, key: &str) -> Result<Option<Entry>, RegistryError> {
        let answer = self.ask(&Call::Get { key: key.to_owned() }).await?;
        let Answer::Entry(entry) = answer else { return Err(unexpected(&answer)) };
        Ok(entry.map(Into::into))
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        let answer = self.ask(&Call::List { prefix: prefix.to_owned() }).await?;
        let Answer::Listing { revision, entries } = answer else { return Err(unexpected(&answer)) };
        let entries = entries.into_iter().map(Into::into).collect();
        Ok(Listing { revision: Revision(revision), entries })
    }

    async fn transact(&self, transaction: Transaction) -> Result<Revision, RegistryError> {
        let call = Call::Transact {
            conditions: transaction.conditions.into_iter().map(Into::into).collect(),
            operations: transaction.operations.into_iter().map(Into::into).collect(),
        };
        let answer = self.ask(&call).await?;
        let Answer::Revision(revision) = answer else { return Err(unexpected(&answer)) };
        Ok(Revision(revision))
    }

    /// Commands look again instead.
    async fn watch(&self, _prefix: &str, _from: Revision) -> Result<Box<dyn Watch>, RegistryError> {
        let problem = "the socket of a data directory has no watches".to_owned();
        Err(RegistryError::Invalid { what: "watch", problem })
    }

    async fn grant_lease(&self, ttl: Duration) -> Result<LeaseId, RegistryError> {
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let answer = self.ask(&Call::GrantLease { ttl_ms }).await?;
        let Answer::Lease(lease) = answer else { return Err(unexpected(&answer)) };
        Ok(LeaseId(lease))
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.ask(&Call::KeepAlive { lease: lease.0 }).await.map(|_| ())
    }

    async fn revoke_lease(&self, lease: LeaseId) -> Result<(), RegistryError> {
        self.ask(&Call::RevokeLease { lease: lease.0 }).await.map(|_| ())
    }

    async fn close(&self) {}
}
