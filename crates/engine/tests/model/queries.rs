//! Random queries over the words of the histories.

use nautilus_analysis::Analyzer;
use nautilus_engine::{Filter, NumberRange, Sort, SortKey};
use nautilus_query::{Field, FieldSet, Node, QueryLimits, validate};
use rand::prelude::*;

use super::history::WORDS;

/// A random well-formed query.
pub(crate) fn query(rng: &mut StdRng, analyzer: &Analyzer) -> Node {
    loop {
        let node = node(rng, analyzer, 3);
        if validate(&node, &QueryLimits::default()).is_ok() {
            return node;
        }
    }
}

fn node(rng: &mut StdRng, analyzer: &Analyzer, depth: u32) -> Node {
    match rng.random_range(0..if depth == 0 { 6 } else { 10 }) {
        0..=2 => Node::Term { fields: fields(rng), token: token(rng, analyzer) },
        3 => Node::Prefix { fields: fields(rng), prefix: prefix(rng, analyzer) },
        4..=5 => Node::Phrase {
            fields: fields(rng),
            tokens: (0..rng.random_range(2..4)).map(|_| token(rng, analyzer)).collect(),
        },
        6..=7 => {
            Node::Or((0..rng.random_range(2..4)).map(|_| node(rng, analyzer, depth - 1)).collect())
        }
        _ => {
            let mut children: Vec<Node> =
                (0..rng.random_range(1..4)).map(|_| node(rng, analyzer, depth - 1)).collect();
            if children.len() == 1 || rng.random_bool(0.4) {
                children.push(Node::Not(Box::new(node(rng, analyzer, depth - 1))));
            }
            Node::And(children)
        }
    }
}

pub(crate) fn fields(rng: &mut StdRng) -> FieldSet {
    if rng.random_bool(0.6) {
        return FieldSet::ALL;
    }
    let field = Field::ALL.choose(rng).expect("not empty");
    if rng.random_bool(0.7) {
        FieldSet::only(*field)
    } else {
        FieldSet::from_bits(rng.random_range(1..8)).expect("in range")
    }
}

fn token(rng: &mut StdRng, analyzer: &Analyzer) -> String {
    let x: f64 = rng.random();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the length")]
    let at = (x * x * WORDS.len() as f64) as usize;
    let tokens = analyzer.tokens(WORDS[at.min(WORDS.len() - 1)]);
    tokens.choose(rng).map_or_else(|| "nowhere".to_owned(), |token| token.text.clone())
}

pub(crate) fn prefix(rng: &mut StdRng, analyzer: &Analyzer) -> String {
    let token = token(rng, analyzer);
    let end = token.char_indices().nth(rng.random_range(1..4)).map_or(token.len(), |(at, _)| at);
    token[..end].to_owned()
}

/// Mostly none; ranges that are open, closed, of one number, or empty.
pub(crate) fn filter(rng: &mut StdRng) -> Filter {
    let mut filter = Filter::default();
    if rng.random_bool(0.5) {
        return filter;
    }
    let Filter { size_bytes, created_unix_ms, modified_unix_ms } = &mut filter;
    for range in [size_bytes, created_unix_ms, modified_unix_ms] {
        if rng.random_bool(0.4) {
            let min = rng.random_bool(0.6).then(|| number(rng, -1..4));
            let max = rng.random_bool(0.6).then(|| number(rng, 2..6));
            *range = NumberRange { min, max };
        }
    }
    filter
}

fn number(rng: &mut StdRng, usual: std::ops::Range<i64>) -> i64 {
    let ends = [i64::MIN, i64::MAX];
    if rng.random_bool(0.1) {
        return *ends.choose(rng).expect("not empty");
    }
    rng.random_range(usual)
}

pub(crate) fn sort(rng: &mut StdRng) -> Sort {
    let keys = [SortKey::Relevance, SortKey::Modified, SortKey::Created, SortKey::Size];
    Sort { key: *keys.choose(rng).expect("not empty"), is_ascending: rng.random_bool(0.5) }
}
