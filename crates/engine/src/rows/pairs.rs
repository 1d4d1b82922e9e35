//! The pairs row: which tokens may stand side by side in a body, as a Bloom filter (Bloom, 1970).
//!
//! ```text
//! row version 1 │ bits, lowest first
//! ```
//!
//! A phrase can only stand where each two of its tokens that follow each other are a pair of the body. The filter
//! never denies one that is there, and takes 1 in 40 of the others for one: so most texts that hold a phrase's
//! words somewhere need not be read.

use xxhash_rust::xxh3::xxh3_64;

use super::Malformed;

const MALFORMED: Malformed = Malformed { row: "pairs" };
const ROW_VERSION: u8 = 1;

/// With 4 probes: one in 42 pairs that are not there is taken for one that is.
const BITS_PER_PAIR: usize = 8;
const PROBES: u32 = 4;

/// Hash of one token, and of two that follow each other. Stored filters depend on both.
pub(crate) fn token_hash(token: &str) -> u64 {
    xxh3_64(token.as_bytes())
}

/// The hash of the pair of two tokens.
pub(crate) fn pair_hash(first: u64, second: u64) -> u64 {
    // A product spreads over the upper bits only: they are folded down.
    let product = (first.rotate_left(29) ^ second).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

/// The pairs of a phrase.
pub(crate) fn of_phrase(tokens: &[String]) -> Vec<u64> {
    let hashes: Vec<u64> = tokens.iter().map(|token| token_hash(token)).collect();
    hashes.windows(2).map(|two| pair_hash(two[0], two[1])).collect()
}

/// A filter with these pairs; None where there are none. Reorders `pairs`.
pub(crate) fn encode(pairs: &mut Vec<u64>) -> Option<Vec<u8>> {
    let mut row = Vec::new();
    put(&mut row, pairs).then_some(row)
}

/// Appends a filter with these pairs; false, and nothing, where there are none. Reorders `pairs`.
pub(crate) fn put(out: &mut Vec<u8>, pairs: &mut Vec<u64>) -> bool {
    pairs.sort_unstable();
    pairs.dedup();
    if pairs.is_empty() {
        return false;
    }
    out.push(ROW_VERSION);
    let start = out.len();
    out.resize(start + (pairs.len() * BITS_PER_PAIR).div_ceil(8), 0);
    let bits = &mut out[start..];
    for pair in pairs {
        let places = places(*pair, bits.len());
        places.for_each(|place| bits[place / 8] |= 1 << (place % 8));
    }
    true
}

/// Whether the pair may be one of the row's.
pub(crate) fn may_hold(row: &[u8], pair: u64) -> Result<bool, Malformed> {
    match row.split_first() {
        Some((&ROW_VERSION, bits)) if !bits.is_empty() => {
            Ok(places(pair, bits.len()).all(|place| bits[place / 8] & (1 << (place % 8)) != 0))
        }
        Some(_) | None => Err(MALFORMED),
    }
}

/// Where a pair's bits are (Kirsch and Mitzenmacher, "Less Hashing, Same Performance", 2006).
fn places(pair: u64, bytes: usize) -> impl Iterator<Item = usize> {
    let (low, high) = (pair & 0xFFFF_FFFF, (pair >> 32) | 1);
    let bits = bytes as u64 * 8;
    (0..u64::from(PROBES)).map(move |probe| {
        let hash = low.wrapping_add(probe.wrapping_mul(high)) & 0xFFFF_FFFF;
        // Below the number of bits, which are fewer than 2^32: a body has at most 2^18 bytes.
        usize::try_from(hash.wrapping_mul(bits) >> 32).unwrap_or(0).min(bytes * 8 - 1)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pair(first: &str, second: &str) -> u64 {
        pair_hash(token_hash(first), token_hash(second))
    }

    proptest! {
        #[test]
        fn never_denies_what_is_there(words in prop::collection::vec("[a-d]{1,3}", 0..200)) {
            let mut pairs: Vec<u64> = words.windows(2).map(|two| pair(&two[0], &two[1])).collect();
            match encode(&mut pairs) {
                None => prop_assert!(words.len() < 2),
                Some(row) => {
                    for two in words.windows(2) {
                        prop_assert_eq!(may_hold(&row, pair(&two[0], &two[1])), Ok(true));
                    }
                }
            }
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..40), pair in any::<u64>()) {
            let _: Result<bool, Malformed> = may_hold(&bytes, pair);
        }
    }

    #[test]
    fn denies_most_that_is_not_there() {
        let mut pairs: Vec<u64> = (0..1_000).map(|n| pair("of", &n.to_string())).collect();
        let row = encode(&mut pairs).expect("a filter");
        assert_eq!(row.len(), 1_001);
        let taken = (0..10_000).filter(|n| may_hold(&row, pair(&n.to_string(), "of")) == Ok(true));
        let taken = taken.count();
        assert!((150..350).contains(&taken), "{taken} of 10,000");
    }

    #[test]
    fn hashes_hold() {
        // Persisted in every filter: a changed value would deny what is there.
        assert_eq!(pair("of", "the"), PAIR_OF_THE);
        assert_ne!(pair("the", "of"), PAIR_OF_THE);
    }

    const PAIR_OF_THE: u64 = 1_240_631_739_343_511_345;
}
