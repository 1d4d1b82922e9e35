//! What each query must find, by looking at every document: hits, and the best scores by the engine's own definition.
//!
//! Written from `docs/formats/scoring.md` and from the peer's documented formula (the same BM25 in single precision,
//! a phrase weighed by the sum of its words' idf, a prefix by the constant 1); no code of either engine is used.

use std::collections::HashMap;
use std::ops::Range;

use super::data::{Corpus, Id, Namespace, Word};
use super::queries::{Query, Question};

const K1: f64 = 1.2;
const B: f64 = 0.75;

/// Whose definition of a score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Definition {
    /// Statistics of the namespace, prefixes weighed like words, phrases like their rarest word.
    Ours,
    /// Statistics of the whole index.
    PeerShared,
    /// The index's number of documents and average length, the namespace's document frequencies.
    PeerTerms,
    /// Statistics of the namespace.
    PeerOwn,
}

impl Definition {
    pub(crate) const ALL: [Self; 4] =
        [Self::Ours, Self::PeerShared, Self::PeerTerms, Self::PeerOwn];
}

/// How many hits a page of results has.
pub(crate) const PAGE: usize = 10;

/// The answers to one query.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) hits: u64,
    /// A bit for each document.
    matched: Vec<u64>,
    /// By definition, the best: score descending, then id.
    best: [Vec<(Id, f64)>; 4],
}

impl Answer {
    pub(crate) fn best(&self, definition: Definition) -> &[(Id, f64)] {
        &self.best[definition as usize]
    }

    pub(crate) fn is_match(&self, id: Id) -> bool {
        let word = self.matched.get(id as usize / 64).copied().unwrap_or(0);
        word >> (id % 64) & 1 == 1
    }

    /// Documents come in ascending order.
    fn add(&mut self, id: Id, scores: [f64; 4]) {
        self.hits += 1;
        let word = id as usize / 64;
        if self.matched.len() <= word {
            self.matched.resize(word + 1, 0);
        }
        self.matched[word] |= 1 << (id % 64);
        for (best, score) in self.best.iter_mut().zip(scores) {
            let at = best.partition_point(|&(_, other)| other >= score);
            if at < PAGE {
                best.insert(at, (id, score));
                best.truncate(PAGE);
            }
        }
    }
}

/// N, tokens, and documents with each word.
#[derive(Clone, Debug)]
struct Statistics {
    documents: f64,
    tokens: f64,
    frequencies: Vec<u32>,
}

impl Statistics {
    fn new(words: usize) -> Self {
        Self { documents: 0.0, tokens: 0.0, frequencies: vec![0; words] }
    }

    fn add(&mut self, document: &Tally) {
        self.documents += 1.0;
        self.tokens += document.length as f64;
        for &word in &document.distinct {
            self.frequencies[word as usize] += 1;
        }
    }

    fn average(&self) -> f64 {
        self.tokens / self.documents
    }
}

/// One document, counted.
struct Tally {
    counts: Vec<u32>,
    distinct: Vec<Word>,
    length: usize,
    /// The place of each word among all words in the order of their texts.
    places: Vec<u32>,
    /// The document's words in that order: place, and how often all up to it occur.
    sums: Vec<(u32, u32)>,
}

impl Tally {
    fn new(corpus: &Corpus) -> Self {
        let words = corpus.words.len();
        let mut places = vec![0; words];
        for (place, word) in (0..).zip(in_order(corpus)) {
            places[word as usize] = place;
        }
        Self { counts: vec![0; words], distinct: Vec::new(), length: 0, places, sums: Vec::new() }
    }

    fn count(&mut self, words: &[Word]) {
        for &word in &self.distinct {
            self.counts[word as usize] = 0;
        }
        self.distinct.clear();
        for &word in words {
            let count = &mut self.counts[word as usize];
            *count += 1;
            if *count == 1 {
                self.distinct.push(word);
            }
        }
        self.length = words.len();
        self.sums.clear();
        self.sums.extend(
            self.distinct
                .iter()
                .map(|&word| (self.places[word as usize], self.counts[word as usize])),
        );
        self.sums.sort_unstable();
        let mut sum = 0;
        for (_, count) in &mut self.sums {
            sum += *count;
            *count = sum;
        }
    }

    /// How often the words of these places occur.
    fn count_of(&self, places: &Range<u32>) -> u32 {
        let up_to = |bound: u32| {
            let at = self.sums.partition_point(|&(place, _)| place < bound);
            at.checked_sub(1).map_or(0, |last| self.sums[last].1)
        };
        up_to(places.end) - up_to(places.start)
    }
}

/// All words in the order of their texts.
fn in_order(corpus: &Corpus) -> Vec<Word> {
    let mut words: Vec<Word> = (0..).take(corpus.words.len()).collect();
    words.sort_unstable_by_key(|&word| &corpus.words[word as usize]);
    words
}

