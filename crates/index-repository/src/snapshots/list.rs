//! All snapshots of a partition, whatever they are of use for.

use nautilus_types::PartitionId;

use super::{Manifest, Snapshots};
use crate::RepositoryError;

impl Snapshots {
    /// The manifests that can be read, the newest first; whether their files are there is not looked at.
    pub async fn manifests(
        &self,
        partition: PartitionId,
    ) -> Result<Vec<Manifest>, RepositoryError> {
        let mut manifests = Vec::new();
        for name in self.names(partition).await? {
            if let Ok(manifest) = self.read_manifest(partition, &name).await? {
                manifests.push(manifest);
            }
        }
        Ok(manifests)
    }
}
