//! Where in a text the leaves of a query are.

use std::collections::{HashMap, VecDeque};

use nautilus_analysis::{Analyzer, Token};

use crate::{Field, Node};

/// Hits after these are not looked for: a text with so many has shown enough.
const HITS_MAX: usize = 16 * 1024;

/// One place where a leaf matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hit {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Index of the leaf among the different leaves for the field.
    pub(super) leaf: usize,
}

/// The leaves of a query for one field, ready to meet tokens one after the other.
struct Matcher<'q> {
    terms: HashMap<&'q str, usize>,
    prefixes: Vec<(&'q str, usize)>,
    phrases: Vec<(Vec<usize>, usize)>,
    /// Number of each different token of the phrases.
    words: HashMap<&'q str, usize>,
    /// The latest tokens, as many as the longest phrase has and all of them words of phrases: word number,
    /// start, end.
    latest: VecDeque<(usize, usize, usize)>,
    latest_max: usize,
    /// By first byte, whether any leaf has a token that begins so: nearly all tokens of a text are none's.
    first_bytes: [bool; 256],
    hits: Vec<Hit>,
}

/// All hits, by start, then end.
pub(super) fn find(text: &str, query: &Node, field: Field, analyzer: &Analyzer) -> Vec<Hit> {
    let mut matcher = Matcher::new(query, field);
    if matcher.terms.is_empty() && matcher.prefixes.is_empty() && matcher.phrases.is_empty() {
        return Vec::new();
    }
    analyzer.for_each_token(text, |token| matcher.take(token));
    let mut hits = matcher.hits;
    hits.sort_unstable();
    hits
}

impl<'q> Matcher<'q> {
    fn new(query: &'q Node, field: Field) -> Self {
        let mut matcher = Self {
            terms: HashMap::new(),
            prefixes: Vec::new(),
            phrases: Vec::new(),
            words: HashMap::new(),
            latest: VecDeque::new(),
            latest_max: 0,
            first_bytes: [false; 256],
            hits: Vec::new(),
        };
        for (leaf, node) in query.scoring_leaves().into_iter().enumerate() {
            match node {
                Node::Term { fields, token } if fields.contains(field) => {
                    matcher.terms.entry(token).or_insert(leaf);
                }
                Node::Prefix { fields, prefix } if fields.contains(field) => {
                    if matcher.prefixes.iter().all(|(other, _)| other != prefix) {
                        matcher.prefixes.push((prefix, leaf));
                    }
                }
                Node::Phrase { fields, tokens } if fields.contains(field) => {
                    let words = &mut matcher.words;
                    let phrase: Vec<_> = tokens
                        .iter()
                        .map(|token| {
                            let next = words.len();
                            *words.entry(token).or_insert(next)
                        })
                        .collect();
                    matcher.latest_max = matcher.latest_max.max(phrase.len());
                    if matcher.phrases.iter().all(|(other, _)| *other != phrase) {
                        matcher.phrases.push((phrase, leaf));
                    }
                }
                Node::Term { .. }
                | Node::Prefix { .. }
                | Node::Phrase { .. }
                | Node::And(_)
                | Node::Or(_)
                | Node::Not(_) => {}
            }
        }
        let (terms, words) = (matcher.terms.keys(), matcher.words.keys());
        let prefixes = matcher.prefixes.iter().map(|(prefix, _)| prefix);
        for token in terms.chain(words).chain(prefixes) {
            match token.as_bytes().first() {
                Some(&byte) => matcher.first_bytes[usize::from(byte)] = true,
                // Every token begins with nothing.
                None => matcher.first_bytes = [true; 256],
            }
        }
        matcher
    }

    fn take(&mut self, token: Token<'_>) {
        if self.hits.len() >= HITS_MAX {
            return;
        }
        let Token { text, start, end, .. } = token;
        if text.as_bytes().first().is_some_and(|&byte| !self.first_bytes[usize::from(byte)]) {
            self.latest.clear();
            return;
        }
        if let Some(&leaf) = self.terms.get(text) {
            self.hits.push(Hit { start, end, leaf });
        }
        for &(prefix, leaf) in &self.prefixes {
            if text.starts_with(prefix) {
                self.hits.push(Hit { start, end, leaf });
            }
        }
        if self.phrases.is_empty() {
            return;
        }
        let Some(&word) = self.words.get(text) else {
            self.latest.clear();
            return;
        };
        if self.latest.len() == self.latest_max {
            self.latest.pop_front();
        }
        self.latest.push_back((word, start, end));
        for (phrase, leaf) in &self.phrases {
            let Some(first) = self.latest.len().checked_sub(phrase.len()) else {
                continue;
            };
            let latest = self.latest.iter().skip(first);
            if latest.zip(phrase).all(|(&(word, ..), &wanted)| word == wanted) {
                let start = self.latest.get(first).map_or(start, |&(_, start, _)| start);
                self.hits.push(Hit { start, end, leaf: *leaf });
            }
        }
    }
}
