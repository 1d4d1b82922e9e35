//! The postings of every token with a prefix, summed by document.

use std::collections::BTreeMap;

use nautilus_query::FieldSet;

use super::column::{CHUNK_BITS, Weights};
use super::value::Entry;
use crate::keys::Chunk;

/// Weighted frequencies by document, for the chunks that have any.
pub(crate) struct PrefixSums {
    weights: Weights,
    /// One number for each ordinal of the chunk.
    chunks: BTreeMap<Chunk, Box<[u32]>>,
}

impl PrefixSums {
    pub(super) fn new(fields: FieldSet) -> Self {
        Self { weights: Weights::of(fields), chunks: BTreeMap::new() }
    }

    /// Adds one token's posting. Sums stay at the largest number, wherever they are cut off.
    pub(super) fn add(&mut self, chunk: Chunk, entry: &Entry<'_>) {
        let weight = self.weights.of_posting(entry.code, || entry.frequencies());
        if weight == 0 {
            return;
        }
        let sums = self.chunks.entry(chunk).or_insert_with(|| vec![0; CHUNK_BITS].into());
        if let Some(sum) = sums.get_mut(usize::from(entry.index)) {
            *sum = sum.saturating_add(weight);
        }
    }

    /// The sums of a chunk; None where it has no such token.
    pub(crate) fn chunk(&self, chunk: Chunk) -> Option<&[u32]> {
        self.chunks.get(&chunk).map(|sums| &**sums)
    }
}
