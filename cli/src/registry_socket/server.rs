//! The side of the process that has the registry.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use nautilus_coordinator::RawConfig;
use nautilus_registry::{LeaseId, Registry, RegistryError, Transaction};
use nautilus_service::CancellationToken;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::{Answer, Call, MESSAGE_BYTES_MAX, socket_file};

/// One call after the other is served: whoever says nothing for this long keeps others waiting no longer.
const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Listens until it is dropped.
pub(crate) struct RegistrySocket {
    listener: UnixListener,
    file: PathBuf,
    registry: Arc<dyn Registry>,
    coordinator: RawConfig,
}

impl RegistrySocket {
    /// Listens in the data directory, which this process holds.
    pub(crate) fn bind(
        data_dir: &Path,
        registry: Arc<dyn Registry>,
        coordinator: RawConfig,
    ) -> anyhow::Result<Self> {
        let file = socket_file(data_dir);
        // Left by a process that was killed; the lock of the folder says that it is nobody's.
        remove(&file).with_context(|| format!("remove {}", file.display()))?;
        let listener =
            UnixListener::bind(&file).with_context(|| format!("listen at {}", file.display()))?;
        Ok(Self { listener, file, registry, coordinator })
    }

    /// Serves until told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let served = match accepted {
                Ok((stream, _)) => tokio::time::timeout(CALL_TIME_MAX, self.serve(stream)).await,
                Err(error) => Ok(Err(error)),
            };
            match served {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a command's call of the registry failed")
                }
                Err(_) => tracing::debug!("a command's call of the registry took too long"),
            }
        }
    }

    async fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        (&mut stream).take(MESSAGE_BYTES_MAX).read_to_end(&mut bytes).await?;
        let call: Call = serde_json::from_slice(&bytes)?;
        let answer = self.answer(call).await.unwrap_or_else(|error| Answer::Refused(error.into()));
        stream.write_all(&serde_json::to_vec(&answer)?).await?;
        stream.shutdown().await
    }

    async fn answer(&self, call: Call) -> Result<Answer, RegistryError> {
        let registry = &self.registry;
        Ok(match call {
            Call::Coordinator => Answer::Coordinator(Box::new(self.coordinator.clone())),
            Call::Get { key } => Answer::Entry(registry.get(&key).await?.map(Into::into)),
            Call::List { prefix } => {
                let listing = registry.list(&prefix).await?;
                let entries = listing.entries.into_iter().map(Into::into).collect();
                Answer::Listing { revision: listing.revision.0, entries }
            }
            Call::Transact { conditions, operations } => {
                let transaction = Transaction {
                    conditions: conditions.into_iter().map(Into::into).collect(),
                    operations: operations.into_iter().map(Into::into).collect(),
                };
                Answer::Revision(registry.transact(transaction).await?.0)
            }
            Call::GrantLease { ttl_ms } => {
                Answer::Lease(registry.grant_lease(Duration::from_millis(ttl_ms)).await?.0)
            }
            Call::KeepAlive { lease } => {
                registry.keep_alive(LeaseId(lease)).await?;
                Answer::Done
            }
            Call::RevokeLease { lease } => {
                registry.revoke_lease(LeaseId(lease)).await?;
                Answer::Done
            }
        })
    }
}

impl Drop for RegistrySocket {
    fn drop(&mut self) {
        // Whoever starts here next removes it too.
        let _ = remove(&self.file);
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
