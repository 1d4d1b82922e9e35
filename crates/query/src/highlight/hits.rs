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
    /// The latest tokens, as many as the longest phrase has: word number (if any), start, end.
    latest: VecDeque<(Option<usize>, usize, usize)>,
    latest_max: usize,
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
        matcher
    }

    fn take(&mut self, token: Token<'_>) {
        if self.hits.len() >= HITS_MAX {
            return;
        }
        let Token { text, start, end, .. } = token;
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
        if self.latest.len() == self.latest_max {
            self.latest.pop_front();
        }
        self.latest.push_back((self.words.get(text).copied(), start, end));
        for (phrase, leaf) in &self.phrases {
            let Some(first) = self.latest.len().checked_sub(phrase.len()) else {
                continue;
            };
            let latest = self.latest.iter().skip(first);
            if latest.zip(phrase).all(|(&(word, ..), &wanted)| word == Some(wanted)) {
                let start = self.latest.get(first).map_or(start, |&(_, start, _)| start);
                self.hits.push(Hit { start, end, leaf: *leaf });
            }
        }
    }
}
