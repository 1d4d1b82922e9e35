//! From spools, runs and lists to a partition: tables in the order of their kinds, the database, and its folder's name.

use std::fs;

use nautilus_types::Offset;
use rocksdb::WriteBatch;

use super::namespaces::Namespaces;
use super::tables::{TableOptions, Tables};
use super::{BulkBuilder, BulkSummary, lists, remove};
use crate::error::EngineError;
use crate::keys::{self, LENGTHS_PER_ROW};
use crate::namespaces::Totals;
use crate::partition::{META_APPLIED, META_NEXT_NUMBER, Shared};

impl BulkBuilder {
    /// Writes the partition, synced, whose next record is that at `next_offset`, and gives the folder its name.
    pub fn finish(mut self, next_offset: Offset) -> Result<BulkSummary, EngineError> {
        if !self.lists.is_empty() && !self.inversion.is_empty() {
            self.spill_lists()?;
        }
        let options = TableOptions::new(&self.resources);
        let mut tables = Tables::new(&options, &self.places.tables());
        let mut runs = self.spools.runs();
        let replaced = self.spools.finish(&mut self.namespaces, &mut tables)?;
        if self.lists.is_empty() {
            let (namespaces, tables) = (&self.namespaces, &mut tables);
            let mut value = Vec::new();
            self.inversion
                .drain(|key, postings| lists::put(key, postings, &mut value, namespaces, tables))?;
        } else {
            runs += self.lists.len();
            drop(self.inversion);
            lists::merge(self.lists, &self.namespaces, &mut tables)?;
        }
        put_lengths(&self.namespaces, &mut tables)?;
        put_namespaces(&self.namespaces, &mut tables)?;

        let database = self.places.database();
        let shared = Shared::open(&database, &self.identity, self.analyzer, &self.resources)?;
        let table_bytes = tables.finish(&shared.db)?;
        let totals = totals(&self.namespaces);
        let mut batch = WriteBatch::default();
        totals.put(&mut batch);
        let next_number = u64::try_from(self.namespaces.states().len()).unwrap_or(u64::MAX);
        batch.put(keys::meta(META_NEXT_NUMBER), next_number.to_be_bytes());
        batch.put(keys::meta(META_APPLIED), next_offset.0.to_be_bytes());
        for skipped in &self.skipped {
            batch.put(keys::skipped(skipped.offset), &skipped.reason);
        }
        shared.write(batch)?;
        shared.flush()?;
        drop(shared);
        let failed = |source| EngineError::Folder {
            operation: "rename",
            path: self.places.database(),
            source,
        };
        fs::rename(self.places.database(), &self.places.dir).map_err(failed)?;
        if let Some(parent) = self.places.dir.parent() {
            fs::File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed)?;
        }
        remove(&self.places.work)?;
        Ok(BulkSummary {
            documents: totals.documents,
            replaced,
            namespaces: totals.namespaces,
            runs: u64::try_from(runs).unwrap_or(u64::MAX),
            table_bytes,
        })
    }
}

fn put_lengths(namespaces: &Namespaces, tables: &mut Tables<'_>) -> Result<(), EngineError> {
    let per_row = usize::try_from(LENGTHS_PER_ROW).unwrap_or(usize::MAX);
    for state in namespaces.states() {
        for (first, codes) in (0..).step_by(per_row).zip(state.lengths.chunks(per_row)) {
            tables.put(&keys::lengths(state.row.number, first), codes)?;
        }
    }
    Ok(())
}

fn put_namespaces(namespaces: &Namespaces, tables: &mut Tables<'_>) -> Result<(), EngineError> {
    for (name, row) in namespaces.by_name() {
        tables.put(&keys::namespace(name), &row.encode())?;
    }
    Ok(())
}

fn totals(namespaces: &Namespaces) -> Totals {
    let live = || namespaces.states().iter().filter(|state| state.row.is_live);
    Totals {
        namespaces: u64::try_from(live().count()).unwrap_or(u64::MAX),
        documents: live().map(|state| state.row.documents).sum(),
    }
}
