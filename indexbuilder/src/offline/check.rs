//! Whether a partition is what was to be written: read again from its files, every row held against the others.

use nautilus_engine::{BulkSummary, Depth, Digests, Partition};
use nautilus_types::{Offset, PartitionId};

use super::OfflineError;

/// Reads all of the partition, and returns what it holds.
pub(super) fn check(
    partition: PartitionId,
    built: &Partition,
    summary: &BulkSummary,
    next_offset: Offset,
) -> Result<Digests, OfflineError> {
    let unsound = |problem| OfflineError::Unsound { partition, problem };
    let read = built.searcher().digests(Depth::Read, &mut |_| true);
    let read = read.map_err(|source| OfflineError::Engine { partition, source })?;
    let digests = read.ok_or_else(|| unsound("it was not read to its end".to_owned()))?;
    if digests.document_count != summary.documents {
        let (found, expected) = (digests.document_count, summary.documents);
        return Err(unsound(format!("it has {found} documents, {expected} were written")));
    }
    if digests.next_offset != next_offset {
        return Err(unsound(format!("it is at offset {}, not {next_offset}", digests.next_offset)));
    }
    Ok(digests)
}
