//! Length codes of the documents of a chunk: from the process's memory, or their rows.

use std::sync::Arc;

use nautilus_types::Offset;

use crate::error::EngineError;
use crate::keys::{self, Chunk, Kind, LENGTHS_PER_ROW, NamespaceNumber, Ordinal};
use crate::ordinals::NumberedRows;
use crate::read::Searcher;

/// Rows of length codes whose reading costs as much as reading one by itself.
const ROWS_PER_SEEK: usize = 8;

/// Length codes of one namespace, chunks and slices ascending from call to call.
pub(super) struct Lengths<'a> {
    searcher: &'a Searcher<'a>,
    ns: NamespaceNumber,
    /// What the snapshot shows.
    label: Offset,
    column: Option<(Chunk, Arc<Vec<u8>>)>,
    /// Where few documents match: only theirs.
    rows: NumberedRows<'a>,
    few: Vec<u8>,
}

impl<'a> Lengths<'a> {
    pub(super) fn new(searcher: &'a Searcher<'a>, ns: NamespaceNumber, label: Offset) -> Self {
        let rows = NumberedRows::new(searcher, Kind::Lengths, ns);
        Self { searcher, ns, label, column: None, rows, few: Vec::new() }
    }

    /// The codes of a chunk of `len` indexes by index, at least of those `wanted`, of which there are so many.
    pub(super) fn codes(
        &mut self,
        (chunk, len): (Chunk, usize),
        (count, wanted): (usize, impl Iterator<Item = usize>),
    ) -> Result<&[u8], EngineError> {
        if self.column.as_ref().is_none_or(|(held, _)| *held != chunk) {
            let columns = &self.searcher.shared.lengths;
            let column = match columns.get(self.ns, chunk, self.label) {
                None if count * ROWS_PER_SEEK * 256 < len => {
                    self.read_few((chunk, len), wanted)?;
                    return Ok(&self.few);
                }
                None => {
                    let column = Arc::new(self.read(chunk, len)?);
                    columns.insert(self.ns, chunk, self.label, &column);
                    column
                }
                Some(column) => column,
            };
            self.column = Some((chunk, column));
        }
        Ok(self.column.as_ref().map_or(&[], |(_, column)| column))
    }

    /// Those that are wanted alone.
    fn read_few(
        &mut self,
        (chunk, len): (Chunk, usize),
        wanted: impl Iterator<Item = usize>,
    ) -> Result<(), EngineError> {
        self.few.resize(self.few.len().max(len), 0);
        for index in wanted {
            let ordinal = keys::ordinal_of(chunk, index);
            let row = self.rows.get(ordinal / LENGTHS_PER_ROW)?.unwrap_or_default();
            self.few[index] = row.get(place_in_row(ordinal)).copied().unwrap_or(0);
        }
        Ok(())
    }

    /// All of a chunk.
    fn read(&self, chunk: Chunk, len: usize) -> Result<Vec<u8>, EngineError> {
        let mut codes = vec![0; len];
        let first = keys::first_ordinal(chunk) / LENGTHS_PER_ROW;
        let per_row = usize::try_from(LENGTHS_PER_ROW).unwrap_or(len);
        if len <= per_row {
            let key = keys::numbered(Kind::Lengths, self.ns, first);
            if let Some(row) = self.searcher.get_pinned(&key)? {
                let row = row.get(..len).unwrap_or(&row);
                codes[..row.len()].copy_from_slice(row);
            }
            return Ok(codes);
        }
        let mut rows = NumberedRows::new(self.searcher, Kind::Lengths, self.ns);
        for (number, places) in (first..).zip(codes.chunks_mut(per_row)) {
            let row = rows.get(number)?.unwrap_or_default();
            let row = row.get(..places.len()).unwrap_or(row);
            places[..row.len()].copy_from_slice(row);
        }
        Ok(codes)
    }
}

fn place_in_row(ordinal: Ordinal) -> usize {
    usize::try_from(ordinal % LENGTHS_PER_ROW).unwrap_or(0)
}
