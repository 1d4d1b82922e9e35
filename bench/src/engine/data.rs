//! The documents of a run: generated in production's shape, or real ones, always as numbers of words.

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use nautilus_analysis::Analyzer;

use super::words::{Frequencies, vocabulary};
use crate::corpus;
use crate::measure::{Random, whole};

/// The number of a word in the vocabulary.
pub(crate) type Word = u32;
/// The number of a namespace.
pub(crate) type Namespace = u32;
/// The number of a document: its place in the order of arrival.
pub(crate) type Id = u32;

/// Words of generated documents.
pub(crate) const VOCABULARY: usize = 60_000;
/// Of Zipf and Mandelbrot's law.
pub(crate) const EXPONENT: f64 = 1.05;
/// Of Zipf and Mandelbrot's law.
pub(crate) const SHIFT: f64 = 2.7;
/// Median of the lengths of documents, in words.
pub(crate) const LENGTH_MEDIAN: f64 = 150.0;
/// Standard deviation of the logarithm of lengths.
pub(crate) const LENGTH_SIGMA: f64 = 0.9;
/// Documents are not longer.
pub(crate) const LENGTH_MAX: usize = 5_000;
/// Words in a hundred that repeat one of the same document: words come in bursts.
const REPEATS_PERCENT: usize = 25;

/// So many namespaces of so many documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) namespaces: u32,
    pub(crate) documents: u32,
}

/// What a generated corpus is made of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub(crate) groups: Vec<Group>,
    pub(crate) length_median: f64,
    pub(crate) seed: u64,
}

/// Documents in the order of their arrival.
pub(crate) struct Corpus {
    pub(crate) words: Vec<String>,
    /// Of each document.
    owners: Vec<Namespace>,
    documents: Documents,
    namespaces: u32,
}

enum Documents {
    /// Made anew each time from the seed and the document's number.
    Generated {
        frequencies: Frequencies,
        length_median: f64,
        seed: u64,
    },
    Read(Vec<Vec<Word>>),
}

impl Corpus {
    /// A function of the shape alone.
    pub(crate) fn generate(shape: &Shape) -> Self {
        let mut owners = Vec::new();
        let mut namespaces = 0;
        for group in &shape.groups {
            for _ in 0..group.namespaces {
                owners.extend((0..group.documents).map(|_| namespaces));
                namespaces += 1;
            }
        }
        // Documents of all namespaces arrive mixed.
        Random::new(shape.seed).shuffle(&mut owners);
        Self {
            words: vocabulary(VOCABULARY, shape.seed),
            owners,
            documents: Documents::Generated {
                frequencies: Frequencies::new(VOCABULARY, EXPONENT, SHIFT),
                length_median: shape.length_median,
                seed: shape.seed,
            },
            namespaces,
        }
    }

    /// Real documents: all files in one namespace, or each folder given in one of its own.
    ///
    /// The analyzer's tokens become the words, so that both engines index the same.
    pub(crate) fn read(folders: &[PathBuf], limit: usize, seed: u64) -> Result<Self> {
        let mut numbers: HashMap<String, Word> = HashMap::new();
        let mut found = Vec::new();
        let mut namespaces = 0;
        for folder in folders {
            let documents =
                corpus::read(std::slice::from_ref(folder), limit, corpus::BODY_BYTES_MAX, seed)?;
            for document in documents {
                let mut words = Vec::new();
                Analyzer::new().for_each_token(&document.body, |token| {
                    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
                    words.push(*numbers.entry(token.text.to_owned()).or_insert(next));
                });
                found.push((namespaces, words));
            }
            namespaces += 1;
        }
        ensure!(!found.is_empty(), "no documents to read");
        Random::new(seed).shuffle(&mut found);
        let mut words = vec![String::new(); numbers.len()];
        for (word, number) in numbers {
            words[number as usize] = word;
        }
        let (owners, documents) = found.into_iter().unzip();
        Ok(Self { words, owners, documents: Documents::Read(documents), namespaces })
    }

    pub(crate) fn len(&self) -> Id {
        Id::try_from(self.owners.len()).unwrap_or(Id::MAX)
    }

    pub(crate) fn namespaces(&self) -> u32 {
        self.namespaces
    }

    pub(crate) fn owner(&self, id: Id) -> Namespace {
        self.owners[id as usize]
    }

    /// How many documents each namespace has.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        let mut sizes = vec![0; self.namespaces as usize];
        for &owner in &self.owners {
            sizes[owner as usize] += 1;
        }
        sizes
    }

    /// The words of a document, in their order.
    pub(crate) fn document(&self, id: Id) -> Vec<Word> {
        match &self.documents {
            Documents::Read(documents) => documents[id as usize].clone(),
            Documents::Generated { frequencies, length_median, seed } => {
                let mut random = Random::new(seed.wrapping_add(u64::from(id) << 20));
                let length = length_median * (LENGTH_SIGMA * random.normal()).exp();
                let length = whole(length).clamp(5, LENGTH_MAX as u64);
                let mut words: Vec<Word> = Vec::new();
                for _ in 0..length {
                    let repeats = !words.is_empty() && random.below(100) < REPEATS_PERCENT;
                    words.push(if repeats {
                        words[random.below(words.len())]
                    } else {
                        frequencies.draw(&mut random)
                    });
                }
                words
            }
        }
    }

    /// As both engines store it: words, and a line break after every fifteenth.
    pub(crate) fn text(&self, words: &[Word]) -> String {
        let mut text = String::with_capacity(words.len() * 7);
        for (place, &word) in words.iter().enumerate() {
            if place > 0 {
                text.push(if place % 15 == 0 { '\n' } else { ' ' });
            }
            text.push_str(&self.words[word as usize]);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(seed: u64) -> Shape {
        let groups =
            vec![Group { namespaces: 1, documents: 200 }, Group { namespaces: 10, documents: 3 }];
        Shape { groups, length_median: LENGTH_MEDIAN, seed }
    }

    #[test]
    fn the_same_seed_gives_the_same_documents() {
        let (one, two, other) =
            (Corpus::generate(&shape(7)), Corpus::generate(&shape(7)), Corpus::generate(&shape(8)));
        assert_eq!(one.len(), 230);
        assert_eq!(one.sizes(), [[200].as_slice(), &[3; 10]].concat());
        for id in 0..one.len() {
            assert_eq!((one.owner(id), one.document(id)), (two.owner(id), two.document(id)));
        }
        assert!((0..230).any(|id| one.document(id) != other.document(id)));
        // In any order.
        assert_eq!(one.document(229), two.document(229));
    }

    #[test]
    fn lengths_are_log_normal() {
        let groups = vec![Group { namespaces: 1, documents: 4_000 }];
        let corpus = Corpus::generate(&Shape { groups, ..shape(7) });
        let mut lengths: Vec<usize> = (0..4_000).map(|id| corpus.document(id).len()).collect();
        lengths.sort_unstable();
        assert!((130..170).contains(&lengths[2_000]), "median {}", lengths[2_000]);
        // One standard deviation above the median: e^0.9 = 2.46 times.
        assert!((320..420).contains(&lengths[3_364]), "84th percentile {}", lengths[3_364]);
    }

    #[test]
    fn a_text_analyses_to_its_words() {
        let corpus = Corpus::generate(&shape(7));
        let words = corpus.document(11);
        let tokens = Analyzer::new().tokens(&corpus.text(&words));
        let expected: Vec<&str> =
            words.iter().map(|&w| corpus.words[w as usize].as_str()).collect();
        assert_eq!(tokens.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), expected);
    }
}
