//! How documents score: the one definition of BM25, shared by whoever picks candidates and whoever ranks them.
//! The normative text is `docs/formats/scoring.md`.
//!
//! A query's score is the sum of [`bm25`] over its scoring leaves
//! ([`Node::scoring_leaves`](crate::Node::scoring_leaves)), from left to right, so that two parts
//! which hold the same integers get the same bits. A leaf's frequency in a document is the sum over
//! the leaf's fields of the times it occurs, each times the field's weight ([`weighted_frequency`]).
//! A document's length is the number of tokens of all its fields, unweighted, rounded down by its
//! one-byte code ([`encode_length`]); the average is taken over lengths that are not rounded.
//!
//! The formula is Okapi BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25
//! and Beyond", 2009, equation 3.15) with an inverse document frequency that is never negative.

use crate::FieldSet;

/// How soon more occurrences stop to matter.
pub const K1: f64 = 1.2;
/// How much a document's length matters, 0 to 1.
pub const B: f64 = 0.75;
/// What one occurrence counts in each field, by [`Field::index`](crate::Field::index): a word of
/// the title says more about a document than one of its text.
pub const FIELD_WEIGHTS: [u32; 3] = [4, 2, 1];

/// What a document is weighed against: all documents of the scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collection {
    /// How many documents there are.
    pub documents: u64,
    /// The tokens of all fields of all of them, not rounded.
    pub total_length: u64,
}

/// Occurrences by field ([`Field::index`](crate::Field::index)) as one number: those in `fields`,
/// each times its field's weight. Stays at the largest number instead of overflowing.
#[must_use]
pub fn weighted_frequency(occurrences: [u32; 3], fields: FieldSet) -> u32 {
    crate::Field::ALL.into_iter().filter(|&field| fields.contains(field)).fold(
        0,
        |sum: u32, field| {
            let index = field.index();
            sum.saturating_add(occurrences[index].saturating_mul(FIELD_WEIGHTS[index]))
        },
    )
}

/// `ln(1 + (N − df + 0.5) / (df + 0.5))`: what finding a leaf is worth that `document_frequency`
/// of N documents have. Never negative, also for figures that cannot be.
#[must_use]
pub fn idf(documents: u64, document_frequency: u64) -> f64 {
    let (n, df) = (documents as f64, document_frequency as f64);
    (1.0 + (n - df + 0.5) / (df + 0.5)).ln().max(0.0)
}

/// The score of one leaf in one document:
/// `idf · tf · (k1 + 1) / (tf + k1 · (1 − b + b · length / average))`, 0 where `frequency` is 0.
///
/// `length` is the decoded one ([`decode_length`]), `frequency` the weighted one. In a collection
/// without tokens every length counts as the average.
#[must_use]
pub fn bm25(collection: Collection, document_frequency: u64, length: u32, frequency: u32) -> f64 {
    if frequency == 0 {
        return 0.0;
    }
    let tf = f64::from(frequency);
    let norm = K1 * (1.0 - B + B * relative_length(collection, length));
    idf(collection.documents, document_frequency) * tf * (K1 + 1.0) / (tf + norm)
}

/// The score of a document: the sum of its leaves' scores, from left to right.
///
/// `document_frequencies` and `frequencies` hold one number for each scoring leaf; what one of
/// them has more than the other does not count.
#[must_use]
pub fn score(
    collection: Collection,
    document_frequencies: &[u64],
    length: u32,
    frequencies: &[u32],
) -> f64 {
    let leaves = document_frequencies.iter().zip(frequencies);
    // A fold and not a sum, so that the order of the additions stands here.
    leaves.fold(0.0, |sum, (&df, &frequency)| sum + bm25(collection, df, length, frequency))
}

/// [`score`] for many documents of one query: the same bits, without computing again what is the query's.
#[derive(Debug, Clone)]
pub struct Scorer {
    collection: Collection,
    /// Of each scoring leaf.
    idfs: Vec<f64>,
}

impl Scorer {
    /// For a query whose scoring leaves have these document frequencies.
    #[must_use]
    pub fn new(collection: Collection, document_frequencies: &[u64]) -> Self {
        let idfs = document_frequencies.iter().map(|&df| idf(collection.documents, df)).collect();
        Self { collection, idfs }
    }