/// A query made ready: what a prefix stands for is known only once.
struct Ready<'a> {
    query: &'a Query,
    /// Of a prefix: its words, by their places in the order of texts.
    expansion: Range<u32>,
    /// Of a prefix: documents of the namespace with any of them.
    expansion_frequency: u32,
}

/// Answers all queries in two passes over all documents; `documents` gives each of them, or `None` for a deleted one.
pub(crate) fn answer(
    corpus: &Corpus,
    documents: &dyn Fn(Id) -> Option<Vec<Word>>,
    queries: &[Query],
) -> Vec<Answer> {
    let words = corpus.words.len();
    let order = in_order(corpus);
    let make_ready = |query| {
        let expansion = expand(corpus, &order, query);
        Ready { query, expansion, expansion_frequency: 0 }
    };
    let mut ready: Vec<Ready<'_>> = queries.iter().map(make_ready).collect();
    let mut of_namespace: HashMap<Namespace, Vec<usize>> = HashMap::new();
    for (at, query) in queries.iter().enumerate() {
        of_namespace.entry(query.namespace).or_default().push(at);
    }
    let mut tally = Tally::new(corpus);
    let mut shared = Statistics::new(words);
    let mut own: HashMap<Namespace, Statistics> =
        of_namespace.keys().map(|&namespace| (namespace, Statistics::new(words))).collect();
    for id in 0..corpus.len() {
        let Some(document) = documents(id) else { continue };
        tally.count(&document);
        shared.add(&tally);
        let namespace = corpus.owner(id);
        let Some(statistics) = own.get_mut(&namespace) else { continue };
        statistics.add(&tally);
        for &at in &of_namespace[&namespace] {
            let prefix = &mut ready[at];
            if tally.count_of(&prefix.expansion) > 0 {
                prefix.expansion_frequency += 1;
            }
        }
    }
    let mut answers = vec![Answer::default(); queries.len()];
    for id in 0..corpus.len() {
        let namespace = corpus.owner(id);
        let Some(own) = own.get(&namespace) else { continue };
        let Some(document) = documents(id) else { continue };
        tally.count(&document);
        for &at in &of_namespace[&namespace] {
            if let Some(leaves) = frequencies(&ready[at], &tally, &document) {
                let scores = Definition::ALL
                    .map(|definition| score(definition, &ready[at], &leaves, &tally, own, &shared));
                answers[at].add(id, scores);
            }
        }
    }
    answers
}

fn expand(corpus: &Corpus, order: &[Word], query: &Query) -> Range<u32> {
    let Question::Prefix(prefix) = &query.question else { return 0..0 };
    let text = |word: &Word| corpus.words[*word as usize].as_str();
    let start = order.partition_point(|word| text(word) < prefix.as_str());
    let words = order[start..].iter().take_while(|word| text(word).starts_with(prefix)).count();
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    place(start)..place(start + words)
}

/// The frequency of each leaf of the query, if the document matches.
fn frequencies(ready: &Ready<'_>, tally: &Tally, document: &[Word]) -> Option<Vec<u32>> {
    let of = |words: &[Word]| -> Vec<u32> {
        words.iter().map(|&word| tally.counts[word as usize]).collect()
    };
    match &ready.query.question {
        Question::All(words) => Some(of(words)).filter(|found| found.iter().all(|&n| n > 0)),
        Question::Any(words) => Some(of(words)).filter(|found| found.iter().any(|&n| n > 0)),
        Question::Phrase(words) => {
            of(words).iter().all(|&n| n > 0).then_some(())?;
            let found = document.windows(words.len()).filter(|window| window == words).count();
            let found = u32::try_from(found).unwrap_or(u32::MAX);
            (found > 0).then(|| vec![found])
        }
        Question::Prefix(_) => {
            let found = tally.count_of(&ready.expansion);
            (found > 0).then(|| vec![found])
        }
    }
}

fn score(
    definition: Definition,
    ready: &Ready<'_>,
    frequencies: &[u32],
    tally: &Tally,
    own: &Statistics,
    shared: &Statistics,
) -> f64 {
    let (size, words) = match definition {
        Definition::Ours | Definition::PeerOwn => (own, own),
        Definition::PeerShared => (shared, shared),
        Definition::PeerTerms => (shared, own),
    };
    let idf = |frequency: u32| {
        let df = f64::from(frequency);
        (1.0 + (size.documents - df + 0.5) / (df + 0.5)).ln()
    };
    let df = |word: &Word| words.frequencies[*word as usize];
    let idfs: Vec<f64> = match &ready.query.question {
        Question::All(words) | Question::Any(words) => words.iter().map(|w| idf(df(w))).collect(),
        Question::Phrase(words) if definition == Definition::Ours => {
            vec![idf(words.iter().map(df).min().unwrap_or(0))]
        }
        Question::Phrase(words) => vec![words.iter().map(|w| idf(df(w))).sum()],
        Question::Prefix(_) if definition == Definition::Ours => {
            vec![idf(ready.expansion_frequency)]
        }
        Question::Prefix(_) => return 1.0,
    };
    let length = f64::from(rounded(tally.length));
    let mut sum = 0.0;
    for (idf, &frequency) in idfs.iter().zip(frequencies) {
        if frequency > 0 {
            let tf = f64::from(frequency);
            let norm = K1 * (1.0 - B + B * (length / size.average()));
            sum += idf * tf * (K1 + 1.0) / (tf + norm);
        }
    }
    sum
}

