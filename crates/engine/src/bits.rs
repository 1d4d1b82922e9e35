//! A fixed set of bits, one for each ordinal of a chunk.

use std::ops::Range;

/// Bits for the ordinals of one chunk, counted from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// No bit set, room for `len`.
    pub(crate) fn none(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    /// Forgets all bits and makes room for `len`.
    pub(crate) fn reset(&mut self, len: usize) {
        self.0.clear();
        self.0.resize(len.div_ceil(64), 0);
    }

    pub(crate) fn set(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn clear(&mut self, index: usize) {
        if let Some(word) = self.0.get_mut(index / 64) {
            *word &= !(1 << (index % 64));
        }
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.0.get(index / 64).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }

    pub(crate) fn and(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= b);
    }

    pub(crate) fn or(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    pub(crate) fn and_not(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a &= !b);
    }

    /// Number of set bits.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The words the bits stand in, lowest bit first.
    pub(crate) fn words(&self) -> &[u64] {
        &self.0
    }

    /// Takes over bits in the order of their bytes; what there is no room for is left out.
    pub(crate) fn set_bytes(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, eight) in self.0.iter_mut().zip(whole) {
            *word |= u64::from_le_bytes(*eight);
        }
        if let Some(word) = self.0.get_mut(whole.len()) {
            let mut padded = [0; 8];
            padded[..rest.len()].copy_from_slice(rest);
            *word |= u64::from_le_bytes(padded);
        }
    }

    /// Forgets the bits from `index` on.
    pub(crate) fn truncate(&mut self, index: usize) {
        let at = index / 64;
        if let Some(word) = self.0.get_mut(at) {
            *word &= (1 << (index % 64)) - 1;
        }
        self.0.iter_mut().skip(at + 1).for_each(|word| *word = 0);
    }

    /// Takes over the bits of `range`, which begins and ends with a word, and forgets its own; whether there are any.
    pub(crate) fn copy_part(&mut self, from: &Self, range: Range<usize>) -> bool {
        self.0.fill(0);
        let words = range.start / 64..(range.end / 64).min(self.0.len());
        let Some(part) = from.0.get(words.clone()) else { return false };
        self.0[words].copy_from_slice(part);
        part.iter().any(|&word| word != 0)
    }

    /// Indexes of the set bits, ascending.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        ones(0, self.0.iter().copied())
    }

    /// Indexes of `range`, which begins and ends with a word, whose bits are set in both, ascending.
    pub(crate) fn ones_of_both<'a>(
        &'a self,
        other: &'a Self,
        range: Range<usize>,
    ) -> impl Iterator<Item = usize> + 'a {
        let part = |bits: &'a Self| {
            let words = range.start / 64..(range.end / 64).min(bits.0.len());
            bits.0.get(words).unwrap_or_default()
        };
        ones(range.start, part(self).iter().zip(part(other)).map(|(a, b)| a & b))
    }
}

/// Indexes of the set bits of words, the first bit being `start`.
fn ones(start: usize, words: impl Iterator<Item = u64>) -> impl Iterator<Item = usize> {
    Ones { words, start, rest: 0, next_start: start }
}

/// Indexes of set bits, ascending.
struct Ones<I> {
    words: I,
    /// Index of the lowest bit of the word being taken apart, and what is left of it.
    start: usize,
    rest: u64,
    next_start: usize,
}

impl<I: Iterator<Item = u64>> Iterator for Ones<I> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.rest == 0 {
            self.rest = self.words.next()?;
            self.start = self.next_start;
            self.next_start += 64;
        }
        let bit = self.rest.trailing_zeros() as usize;
        self.rest &= self.rest - 1;
        Some(self.start + bit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn bits(of: &BTreeSet<usize>) -> Bits {
        let mut bits = Bits::none(200);
        of.iter().for_each(|&index| bits.set(index));
        bits
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(
            a in prop::collection::btree_set(0..200_usize, 0..60),
            b in prop::collection::btree_set(0..200_usize, 0..60),
            at in 0..220_usize,
        ) {
            let with = |f: fn(&mut Bits, &Bits)| {
                let mut result = bits(&a);
                f(&mut result, &bits(&b));
                result.ones().collect::<BTreeSet<_>>()
            };
            prop_assert_eq!(bits(&a).ones().collect::<Vec<_>>(), a.iter().copied().collect::<Vec<_>>());
            let mut cut = bits(&a);
            cut.truncate(at);
            prop_assert_eq!(cut.ones().collect::<Vec<_>>(), a.range(..at).copied().collect::<Vec<_>>());
            let mut part = bits(&b);
            let is_any = part.copy_part(&bits(&a), 64..128);
            prop_assert_eq!(part.ones().collect::<Vec<_>>(), a.range(64..128).copied().collect::<Vec<_>>());
            prop_assert_eq!(is_any, a.range(64..128).next().is_some());
            let mut copied = Bits::none(200);
            let bytes: Vec<u8> = bits(&a).words().iter().flat_map(|word| word.to_le_bytes()).collect();
            copied.set_bytes(&bytes);
            prop_assert_eq!(&copied, &bits(&a));
            let of_both: Vec<usize> = bits(&a).ones_of_both(&bits(&b), 64..192).collect();
            prop_assert_eq!(of_both, (&a & &b).range(64..192).copied().collect::<Vec<_>>());
            prop_assert_eq!(bits(&a).count(), a.len());
            prop_assert_eq!(with(Bits::and), &a & &b);
            prop_assert_eq!(with(Bits::or), &a | &b);
            prop_assert_eq!(with(Bits::and_not), &a - &b);
        }
    }
}
