//! Records that every replica passes over by decision: remembered in the folder, and so in its snapshots.
//!
//! Whoever meets the decision in the log later can tell whether this partition already follows it.

use std::sync::Arc;

use nautilus_types::Offset;
use rocksdb::{DB, ReadOptions};

use crate::apply::{Writer, batch_of};
use crate::error::EngineError;
use crate::keys;
use crate::mutation::Outcome;
use crate::partition::Partition;
use crate::rows::Malformed;

const MALFORMED: Malformed = Malformed { row: "skipped" };

/// Longest reason that is kept, in bytes.
const REASON_BYTES_MAX: usize = 512;

/// A record that was passed over by decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedRecord {
    /// Its offset.
    pub offset: Offset,
    /// Why, for people.
    pub reason: String,
}

impl Writer {
    /// Moves past the record at `offset` because it was decided to, and remembers that.
    pub fn skip(&mut self, offset: Offset, reason: &str) -> Result<Outcome, EngineError> {
        self.guarded(offset, |writer| {
            let mut batch = batch_of(offset);
            batch.put(keys::skipped(offset), reason_of(reason));
            writer.shared.write(batch)?;
            Ok(Outcome::PassedOver)
        })
    }

    /// Whether the record at `offset` was passed over by decision here.
    pub fn has_skipped(&self, offset: Offset) -> Result<bool, EngineError> {
        let row = self.shared.db.get_pinned(keys::skipped(offset)).map_err(EngineError::read)?;
        Ok(row.is_some())
    }

    /// Goes on from what is stored: after a panic, what is in memory may be ahead of it.
    pub fn renew(&mut self) -> Result<(), EngineError> {
        *self = Self::new(Arc::clone(&self.shared))?;
        Ok(())
    }
}

impl Partition {
    /// The last `limit` records that were passed over by decision, ascending.
    pub fn skipped(&self, limit: usize) -> Result<Vec<SkippedRecord>, EngineError> {
        rows(&self.shared.db, limit)
    }
}

/// The last `limit` of them, ascending.
pub(crate) fn rows(db: &DB, limit: usize) -> Result<Vec<SkippedRecord>, EngineError> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::skipped_prefix());
    let mut rows = db.raw_iterator_opt(options);
    rows.seek_for_prev(keys::skipped(Offset(u64::MAX)));
    let mut newest = Vec::new();
    while newest.len() < limit
        && let Some((key, reason)) = rows.item()
    {
        let offset = keys::offset_of_skipped(key).ok_or(MALFORMED)?;
        let reason = String::from_utf8(reason.to_vec()).map_err(|_| MALFORMED)?;
        newest.push(SkippedRecord { offset, reason });
        rows.prev();
    }
    rows.status().map_err(EngineError::read)?;
    newest.reverse();
    Ok(newest)
}

/// As much of the reason as is kept.
fn reason_of(reason: &str) -> &[u8] {
    &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use nautilus_types::{LogGeneration, PartitionId};

    use super::*;
    use crate::mutation::Attributes;
    use crate::{PartitionIdentity, Resources};

    const IDENTITY: PartitionIdentity = PartitionIdentity {
        cluster_id: [3; 16],
        log_generation: LogGeneration(1),
        partition: PartitionId(7),
    };

    #[test]
    fn what_was_skipped_is_remembered_and_moves_the_offset() {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let open = || {
            Partition::open(folder.path(), &IDENTITY, &resources, |_| Attributes::default())
                .expect("opens")
        };
        let (partition, mut writer) = open();
        for (offset, reason) in [(3, "first"), (300, "second"), (70_000, "third")] {
            writer.skip(Offset(offset), reason).expect("skips");
        }
        writer.skip(Offset(70_001), &"é".repeat(400)).expect("skips");
        writer.flush().expect("flushes");
        drop((partition, writer));

        let (partition, mut writer) = open();
        assert_eq!(writer.next_offset(), Offset(70_002));
        assert!(writer.has_skipped(Offset(300)).expect("reads"));
        assert!(!writer.has_skipped(Offset(301)).expect("reads"));
        let skipped = partition.skipped(3).expect("reads");
        assert_eq!(skipped.iter().map(|s| s.offset.0).collect::<Vec<_>>(), [300, 70_000, 70_001]);
        assert_eq!((&*skipped[0].reason, skipped[2].reason.len()), ("second", 512));
        // Below the next offset nothing is written.
        assert_eq!(writer.skip(Offset(5), "late").expect("no-op"), Outcome::Redelivered);
        assert_eq!(partition.skipped(9).expect("reads").len(), 4);
    }

    #[test]
    fn a_renewed_writer_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let resources = Resources::new(1 << 20, 1 << 20);
        let (_, mut writer) =
            Partition::open(folder.path(), &IDENTITY, &resources, |_| Attributes::default())
                .expect("opens");
        writer.pass_over(Offset(4)).expect("passes");
        writer.renew().expect("renews");
        assert_eq!(writer.next_offset(), Offset(5));
        writer.pass_over(Offset(5)).expect("passes");
    }
}