/// A length as its one-byte code keeps it: exact below 24, the excess above to its four leading binary digits.
fn rounded(length: usize) -> u32 {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    let Some(excess) = length.checked_sub(24) else { return length };
    let dropped = (u32::BITS - excess.leading_zeros()).saturating_sub(4);
    24 + (excess >> dropped << dropped)
}

#[cfg(test)]
mod tests {
    use nautilus_query::scoring::{Collection, decode_length, encode_length};

    use super::*;
    use crate::engine::data::{Group, LENGTH_MEDIAN, Shape};
    use crate::engine::queries::{Band, Class};

    #[test]
    fn lengths_round_as_defined() {
        for length in (0..300).chain([983, 984, 1_000, 99_999, 100_000]) {
            let expected = decode_length(encode_length(length));
            assert_eq!(rounded(length as usize), expected, "{length}");
        }
    }

    #[test]
    fn scores_are_the_definition() {
        let groups = vec![Group { namespaces: 2, documents: 40 }];
        let corpus = Corpus::generate(&Shape { groups, length_median: LENGTH_MEDIAN, seed: 5 });
        let query = Query {
            namespace: 1,
            class: Class::And2,
            band: Band::High,
            question: Question::All(vec![3, 9]),
        };
        let all = |id: Id| Some(corpus.document(id));
        let answer = &answer(&corpus, &all, std::slice::from_ref(&query))[0];
        let of = |id: Id| -> Option<[u32; 2]> {
            let document = corpus.document(id);
            let count = |word| document.iter().filter(|&&w| w == word).count();
            let counts = [count(3), count(9)].map(|n| u32::try_from(n).unwrap());
            (corpus.owner(id) == 1).then_some(counts)
        };
        let df = |at: usize| (0..80).filter(|&id| of(id).is_some_and(|c| c[at] > 0)).count() as u64;
        let mine = (0..80).filter(|&id| corpus.owner(id) == 1);
        let total_length = mine.map(|id| corpus.document(id).len() as u64).sum();
        let collection = Collection { documents: 40, total_length };
        let mut expectations = Vec::new();
        for id in 0..80 {
            let Some(counts) = of(id).filter(|c| c[0] > 0 && c[1] > 0) else {
                assert!(!answer.is_match(id));
                continue;
            };
            let length = rounded(corpus.document(id).len());
            let expected =
                nautilus_query::scoring::score(collection, &[df(0), df(1)], length, &counts);
            assert!(answer.is_match(id));
            expectations.push((id, expected));
        }
        assert!(expectations.len() > PAGE);
        assert_eq!(answer.hits, expectations.len() as u64);
        expectations.sort_by(|a: &(Id, f64), b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        assert_eq!(answer.best(Definition::Ours), &expectations[..PAGE]);
    }

    #[test]
    fn phrases_and_prefixes_by_hand() {
        let groups = vec![Group { namespaces: 1, documents: 3 }];
        let corpus = Corpus::generate(&Shape { groups, length_median: LENGTH_MEDIAN, seed: 5 });
        // the of the of; of the; in
        let texts = [vec![0, 1, 0, 1], vec![1, 0], vec![5]];
        let documents = |id: Id| Some(texts[id as usize].clone());
        let ask = |question| {
            let query = Query { namespace: 0, class: Class::Phrase, band: Band::High, question };
            answer(&corpus, &documents, &[query]).remove(0)
        };
        let phrase = ask(Question::Phrase(vec![0, 1]));
        assert_eq!((phrase.hits, phrase.is_match(0), phrase.is_match(1)), (1, true, false));
        // idf of 2 of 3 documents, tf 2, length 4, average 7/3.
        let norm = 1.2 * (0.25 + 0.75 * (4.0 / (7.0 / 3.0)));
        let expected = (1.0_f64 + 1.5 / 2.5).ln() * 2.0 * 2.2 / (2.0 + norm);
        assert!((phrase.best(Definition::Ours)[0].1 - expected).abs() < 1e-12);
        let prefix = ask(Question::Prefix("th".to_owned()));
        assert_eq!(prefix.best(Definition::PeerOwn), [(0, 1.0), (1, 1.0)]);
    }
}
