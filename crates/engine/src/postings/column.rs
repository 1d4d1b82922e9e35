//! The postings of one list in one chunk, as a search uses them: a set of bits, and what each bit says.

use std::ops::Range;
use std::sync::LazyLock;

use nautilus_query::FieldSet;
use nautilus_query::scoring::weighted_frequency;

use super::value::Entry;
use crate::bits::Bits;
use crate::keys::ORDINALS_PER_CHUNK;
use crate::rows::posting::{Frequencies, is_whole};

/// Bits of a chunk.
pub(crate) const CHUNK_BITS: usize = ORDINALS_PER_CHUNK as usize;

/// Postings of one chunk by their index in it.
pub(crate) struct Column {
    /// Indexes there may be.
    len: usize,
    bits: Bits,
    /// First byte of each posting, by the rank of its bit.
    codes: Vec<u8>,
    /// Those whose first byte does not say all, ascending by index.
    long: Vec<(u16, Frequencies)>,
    /// Set bits before each word.
    ranks: Vec<u16>,
}

impl Column {
    /// With room for all indexes of a chunk.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        let mut column = Self::empty();
        column.begin(CHUNK_BITS);
        column
    }

    /// Without room; [`Self::begin`] makes it.
    pub(crate) fn empty() -> Self {
        Self { len: 0, bits: Bits::none(0), codes: Vec::new(), long: Vec::new(), ranks: Vec::new() }
    }

    /// Forgets all postings; from now on indexes are below `len`.
    pub(crate) fn begin(&mut self, len: usize) {
        self.len = len;
        self.clear();
    }

    /// Forgets all postings.
    pub(crate) fn clear(&mut self) {
        self.bits.reset(self.len);
        self.codes.clear();
        self.long.clear();
        self.ranks.clear();
    }

    /// Whether there may be a posting at this index.
    pub(super) fn has_room(&self, index: u16) -> bool {
        usize::from(index) < self.len
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

    /// Takes over a whole chunk: its set, and the first byte of each member. None where they do not belong together.
    pub(super) fn fill(&mut self, bitmap: &[u8], codes: &[u8]) -> Option<()> {
        self.bits.set_bytes(bitmap);
        self.codes.extend_from_slice(codes);
        (self.bits.count() == codes.len()).then_some(())
    }

    /// Sets the bit of a posting whose first byte [`Self::fill`] brings later. None where it has no room.
    #[inline]
    pub(super) fn set(&mut self, index: usize) -> Option<()> {
        if index >= self.len {
            return None;
        }
        self.bits.set(index);
        Some(())
    }

    /// Makes the column ready to be read.
    pub(crate) fn seal(&mut self) {
        self.ranks.clear();
        // At most 64, and together at most the bits of a chunk.
        let counts = self.bits.words().iter().map(|word| (word.count_ones() & 0x7F) as u16);
        self.ranks.extend(counts);
        let mut rank = 0;
        for place in &mut self.ranks {
            rank += std::mem::replace(place, rank);
        }
    }

    /// Keeps what has a weight in `fields`.
    pub(crate) fn retain(&mut self, weights: &Weights) {
        let is_kept = |index| self.weighted(index, weights) > 0;
        if weights.fields == FieldSet::ALL || self.bits.ones().all(is_kept) {
            return;
        }
        let mut kept = Self::empty();
        kept.begin(self.len);
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

    /// Calls `f` with the index and the weighted frequency of each posting whose bit is set in `within` too, ascending.
    #[inline]
    pub(crate) fn for_each_weight(
        &self,
        within: &Bits,
        range: Range<usize>,
        weights: &Weights,
        mut f: impl FnMut(usize, u32),
    ) {
        let words = range.start / 64..range.end.div_ceil(64);
        let part = |bits: &'_ Bits| -> Range<usize> {
            words.start.min(bits.words().len())..words.end.min(bits.words().len())
        };
        let own = &self.bits.words()[part(&self.bits)];
        let within = &within.words()[part(within)];
        let ranks = self.ranks.get(words.start..).unwrap_or_default();
        let mut long = self.long.partition_point(|(index, _)| usize::from(*index) < range.start);
        for (number, ((&own, &within), &rank)) in own.iter().zip(within).zip(ranks).enumerate() {
            let mut wanted = own & within;
            if wanted == 0 {
                continue;
            }
            let start = (words.start + number) * 64;
            let codes = self.codes.get(usize::from(rank)..).unwrap_or_default();
            let mut weight = |index: usize, code: u8| {
                if is_whole(code) {
                    return weights.by_code[usize::from(code)];
                }
                while self.long.get(long).is_some_and(|(held, _)| usize::from(*held) < index) {
                    long += 1;
                }
                let frequencies = self.long.get(long).map_or(Frequencies::default(), |(_, of)| *of);
                weighted_frequency(frequencies.0, weights.fields)
            };
            if wanted == own {
                // All of them: their first bytes follow each other.
                for &code in codes {
                    let index = start + wanted.trailing_zeros() as usize;
                    f(index, weight(index, code));
                    wanted &= wanted - 1;
                    if wanted == 0 {
                        break;
                    }
                }
                continue;
            }
            while wanted != 0 {
                let bit = wanted.trailing_zeros();
                let before = (own & ((1 << bit) - 1)).count_ones() as usize;
                let index = start + bit as usize;
                f(index, weight(index, codes.get(before).copied().unwrap_or(0)));
                wanted &= wanted - 1;
            }
        }
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
        self.codes.get(self.rank(index)).copied().unwrap_or(0)
    }

    /// Postings before an index.
    #[inline]
    fn rank(&self, index: usize) -> usize {
        let (word, bit) = (index / 64, index % 64);
        let before = self.bits.words().get(word).map_or(0, |word| word & ((1 << bit) - 1));
        let rank = usize::from(self.ranks.get(word).copied().unwrap_or(0));
        rank + before.count_ones() as usize
    }

    fn long(&self, index: usize) -> Frequencies {
        let found = self.long.binary_search_by_key(&index, |(held, _)| usize::from(*held));
        found.map_or(Frequencies::default(), |at| self.long[at].1)
    }

    /// Whether the first byte of some posting does not say all of it.
    pub(super) fn needs_more(&self) -> bool {
        self.codes.iter().any(|&code| !is_whole(code))
    }

    /// Lays changes, ascending by index and within the column's room, on what was sealed.
    pub(super) fn lay(&mut self, changes: &[Entry<'_>]) {
        let mut codes = Vec::with_capacity(self.codes.len() + changes.len());
        let mut copied = 0;
        let mut bits = self.bits.clone();
        for change in changes {
            let index = usize::from(change.index);
            let rank = self.rank(index);
            codes.extend_from_slice(self.codes.get(copied..rank).unwrap_or_default());
            copied = rank + usize::from(self.bits.contains(index));
            if change.code == 0 {
                bits.clear(index);
            } else {
                bits.set(index);
                codes.push(change.code);
            }
        }
        codes.extend_from_slice(self.codes.get(copied..).unwrap_or_default());
        let is_changed =
            |index: u16| changes.binary_search_by_key(&index, |change| change.index).is_ok();
        self.long.retain(|(index, _)| !is_changed(*index));
        let long = changes.iter().filter(|change| change.code != 0 && !is_whole(change.code));
        self.long.extend(long.map(|change| (change.index, change.frequencies())));
        self.long.sort_unstable_by_key(|(index, _)| *index);
        (self.bits, self.codes) = (bits, codes);
    }

    /// Decodes what follows the first bytes of [`Self::fill`], in their order.
    pub(super) fn fill_long(
        &mut self,
        mut next: impl FnMut(u8) -> Option<Frequencies>,
    ) -> Option<()> {
        let mut codes = &self.codes[..];
        for (number, &word) in self.bits.words().iter().enumerate() {
            let own;
            (own, codes) = codes.split_at_checked(word.count_ones() as usize)?;
            // In most words no posting needs more.
            if own.iter().all(|&code| is_whole(code)) {
                continue;
            }
            let mut rest = word;
            for &code in own {
                if !is_whole(code) {
                    let index = number * 64 + rest.trailing_zeros() as usize;
                    self.long.push((u16::try_from(index).ok()?, next(code)?));
                }
                rest &= rest - 1;
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

/// By the bits of a set of fields: making one costs as much as reading a short list.
static OF_FIELDS: LazyLock<[Weights; 8]> = LazyLock::new(|| {
    // The set without fields is never asked for.
    std::array::from_fn(|bits| {
        let fields = u8::try_from(bits).ok().and_then(FieldSet::from_bits);
        Weights::make(fields.unwrap_or(FieldSet::ALL))
    })
});

impl Weights {
    pub(crate) fn of(fields: FieldSet) -> &'static Self {
        let at = usize::from(fields.bits()) % OF_FIELDS.len();
        &OF_FIELDS[at]
    }

    fn make(fields: FieldSet) -> Self {
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
