//! Which tokens of a document change, and by how much: what an edit has to write.

use std::ops::Range;

use hashbrown::{HashMap, HashTable};
use nautilus_analysis::Analyzer;
use nautilus_query::Field;

use crate::common::{self, CommonWord};
use crate::rows::pairs;
use crate::rows::posting::Frequencies;

/// The searchable texts of a document, indexed by `Field::index`.
pub(crate) type Texts<'a> = [&'a str; 3];

/// Frequencies of one token before and after a change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) before: Frequencies,
    pub(crate) after: Frequencies,
}

impl Pair {
    fn add(&mut self, field: usize, before: bool, after: bool) {
        if before {
            self.before.0[field] = self.before.0[field].saturating_add(1);
        }
        if after {
            self.after.0[field] = self.after.0[field].saturating_add(1);
        }
    }
}

/// The tokens of both versions of a document.
pub(crate) struct Diff {
    tokens: Tokens,
    /// Common words side by side.
    pairs: HashMap<[CommonWord; 2], Pair>,
    /// Tokens of all fields, before.
    pub(crate) length_before: u32,
    /// Tokens of all fields, after.
    pub(crate) length_after: u32,
    /// Hashes of the tokens that follow each other in the body after, if that is another than before.
    pairs_after: Vec<u64>,
}

impl Diff {
    /// Analyses both versions; a field with the same text in both is analysed once.
    pub(crate) fn between(analyzer: &Analyzer, before: Texts<'_>, after: Texts<'_>) -> Self {
        let mut diff = Self {
            tokens: Tokens::default(),
            pairs: HashMap::new(),
            length_before: 0,
            length_after: 0,
            pairs_after: Vec::new(),
        };
        for field in Field::ALL {
            let (old, new) = (before[field.index()], after[field.index()]);
            if old == new {
                diff.count(analyzer, field, old, true, true);
            } else {
                diff.count(analyzer, field, old, true, false);
                diff.count(analyzer, field, new, false, true);
            }
        }
        diff
    }

    fn count(&mut self, analyzer: &Analyzer, field: Field, text: &str, before: bool, after: bool) {
        let index = field.index();
        let mut length = 0_u32;
        let is_new_body = field == Field::Body && after && !before;
        let (mut last, mut last_common) = (None, None);
        analyzer.for_each_token(text, |token| {
            length = length.saturating_add(1);
            let hash = pairs::token_hash(token.text);
            self.tokens.of(token.text, hash).add(index, before, after);
            let common = common::number(token.text);
            if let (Some(first), Some(second)) = (last_common, common) {
                self.pairs.entry([first, second]).or_default().add(index, before, after);
            }
            last_common = common;
            if is_new_body {
                self.pairs_after.extend(last.map(|last| pairs::pair_hash(last, hash)));
                last = Some(hash);
            }
        });
        if before {
            self.length_before = self.length_before.saturating_add(length);
        }
        if after {
            self.length_after = self.length_after.saturating_add(length);
        }
    }

    /// The pairs of common words whose posting changes.
    pub(crate) fn changed_pairs(&self) -> impl Iterator<Item = (String, Pair)> {
        let pairs = self.pairs.iter().filter(|(_, pair)| pair.before != pair.after);
        pairs.map(|(words, pair)| (common::text(*words), *pair))
    }

    /// The pairs row of the new body, if it has one.
    pub(crate) fn pairs_row(&mut self) -> Option<Vec<u8>> {
        pairs::encode(&mut self.pairs_after)
    }

    /// The tokens whose posting changes, in the order in which they were met.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (&str, Pair)> {
        self.tokens.iter().filter(|(_, pair)| pair.before != pair.after)
    }
}

/// Frequencies by token. All tokens stand in one text: an allocation for each takes longer than to count it.
#[derive(Default)]
struct Tokens {
    text: String,
    tokens: Vec<Counted>,
    /// Places in `tokens`, by hash of the token.
    table: HashTable<usize>,
}

struct Counted {
    hash: u64,
    place: Range<usize>,
    pair: Pair,
}

impl Tokens {
    /// The frequencies of a token, whose [`pairs::token_hash`] this is.
    fn of(&mut self, token: &str, hash: u64) -> &mut Pair {
        let Self { text, tokens, table } = self;
        let is_it = |&at: &usize| {
            let counted = &tokens[at];
            counted.hash == hash && text[counted.place.clone()] == *token
        };
        let at = match table.find(hash, is_it) {
            Some(&at) => at,
            None => {
                let (at, start) = (tokens.len(), text.len());
                text.push_str(token);
                let place = start..text.len();
                tokens.push(Counted { hash, place, pair: Pair::default() });
                table.insert_unique(hash, at, |&at| tokens[at].hash);
                at
            }
        };
        &mut tokens[at].pair
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Pair)> {
        self.tokens.iter().map(|counted| (&self.text[counted.place.clone()], counted.pair))
    }
}
