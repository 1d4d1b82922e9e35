//! `simhash`: by what near duplicates are known.

use std::collections::VecDeque;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::annotator::{Annotator, Budget, Failure, Input, Value, Values};

/// Words that make a shingle.
const SHINGLE_WORDS: usize = 3;

/// Words looked at between two looks at the clock.
const STRIDE: usize = 1_024;

/// A SimHash of 64 bits (M. Charikar, Similarity estimation techniques from rounding algorithms, 2002) over shingles of
/// three words in lower case, hashed by XXH3. Texts that differ by a few words have fingerprints that differ in a few
/// bits: three or fewer meant near duplicates among eight billion web pages (G. S. Manku, A. Jain and A. Das Sarma,
/// Detecting near-duplicates for web crawling, 2007).
///
/// Values: `hash`, 16 hexadecimal digits, and `shingles`, how many it is over: of few it says little. No values where
/// the text has no word.
#[derive(Debug, Clone, Copy)]
pub struct SimHash;

impl Annotator for SimHash {
    fn name(&self) -> &'static str {
        "simhash"
    }

    fn version(&self) -> u32 {
        1
    }

    fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure> {
        let mut sums = [0_i64; 64];
        let mut shingles = 0_i64;
        let mut last = VecDeque::with_capacity(SHINGLE_WORDS + 1);
        let words =
            input.body.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        for (number, word) in words.enumerate() {
            if number.is_multiple_of(STRIDE) {
                budget.check()?;
            }
            last.push_back(xxh3_64(word.to_lowercase().as_bytes()));
            if last.len() > SHINGLE_WORDS {
                last.pop_front();
            }
            if last.len() == SHINGLE_WORDS {
                add(&mut sums, hash(&last));
                shingles += 1;
            }
        }
        if shingles == 0 {
            if last.is_empty() {
                return Ok(Values::new());
            }
            add(&mut sums, hash(&last));
            shingles = 1;
        }
        Ok(Values::from([
            ("shingles".to_owned(), Value::Integer(shingles)),
            ("hash".to_owned(), Value::Text(format!("{:016x}", signs(&sums)))),
        ]))
    }
}

/// In how many bits two fingerprints differ; none where one of them is none.
#[must_use]
pub fn distance(one: &str, other: &str) -> Option<u32> {
    let parse = |digits: &str| u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
    Some((parse(one)? ^ parse(other)?).count_ones())
}

fn hash(words: &VecDeque<u64>) -> u64 {
    let mut hash = Xxh3::new();
    for word in words {
        hash.update(&word.to_be_bytes());
    }
    hash.digest()
}

fn add(sums: &mut [i64; 64], hash: u64) {
    for (bit, sum) in sums.iter_mut().enumerate() {
        *sum += if (hash >> bit) & 1 == 1 { 1 } else { -1 };
    }
}

fn signs(sums: &[i64; 64]) -> u64 {
    let set = sums.iter().enumerate().filter(|(_, sum)| **sum > 0);
    set.fold(0, |bits, (bit, _)| bits | (1 << bit))
}