    /// What [`score`] gives, from the number and frequency of each leaf that the document has, ascending by number.
    #[must_use]
    pub fn score(&self, length: u32, frequencies: impl IntoIterator<Item = (u32, u32)>) -> f64 {
        let norm = self.norm(length);
        frequencies.into_iter().fold(0.0, |sum, (leaf, frequency)| {
            let idf = usize::try_from(leaf).ok().and_then(|leaf| self.idfs.get(leaf));
            match idf {
                Some(&idf) if frequency > 0 => sum + part(idf, norm, frequency),
                Some(_) | None => sum,
            }
        })
    }

    /// What all parts of the score of a document of this length have in common.
    #[must_use]
    #[inline]
    pub fn norm(&self, length: u32) -> f64 {
        K1 * (1.0 - B + B * relative_length(self.collection, length))
    }

    /// Scores of one leaf; a score is the sum of its leaves' parts, from left to right.
    #[must_use]
    pub fn leaf(&self, number: usize) -> LeafScorer {
        LeafScorer { idf: self.idfs.get(number).copied().unwrap_or(0.0) }
    }
}

/// What one leaf adds to scores.
#[derive(Debug, Clone, Copy)]
pub struct LeafScorer {
    idf: f64,
}

impl LeafScorer {
    /// What the leaf adds to the score of a document with this [`Scorer::norm`], for a frequency above 0.
    #[must_use]
    #[inline]
    pub fn part(self, norm: f64, frequency: u32) -> f64 {
        part(self.idf, norm, frequency)
    }

    /// A number for which [`Self::part`] is below `floor` wherever `norm` is above it times the frequency. Where
    /// rounding could tell otherwise it is infinite.
    #[must_use]
    pub fn norm_by_frequency_max(self, floor: f64) -> f64 {
        // tf · c / (tf + norm) ≥ floor, if and only if norm ≤ tf · (c − floor) / floor.
        let highest = self.idf * (K1 + 1.0);
        if floor > 0.0 && floor < highest * 0.999 {
            (highest - floor) / floor * (1.0 + 1e-9)
        } else {
            f64::INFINITY
        }
    }
}

#[inline]
fn part(idf: f64, norm: f64, frequency: u32) -> f64 {
    let tf = f64::from(frequency);
    idf * tf * (K1 + 1.0) / (tf + norm)
}

fn relative_length(collection: Collection, length: u32) -> f64 {
    if collection.total_length == 0 || collection.documents == 0 {
        return 1.0;
    }
    let average = collection.total_length as f64 / collection.documents as f64;
    f64::from(length) / average
}

/// Lengths below this have a code of their own.
const EXACT_BELOW: u32 = 24;
/// Bits of a larger length's excess that its code keeps, the leading one included.
const SIGNIFICANT_BITS: u32 = 4;
/// Longer ones count as this long: what the last code has room for.
const LENGTH_MAX: u32 = i32::MAX.unsigned_abs();

