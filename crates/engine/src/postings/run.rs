//! The postings of one list in one chunk as a search walks them: one after the other, or probed by their index.
//!
//! A [`Column`] of so many bits as the chunk has ordinals costs as much for three postings as for thousands. Most lists
//! have few, and of the long ones most searches want few postings.

use super::column::{Column, Weights};
use super::value::{self, Packed};
use crate::rows::posting::{Frequencies, is_whole};
use crate::rows::{Malformed, varint};

const MALFORMED: Malformed = Malformed { row: "postings" };
/// Bits of a word.
const WORD: usize = 64;

/// A list's postings with a weight, ascending.
#[derive(Default)]
pub(crate) struct Run {
    /// Indexes in the chunk.
    pub(crate) indexes: Vec<u16>,
    /// Of each the weighted frequency, above 0.
    pub(crate) weights: Vec<u32>,
}

impl Run {
    /// Decodes a value in place of what it holds; indexes must be below `len`. `scratch` serves values that wait to be
    /// folded.
    pub(crate) fn read(
        &mut self,
        value: &[u8],
        len: usize,
        weights: &Weights,
        scratch: &mut Column,
    ) -> Result<(), Malformed> {
        self.indexes.clear();
        self.weights.clear();
        let parts = value::parts(value).ok_or(MALFORMED)?;
        let read = match parts.packed {
            None => self.read_changes(parts.changes, len, weights),
            Some(packed) if parts.changes.is_empty() => self.read_packed(packed, len, weights),
            Some(_) => {
                scratch.begin(len);
                value::read_column(value, scratch)?;
                let (indexes, own) = (&mut self.indexes, &mut self.weights);
                scratch.for_each_weight(scratch.bits(), 0..len, weights, |index, weight| {
                    // An index has at most 14 bits.
                    indexes.push(u16::try_from(index).unwrap_or(u16::MAX));
                    own.push(weight);
                });
                Some(())
            }
        };
        read.ok_or(MALFORMED)?;
        self.drop_weightless();
        Ok(())
    }

    fn read_changes(&mut self, changes: &[u8], len: usize, weights: &Weights) -> Option<()> {
        let mut has_room = true;
        value::for_each_change(changes, |entry| {
            if entry.code != 0 {
                has_room &= usize::from(entry.index) < len;
                self.indexes.push(entry.index);
                self.weights.push(weights.of_posting(entry.code, || entry.frequencies()));
            }
        })?;
        has_room.then_some(())
    }

    fn read_packed(&mut self, packed: &[u8], len: usize, weights: &Weights) -> Option<()> {
        let Packed { count, bitmap, rest } = value::packed(packed)?;
        self.indexes.reserve(count);
        let rest = match bitmap {
            None => self.read_gaps(count, rest)?,
            Some(bitmap) => {
                self.read_bits(bitmap);
                rest
            }
        };
        let is_whole_list = self.indexes.len() == count
            && self.indexes.last().is_none_or(|&last| usize::from(last) < len);
        let (codes, rest) = rest.split_at_checked(count).filter(|_| is_whole_list)?;
        let mut long = varint::Reader(rest);
        self.weights.reserve(count);
        for &code in codes {
            let frequencies = if is_whole(code) {
                Frequencies::default()
            } else {
                Frequencies::read(code, &mut long)?
            };
            self.weights.push(weights.of_posting(code, || frequencies));
        }
        long.is_empty().then_some(())
    }

