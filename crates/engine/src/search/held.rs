//! What a search read: the lists of its chunks as they are stored, kept until it is known how much each leaf is worth.
//!
//! A score needs the document frequencies of the whole scope, so nothing can be weighed before every list was
//! read. Kept as bytes, lists take a tenth of what their matches would.

use std::ops::Range;

use crate::keys::Chunk;
use crate::postings::ChunkSums;

/// Bound of a search's memory for lists: a query of many common words over millions of documents ends here, truncated.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What one list has in one chunk.
pub(super) enum Piece {
    Nothing,
    /// The value, in [`Held::value`].
    Value(Range<usize>),
    /// Of a prefix: taken once.
    Sums(Option<ChunkSums>),
}

/// A chunk that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldChunk {
    /// Index into the namespaces that were searched.
    pub(super) namespace: usize,
    pub(super) chunk: Chunk,
    /// Indexes its documents may have.
    pub(super) len: usize,
    /// Its first piece; there is one for each list.
    pub(super) first_piece: usize,
}

/// All lists of all chunks, in the order in which they were read.
#[derive(Default)]
pub(super) struct Held {
    values: Vec<u8>,
    sums_bytes: usize,
    pieces: Vec<Piece>,
    chunks: Vec<HeldChunk>,
}

impl Held {
    pub(super) fn chunk(&self, number: usize) -> Option<HeldChunk> {
        self.chunks.get(number).copied()
    }

    /// Number of the next piece.
    pub(super) fn next_piece(&self) -> usize {
        self.pieces.len()
    }

    pub(super) fn piece(&self, number: usize) -> &Piece {
        self.pieces.get(number).unwrap_or(&Piece::Nothing)
    }

    pub(super) fn value(&self, range: &Range<usize>) -> &[u8] {
        self.values.get(range.clone()).unwrap_or_default()
    }

    pub(super) fn take_sums(&mut self, number: usize) -> Option<ChunkSums> {
        match self.pieces.get_mut(number) {
            Some(Piece::Sums(sums)) => sums.take(),
            Some(Piece::Nothing | Piece::Value(_)) | None => None,
        }
    }

    pub(super) fn push_nothing(&mut self) {
        self.pieces.push(Piece::Nothing);
    }

    pub(super) fn push_value(&mut self, value: &[u8]) {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        self.pieces.push(Piece::Value(start..self.values.len()));
    }

    pub(super) fn push_sums(&mut self, sums: ChunkSums) {
        self.sums_bytes += sums.bytes();
        self.pieces.push(Piece::Sums(Some(sums)));
    }

    /// The pieces from `first_piece` on are one chunk's; false where they would take too much memory.
    pub(super) fn end_chunk(&mut self, chunk: HeldChunk) -> bool {
        let pieces = self.pieces.get(chunk.first_piece..).unwrap_or_default();
        if pieces.iter().all(|piece| matches!(piece, Piece::Nothing)) {
            self.pieces.truncate(chunk.first_piece);
            return true;
        }
        self.chunks.push(chunk);
        let pieces = self.pieces.len() * size_of::<Piece>();
        self.values.len() + self.sums_bytes + pieces <= HELD_BYTES_MAX
    }

    /// Forgets the pieces from `first` on: of a chunk that was not read whole.
    pub(super) fn drop_pieces(&mut self, first: usize) {
        self.pieces.truncate(first);
    }
}
