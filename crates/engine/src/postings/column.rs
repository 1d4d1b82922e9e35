//! The postings of one list in one chunk, as a search uses them: a set of bits, and what each bit says.

use nautilus_query::FieldSet;
use nautilus_query::scoring::weighted_frequency;

use crate::bits::Bits;
use crate::keys::ORDINALS_PER_CHUNK;
use crate::rows::posting::{Frequencies, is_whole};

/// Bits of a chunk.
pub(crate) const CHUNK_BITS: usize = ORDINALS_PER_CHUNK as usize;

/// Postings of one chunk by their index in it.
pub(crate) struct Column {
    bits: Bits,
    /// First byte of each posting, by the rank of its bit.
    codes: Vec<u8>,
    /// Those whose first byte does not say all, ascending by index.
    long: Vec<(u16, Frequencies)>,
    /// Set bits before each word.
    ranks: Vec<u16>,
}

impl Column {
    pub(crate) fn new() -> Self {
        Self {
            bits: Bits::none(CHUNK_BITS),
            codes: Vec::new(),
            long: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// Forgets all postings.
    pub(crate) fn clear(&mut self) {
        if !self.codes.is_empty() {
            self.bits.reset(CHUNK_BITS);
        }
        self.codes.clear();
        self.long.clear();
        self.ranks.clear();
    }

    /// Adds a posting; indexes ascend. [`Self::seal`] follows the last.
    pub(crate) fn push(&mut self, index: u16, code: u8, frequencies: impl FnOnce() -> Frequencies) {
        self.bits.set(usize::from(index));
        self.codes.push(code);
        if !is_whole(code) {
            self.long.push((index, frequencies()));
        }
    }

    /// Adds a posting by its frequencies, which are not empty.
    pub(crate) fn push_frequencies(&mut self, index: u16, frequencies: Frequencies) {
        self.push(index, frequencies.first_byte(), || frequencies);
    }

    /// Takes over a whole chunk: its set, and the first byte of each member.
    pub(super) fn fill(&mut self, bitmap: &[u8], codes: &[u8]) {
        self.bits.set_bytes(bitmap);
        self.codes.extend_from_slice(codes);
    }

    /// Makes the column ready to be read.
    pub(crate) fn seal(&mut self) {
        self.ranks.clear();
        let mut rank = 0;
        for word in self.bits.words() {
            self.ranks.push(rank);
            // At most the bits of a chunk.
            rank += u16::try_from(word.count_ones()).unwrap_or(0);
        }
    }

    /// Keeps what has a weight in `fields`.
    pub(crate) fn retain(&mut self, weights: &Weights) {
        let is_kept = |index| self.weighted(index, weights) > 0;
        if weights.fields == FieldSet::ALL || self.bits.ones().all(is_kept) {
            return;
        }
        let mut kept = Self::new();
        for index in self.bits.ones() {
            if let Ok(short) = u16::try_from(index)
                && self.weighted(index, weights) > 0
            {
                kept.push(short, self.code(index), || self.frequencies(index));
            }
        }
        kept.seal();
        *self = kept;
    }

    /// Number of postings.
    pub(crate) fn len(&self) -> usize {
        self.codes.len()
    }

    pub(crate) fn bits(&self) -> &Bits {
        &self.bits
    }

    /// What the posting at a set bit says.
    pub(crate) fn frequencies(&self, index: usize) -> Frequencies {
        let code = self.code(index);
        if is_whole(code) { Frequencies::of_first_byte(code) } else { self.long(index) }
    }

    /// The weighted frequency at a set bit.
    #[inline]
    pub(crate) fn weighted(&self, index: usize, weights: &Weights) -> u32 {
        let code = self.code(index);
        if is_whole(code) {
            weights.by_code[usize::from(code)]
        } else {
            weighted_frequency(self.long(index).0, weights.fields)
        }
    }

    #[inline]
    fn code(&self, index: usize) -> u8 {
        let (word, bit) = (index / 64, index % 64);
        let before = self.bits.words().get(word).map_or(0, |word| word & ((1 << bit) - 1));
        let rank = usize::from(self.ranks.get(word).copied().unwrap_or(0));
        self.codes.get(rank + before.count_ones() as usize).copied().unwrap_or(0)
    }

    fn long(&self, index: usize) -> Frequencies {
        let found = self.long.binary_search_by_key(&index, |(held, _)| usize::from(*held));
        found.map_or(Frequencies::default(), |at| self.long[at].1)
    }

    /// Decodes what follows the first bytes of [`Self::fill`], in their order.
    pub(super) fn fill_long(
        &mut self,
        mut next: impl FnMut(u8) -> Option<Frequencies>,
    ) -> Option<()> {
        for (index, &code) in self.bits.ones().zip(&self.codes) {
            if !is_whole(code) {
                self.long.push((u16::try_from(index).ok()?, next(code)?));
            }
        }
        Some(())
    }
}

/// Weighted frequencies in some fields, by first byte.
pub(crate) struct Weights {
    pub(crate) fields: FieldSet,
    by_code: [u32; 256],
}

impl Weights {
    pub(crate) fn of(fields: FieldSet) -> Self {
        let mut by_code = [0; 256];
        for (code, weight) in (0..=u8::MAX).zip(&mut by_code) {
            *weight = weighted_frequency(Frequencies::of_first_byte(code).0, fields);
        }
        Self { fields, by_code }
    }

    /// Of a posting with this first byte, whose frequencies are only looked at where it does not say all.
    #[inline]
    pub(crate) fn of_posting(&self, code: u8, frequencies: impl FnOnce() -> Frequencies) -> u32 {
        if is_whole(code) {
            self.by_code[usize::from(code)]
        } else {
            weighted_frequency(frequencies().0, self.fields)
        }
    }
}