/// The code of a length in tokens, in one byte that compares as the lengths do.
///
/// ```text
/// length < 24   the length
/// else          24 + code of (length − 24):
///                 excess < 8    the excess
///                 else          ⌊log2⌋ − 2 in the upper bits, the 3 bits after the leading one below
/// ```
/// So the error is below one part in eight. The rounding is that of Lucene's length norms
/// (`SmallFloat.intToByte4`); lengths of 2^31 and more share the last code.
#[must_use]
pub fn encode_length(length: u32) -> u8 {
    let length = length.min(LENGTH_MAX);
    let code = match length.checked_sub(EXACT_BELOW) {
        None => length,
        Some(excess) => EXACT_BELOW + encode_excess(excess),
    };
    // At most 24 + 231.
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// The smallest length that has this code.
#[must_use]
pub fn decode_length(code: u8) -> u32 {
    let code = u32::from(code);
    match code.checked_sub(EXACT_BELOW) {
        None => code,
        Some(excess) => EXACT_BELOW + decode_excess(excess),
    }
}

fn encode_excess(excess: u32) -> u32 {
    let bits = u32::BITS - excess.leading_zeros();
    match bits.checked_sub(SIGNIFICANT_BITS) {
        None => excess,
        Some(dropped) => ((dropped + 1) << 3) | ((excess >> dropped) & 0b111),
    }
}

fn decode_excess(code: u32) -> u32 {
    let low = code & 0b111;
    match (code >> 3).checked_sub(1) {
        None => low,
        Some(dropped) => (low | 0b1000) << dropped,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Field;

    #[test]
    fn scores_by_hand() {
        let collection = Collection { documents: 10, total_length: 1_000 };
        // ln(1 + 8.5 / 2.5) and a document of average length: tf · 2.2 / (tf + 1.2).
        let idf = 4.4_f64.ln();
        assert!((bm25(collection, 2, 100, 3) - idf * 6.6 / 4.2).abs() < 1e-12);
        // Half the average: the norm is 1.2 · (0.25 + 0.375).
        assert!((bm25(collection, 2, 50, 1) - idf * 2.2 / 1.75).abs() < 1e-12);
        assert_eq!(bm25(collection, 2, 50, 0), 0.0);
        let both = bm25(collection, 2, 50, 1) + bm25(collection, 9, 50, 4);
        assert_eq!(score(collection, &[2, 9], 50, &[1, 4]), both);
    }

    #[test]
    fn fields_weigh_as_the_table_says() {
        assert_eq!(weighted_frequency([1, 1, 1], FieldSet::ALL), 7);
        assert_eq!(weighted_frequency([1, 2, 3], FieldSet::only(Field::Path)), 4);
        assert_eq!(weighted_frequency([u32::MAX, 0, 0], FieldSet::ALL), u32::MAX);
    }

    #[test]
    fn length_codes_hold() {
        // Persisted in every length row: a changed value would change every score.
        let vectors = [
            (0, 0),
            (1, 1),
            (23, 23),
            (24, 24),
            (31, 31),
            (39, 39),
            (40, 40),
            (41, 40),
            (42, 41),
            (54, 47),
            (56, 48),
            (100, 57),
            (1_000, 87),
            (100_000, 140),
            (LENGTH_MAX, 255),
            (u32::MAX, 255),
        ];
        for (length, code) in vectors {
            assert_eq!(encode_length(length), code, "{length}");
        }
    }

    #[test]
    fn codes_are_their_own_decoding() {
        let mut last = None;
        for code in 0..=u8::MAX {
            let length = decode_length(code);
            assert_eq!(encode_length(length), code);
            assert!(last < Some(length), "{code}");
            last = Some(length);
        }
    }

    proptest! {
        #[test]
        fn a_scorer_gives_the_same_bits(
            documents: u64, total_length: u64, length: u32,
            leaves in prop::collection::vec((any::<u64>(), 0..4_u32), 0..6),
        ) {
            let collection = Collection { documents, total_length };
            let (dfs, frequencies): (Vec<_>, Vec<_>) = leaves.into_iter().unzip();
            let expected = score(collection, &dfs, length, &frequencies);
            let got = Scorer::new(collection, &dfs).score(length, (0..).zip(frequencies));
            prop_assert_eq!(got.to_bits(), expected.to_bits());
        }

        #[test]
        fn parts_add_up_and_stay_below_a_floor_beyond_its_norm(
            documents in 1..1_000_000_u64, total_length in 1..100_000_000_u64, length: u32, df in 0..1_000_000_u64,
            frequency in 1..=u32::MAX, small in 1..50_u32, of_highest in 0.0..1.2_f64,
        ) {
            let scorer = Scorer::new(Collection { documents, total_length }, &[df]);
            let highest = scorer.leaf(0).part(0.0, u32::MAX);
            for frequency in [frequency, small] {
                let norm = scorer.norm(length);
                let part = scorer.leaf(0).part(norm, frequency);
                prop_assert_eq!((0.0 + part).to_bits(), scorer.score(length, [(0, frequency)]).to_bits());
                for floor in [highest * of_highest, part, part.next_up(), part.next_down()] {
                    let bound = scorer.leaf(0).norm_by_frequency_max(floor) * f64::from(frequency);
                    prop_assert!(part < floor || norm <= bound, "{} {} {}", part, floor, bound);
                }
            }
        }

        #[test]
        fn codes_round_down_by_less_than_an_eighth(length in 0..=LENGTH_MAX) {
            let decoded = decode_length(encode_length(length));
            prop_assert!(decoded <= length);
            prop_assert!(u64::from(length - decoded) * 8 <= u64::from(length));
            if length < 40 {
                prop_assert_eq!(decoded, length);
            }
        }

        #[test]
        fn codes_keep_order(a: u32, b: u32) {
            prop_assert_eq!(a.min(b) == a, a <= b);
            prop_assert!(encode_length(a.min(b)) <= encode_length(a.max(b)));
        }

        #[test]
        fn scores_are_finite_and_grow_with_frequency(
            documents: u64, total_length: u64, df: u64, length: u32, frequency in 0..u32::MAX,
        ) {
            let collection = Collection { documents, total_length };
            let less = bm25(collection, df, length, frequency);
            let more = bm25(collection, df, length, frequency + 1);
            prop_assert!(less.is_finite() && less >= 0.0);
            prop_assert!(more >= less);
        }
    }
}