    /// What follows the gaps.
    fn read_gaps<'a>(&mut self, count: usize, gaps: &'a [u8]) -> Option<&'a [u8]> {
        let mut reader = varint::Reader(gaps);
        let mut index = 0_u16;
        for at in 0..count {
            let gap = match *reader.0 {
                [gap, ref rest @ ..] if gap < 0x80 => {
                    reader.0 = rest;
                    u16::from(gap)
                }
                _ => u16::try_from(reader.u64()?).ok()?,
            };
            if at > 0 && gap == 0 {
                return None;
            }
            index = index.checked_add(gap)?;
            self.indexes.push(index);
        }
        Some(reader.0)
    }

    fn read_bits(&mut self, bitmap: &[u8]) {
        for (number, eight) in bitmap.chunks(WORD / 8).enumerate() {
            let mut word = word_of(eight);
            let Ok(start) = u16::try_from(number * WORD) else { return };
            while word != 0 {
                // Below 64.
                self.indexes.push(start + u16::try_from(word.trailing_zeros()).unwrap_or(0));
                word &= word - 1;
            }
        }
    }

    /// Postings in other fields than those asked for are none.
    fn drop_weightless(&mut self) {
        if self.weights.iter().all(|&weight| weight > 0) {
            return;
        }
        let mut kept = 0;
        for at in 0..self.weights.len() {
            if self.weights[at] > 0 {
                self.weights[kept] = self.weights[at];
                self.indexes[kept] = self.indexes[at];
                kept += 1;
            }
        }
        self.weights.truncate(kept);
        self.indexes.truncate(kept);
    }
}

/// A bitmap whose postings' first bytes say all of them, probed as it is stored.
pub(crate) struct Bitmap<'a> {
    bits: &'a [u8],
    codes: &'a [u8],
    /// Set bits before each word.
    ranks: &'a [u16],
}

impl<'a> Bitmap<'a> {
    /// None where the value has another form. `ranks` is memory that serves one bitmap after the other.
    pub(crate) fn of(value: &'a [u8], ranks: &'a mut Vec<u16>) -> Result<Option<Self>, Malformed> {
        let parts = value::parts(value).ok_or(MALFORMED)?;
        let Some(packed) = parts.packed.filter(|_| parts.changes.is_empty()) else {
            return Ok(None);
        };
        let Packed { count, bitmap, rest: codes } = value::packed(packed).ok_or(MALFORMED)?;
        let Some(bits) = bitmap.filter(|_| codes.len() == count) else { return Ok(None) };
        ranks.clear();
        let mut rank = 0;
        for eight in bits.chunks(WORD / 8) {
            ranks.push(rank);
            // At most 64 more.
            rank += u16::try_from(word_of(eight).count_ones()).unwrap_or(0);
            if usize::from(rank) > count {
                return Err(MALFORMED);
            }
        }
        if usize::from(rank) == count {
            Ok(Some(Self { bits, codes, ranks }))
        } else {
            Err(MALFORMED)
        }
    }

    /// The weighted frequency of the posting at an index; 0 where there is none.
    #[inline]
    pub(crate) fn weight(&self, index: u16, weights: &Weights) -> u32 {
        let index = usize::from(index);
        let byte = self.bits.get(index / 8).copied().unwrap_or(0);
        if byte & (1 << (index % 8)) == 0 {
            return 0;
        }
        let number = index / WORD;
        let word = word_of(self.bits.get(number * WORD / 8..).unwrap_or_default());
        let before = (word & ((1 << (index % WORD)) - 1)).count_ones();
        let rank = usize::from(self.ranks.get(number).copied().unwrap_or(0));
        // Below 64.
        let code = self.codes.get(rank + usize::try_from(before).unwrap_or(0)).copied();
        code.map_or(0, |code| weights.of_posting(code, Frequencies::default))
    }
}

