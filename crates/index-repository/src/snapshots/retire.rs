//! Removing manifests: each is marked first, and its files stay for a day after that.
//!
//! ```text
//! <partition>/retired/<snapshot>/<random>   the manifest's bytes, stored before the manifest is removed
//! ```

use std::time::Duration;

use nautilus_types::PartitionId;
use tokio::time::Instant;

use super::reuse::REUSE_TIME_MAX;
use super::{SnapshotName, Snapshots, UploadId, envelope};
use crate::{ObjectSource, RepositoryError};

/// How long the files of a removed snapshot stay, so that nobody who has just decided to use one again is
/// left without it; also the least age of an orphan.
pub const GRACE: Duration = Duration::from_secs(24 * 3_600);

impl Snapshots {
    /// Removes the manifest of a snapshot; its files are orphans from now on.
    pub(super) async fn retire(
        &self,
        partition: PartitionId,
        name: &SnapshotName,
    ) -> Result<(), RepositoryError> {
        let folder = self.folder(partition)?;
        let object = folder.manifest(name)?;
        let bytes = match self.repository.get(&object, envelope::ENVELOPE_BYTES_MAX).await {
            Ok(bytes) => bytes,
            Err(RepositoryError::NotFound { .. }) => return Ok(()),
            // A mark that cannot be read keeps every file there is.
            Err(RepositoryError::TooLarge { .. } | RepositoryError::Corrupt { .. }) => {
                bytes::Bytes::new()
            }
            Err(error) => return Err(error),
        };
        let began = Instant::now();
        let mark = folder.mark(name, UploadId::draw()?)?;
        self.repository.put_new(&mark, &mut ObjectSource::from_bytes(bytes)).await?;
        if began.elapsed() > REUSE_TIME_MAX {
            return Err(RepositoryError::unavailable("marking took so long that its mark is void"));
        }
        self.repository.delete(&object).await
    }
}
