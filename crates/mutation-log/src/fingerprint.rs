//! What tells this log from another whose offsets look the same.

use nautilus_types::{Offset, PartitionId};
use xxhash_rust::xxh3::xxh3_128;

use crate::{LogError, MutationLog};

/// xxh3-128 of the payload of the record before `next`, as the manifests of snapshots keep it; none where there is no
/// such record, or the log begins at `low` and does not have it anymore.
pub async fn fingerprint_before(
    log: &dyn MutationLog,
    partition: PartitionId,
    next: Offset,
    low: Offset,
) -> Result<Option<[u8; 16]>, LogError> {
    let Some(last) = next.0.checked_sub(1).map(Offset).filter(|last| *last >= low) else {
        return Ok(None);
    };
    let records = log.read(partition, last, 1).await?;
    let record = records.first().filter(|record| record.offset == last);
    Ok(record.map(|record| xxh3_128(&record.payload).to_be_bytes()))
}