/// The first eight bytes, or as many as there are, the lowest bits first.
fn word_of(bytes: &[u8]) -> u64 {
    match bytes.as_chunks::<8>() {
        ([eight, ..], _) => u64::from_le_bytes(*eight),
        ([], rest) => rest.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nautilus_query::FieldSet;
    use proptest::prelude::*;

    use super::*;
    use crate::postings::value::{Entry, encode_changed, encode_list};

    const LEN: usize = 16_384;

    /// Few, many, in one field or in several, short gaps and long ones.
    fn postings() -> impl Strategy<Value = BTreeMap<u16, Frequencies>> {
        let frequencies = prop_oneof![
            6 => (1..40_u32).prop_map(|n| Frequencies([0, 0, n])),
            1 => (1..9_u32, 0..9_u32, 0..300_u32).prop_map(|(a, b, c)| Frequencies([a, b, c])),
        ];
        let one_field = (1..32_u32).prop_map(|n| Frequencies([0, 0, n]));
        prop_oneof![
            prop::collection::btree_map(0..16_384_u16, frequencies.clone(), 0..60),
            prop::collection::btree_map(0..200_u16, frequencies, 0..200),
            prop::collection::btree_map(0..500_u16, one_field, 100..400),
        ]
    }

    fn encoded(postings: &BTreeMap<u16, Frequencies>) -> Vec<u8> {
        let list: Vec<_> = postings.iter().map(|(index, of)| (*index, *of)).collect();
        let mut value = Vec::new();
        encode_list(&mut value, &list);
        value
    }

    fn fields() -> impl Strategy<Value = FieldSet> {
        (1..8_u8).prop_map(|bits| FieldSet::from_bits(bits).expect("some fields"))
    }

    fn in_column(value: &[u8], weights: &Weights) -> Result<Vec<(u16, u32)>, Malformed> {
        let mut column = Column::new();
        value::read_column(value, &mut column)?;
        column.retain(weights);
        let mut found = Vec::new();
        column.for_each_weight(column.bits(), 0..LEN, weights, |index, weight| {
            found.push((u16::try_from(index).expect("in the chunk"), weight));
        });
        Ok(found)
    }

    fn in_run(value: &[u8], weights: &Weights) -> Result<Vec<(u16, u32)>, Malformed> {
        let mut run = Run::default();
        run.read(value, LEN, weights, &mut Column::empty())?;
        Ok(run.indexes.into_iter().zip(run.weights).collect())
    }

    proptest! {
        #[test]
        fn walks_and_probes_what_a_column_holds(
            below in postings(), above in prop::collection::btree_map(0..500_u16, 0..9_u8, 0..20), fields in fields(),
        ) {
            let weights = Weights::of(fields);
            let packed = encoded(&below);
            let expected = in_column(&packed, weights).expect("sound");
            prop_assert_eq!(&in_run(&packed, weights).expect("sound"), &expected);
            let mut ranks = Vec::new();
            if let Some(bitmap) = Bitmap::of(&packed, &mut ranks).expect("sound") {
                let probed: Vec<_> = (0..16_384_u16)
                    .map(|index| (index, bitmap.weight(index, weights)))
                    .filter(|(_, weight)| *weight > 0)
                    .collect();
                prop_assert_eq!(&probed, &expected);
            }
            if below.len() > 3 {
                let entries: Vec<Entry<'_>> = above
                    .iter()
                    .map(|(&index, &n)| Entry { index, code: if n == 0 { 0 } else { n << 3 | 4 }, rest: &[] })
                    .collect();
                let changed = encode_changed(&packed, &entries);
                let expected = in_column(&changed, weights).expect("sound");
                prop_assert_eq!(in_run(&changed, weights).expect("sound"), expected);
                prop_assert!(above.is_empty() || Bitmap::of(&changed, &mut ranks).expect("sound").is_none());
            }
        }

        /// Broken bytes are refused by both or mean the same to both.
        #[test]
        fn broken_values_are_survived(
            postings in postings(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
        ) {
            let mut value = encoded(&postings);
            let at = at.index(value.len());
            value[at] = byte;
            value.truncate(cut.index(value.len()) + 1);
            let weights = Weights::of(FieldSet::ALL);
            let in_run = in_run(&value, weights);
            let mut ranks = Vec::new();
            let bitmap = Bitmap::of(&value, &mut ranks);
            if let Ok(Some(bitmap)) = bitmap {
                (0..16_384_u16).for_each(|index| { bitmap.weight(index, weights); });
            }
            if let (Ok(in_run), Ok(in_column)) = (in_run, in_column(&value, weights)) {
                let in_column: Vec<_> = in_column.into_iter().filter(|(_, weight)| *weight > 0).collect();
                prop_assert_eq!(in_run, in_column);
            }
        }
    }
}
