//! The postings of every token with a prefix, summed by document.

use std::collections::BTreeMap;

use nautilus_query::FieldSet;

use super::column::{CHUNK_BITS, Weights};
use super::value::Entry;
use crate::bits::Bits;
use crate::keys::{self, Chunk, Ordinal};

/// Weighted frequencies by document, for the chunks that have any.
pub(crate) struct PrefixSums {
    weights: &'static Weights,
    /// Ordinals of the namespace are below this.
    ordinals: Ordinal,
    chunks: BTreeMap<Chunk, ChunkSums>,
}

/// Those of one chunk.
pub(crate) struct ChunkSums {
    /// The documents that have any.
    pub(crate) bits: Bits,
    /// By index; 0 where there is no bit.
    pub(crate) sums: Box<[u32]>,
}

impl ChunkSums {
    pub(crate) fn none() -> Self {
        Self { bits: Bits::none(0), sums: Box::default() }
    }

    /// Forgets all; indexes are below `len`.
    pub(crate) fn clear(&mut self, len: usize) {
        self.bits.reset(len);
        self.sums = Box::default();
    }

    /// Memory it takes, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.sums.len() * size_of::<u32>() + self.sums.len() / 8
    }
}

impl PrefixSums {
    /// For a namespace whose ordinals are below `ordinals`.
    pub(super) fn new(fields: FieldSet, ordinals: Ordinal) -> Self {
        Self { weights: Weights::of(fields), ordinals, chunks: BTreeMap::new() }
    }

    /// Adds one token's posting. Sums stay at the largest number, wherever they are cut off.
    pub(super) fn add(&mut self, chunk: Chunk, entry: &Entry<'_>) {
        let weight = self.weights.of_posting(entry.code, || entry.frequencies());
        if weight == 0 {
            return;
        }
        let ordinals = self.ordinals;
        let sums = self.chunks.entry(chunk).or_insert_with(|| {
            let len = chunk_len(ordinals, chunk);
            ChunkSums { bits: Bits::none(len), sums: vec![0; len].into() }
        });
        let index = usize::from(entry.index);
        if let Some(sum) = sums.sums.get_mut(index) {
            *sum = sum.saturating_add(weight);
            sums.bits.set(index);
        }
    }

    /// Takes the sums of a chunk; None where it has no such token.
    pub(crate) fn take(&mut self, chunk: Chunk) -> Option<ChunkSums> {
        self.chunks.remove(&chunk)
    }
}

/// Indexes that documents of a chunk may have, a multiple of 64, in a namespace whose ordinals are below `ordinals`.
pub(crate) fn chunk_len(ordinals: Ordinal, chunk: Chunk) -> usize {
    let left = ordinals.saturating_sub(keys::first_ordinal(chunk));
    usize::try_from(left).unwrap_or(CHUNK_BITS).min(CHUNK_BITS).next_multiple_of(64)
}
