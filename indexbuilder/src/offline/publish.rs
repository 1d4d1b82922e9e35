//! Partitions of a build in the repository: which are there, and putting another there.

use nautilus_index_repository::{RepositoryError, SlotRange, SnapshotDraft};
use nautilus_mutation_log::fingerprint_before;
use nautilus_types::{Epoch, PartitionId};

use super::base::remove;
use super::workers::Finished;
use super::{Built, OfflineError, OfflineParts, OfflineSettings};
use crate::rebuild::UPLOADER;

/// The partitions that the build has no snapshot of, ascending.
pub(super) async fn missing(
    settings: &OfflineSettings,
    parts: &OfflineParts,
) -> Result<Vec<PartitionId>, OfflineError> {
    let mut missing = Vec::new();
    for &partition in &settings.partitions {
        let manifests = parts.snapshots.manifests(partition).await?;
        if !manifests.iter().any(|manifest| manifest.draft.build == settings.build) {
            missing.push(partition);
        }
    }
    Ok(missing)
}

/// Publishes the partition and removes it from the disk.
pub(super) async fn publish(
    settings: &OfflineSettings,
    parts: &OfflineParts,
    finished: Finished,
) -> Result<Built, OfflineError> {
    let Finished { partition, next_offset, summary, digests, checkpoint } = finished;
    let log = parts.log.as_ref();
    let log_low = log.watermarks(partition).await?.low;
    let draft = SnapshotDraft {
        log_generation: log.identity().generation,
        partition,
        slots: SlotRange::all_of(&settings.map, partition),
        map_version: settings.map.version,
        build: settings.build.clone(),
        // Of no assignment.
        epoch: Epoch(0),
        uploader: UPLOADER.to_owned(),
        created_unix_ms: parts.clock.unix_ms(),
        next_offset,
        last_record_fingerprint: fingerprint_before(log, partition, next_offset, log_low).await?,
        format_version: nautilus_engine::FORMAT_VERSION,
        analyzer_version: digests.analyzer_version,
        documents: summary.documents,
        document_digest: digests.documents.to_bytes().to_vec(),
        posting_digest: digests.postings.to_bytes().to_vec(),
    };
    let bytes = match parts.snapshots.publish(draft, &checkpoint, &|_| {}).await {
        Ok(manifest) => manifest.size_bytes(),
        // Another run of the same build was quicker: theirs is as good.
        Err(RepositoryError::Exists { .. }) => 0,
        Err(error) => return Err(error.into()),
    };
    remove(&checkpoint)?;
    Ok(Built { partition, next_offset, summary, bytes })
}
