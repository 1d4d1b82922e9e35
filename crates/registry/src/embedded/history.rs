//! The latest changes, for watches.

use std::collections::VecDeque;

use super::batch::Batch;
use crate::{Change, RegistryError, Revision};

/// The changes of the latest revisions, bounded in number.
#[derive(Debug)]
pub(super) struct History {
    batches: VecDeque<Batch>,
    changes: usize,
    changes_max: usize,
    /// Every change at this revision and later is here.
    oldest: Revision,
}

impl History {
    /// Empty: nothing that happened up to `revision` is known.
    pub(super) fn after(revision: Revision, changes_max: usize) -> Self {
        Self { batches: VecDeque::new(), changes: 0, changes_max, oldest: revision.next() }
    }

    /// Adds the changes of a revision later than all before. Those of one revision are kept or
    /// dropped together; the newest are kept, however many.
    pub(super) fn push(&mut self, batch: Batch) {
        self.changes += batch.changes.len();
        self.batches.push_back(batch);
        while self.changes > self.changes_max
            && self.batches.len() > 1
            && let Some(dropped) = self.batches.pop_front()
        {
            self.changes -= dropped.changes.len();
            self.oldest = dropped.revision.next();
        }
    }

    /// Whether a watch can begin at `from`.
    pub(super) fn check(&self, from: Revision) -> Result<(), RegistryError> {
        if from < self.oldest {
            return Err(RegistryError::Compacted { asked: from, oldest: self.oldest });
        }
        Ok(())
    }

    /// The changes of the first revision from `from` on that has any under `prefix`.
    pub(super) fn next_under(
        &self,
        prefix: &str,
        from: Revision,
    ) -> Result<Option<(Revision, Vec<Change>)>, RegistryError> {
        self.check(from)?;
        let start = self.batches.partition_point(|batch| batch.revision < from);
        Ok(self.batches.range(start..).find_map(|batch| {
            let under = |change: &&Change| change.key().starts_with(prefix);
            let changes: Vec<Change> = batch.changes.iter().filter(under).cloned().collect();
            (!changes.is_empty()).then_some((batch.revision, changes))
        }))
    }
}
