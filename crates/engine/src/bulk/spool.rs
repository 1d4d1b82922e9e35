//! Rows of one kind in memory, sorted when memory is full and written as a run; equal keys keep the order they came in.

use std::ops::Range;
use std::path::Path;

use super::run::Runs;
use crate::error::EngineError;

/// Rows on their way to a table.
pub(super) struct Spool {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    runs: Runs,
}

/// Where a row is among the bytes: key, then value.
struct Row {
    start: usize,
    key_end: usize,
    end: usize,
}

impl Row {
    fn key(&self) -> Range<usize> {
        self.start..self.key_end
    }

    fn value(&self) -> Range<usize> {
        self.key_end..self.end
    }
}

impl Spool {
    pub(super) fn new(folder: &Path, name: &'static str) -> Self {
        Self { bytes: Vec::new(), rows: Vec::new(), runs: Runs::new(folder, name) }
    }

    /// Adds a row, whose key and value `key` and `value` append to what they are given.
    pub(super) fn put(&mut self, key: impl FnOnce(&mut Vec<u8>), value: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let key_end = self.bytes.len();
        value(&mut self.bytes);
        self.rows.push(Row { start, key_end, end: self.bytes.len() });
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.len() + self.rows.len() * size_of::<Row>()
    }

    /// Sorted runs written so far.
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Writes what is in memory as a run.
    pub(super) fn spill(&mut self) -> Result<(), EngineError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut run = self.runs.begin()?;
        self.drain_memory(|key, value| run.put(key, value))?;
        self.runs.end(run)
    }

    /// Calls `f` with every row, ascending; of equal keys the one that came first comes first.
    pub(super) fn drain(
        mut self,
        f: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        if self.runs.is_empty() {
            return self.drain_memory(f);
        }
        self.spill()?;
        self.bytes = Vec::new();
        self.rows = Vec::new();
        self.runs.merge(f)
    }

    fn drain_memory(
        &mut self,
        mut f: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        let Self { bytes, rows, .. } = self;
        // Stable, and quick where they are in order already.
        rows.sort_by(|a, b| bytes[a.key()].cmp(&bytes[b.key()]));
        for row in &*rows {
            f(&bytes[row.key()], &bytes[row.value()])?;
        }
        bytes.clear();
        rows.clear();
        Ok(())
    }
}
