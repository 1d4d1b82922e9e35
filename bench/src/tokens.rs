//! A document's tokens: sorted, with frequency and positions per field.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use nautilus_analysis::Analyzer;

use crate::corpus::Document;

/// Fields that are analysed, in the order of their bit in a posting's field mask.
pub const FIELDS: usize = 3;
/// The body's index among the fields (title, path, body).
pub const BODY: usize = 2;

/// Frequency per field; a token of the document has at least one above 0.
pub type Frequencies = [u32; FIELDS];

/// The texts of a document's fields in field order.
pub fn fields(document: &Document) -> [&str; FIELDS] {
    [&document.title, &document.path, &document.body]
}

/// FNV-1a: the words are short and not hostile here.
#[derive(Clone, Default)]
struct Fnv(u64);

impl std::hash::Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 29)
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}

/// One distinct token of a document.
#[derive(Debug, Default)]
pub struct Token {
    /// Analysed form.
    pub text: String,
    /// How often it occurs in each field.
    pub frequencies: Frequencies,
    /// Ascending word positions of one field after the other, as many each as its frequency.
    pub positions: Vec<u32>,
}

/// All tokens of one document version, sorted by their bytes.
#[derive(Debug, Default)]
pub struct Tokens {
    /// Sorted, distinct.
    pub list: Vec<Token>,
    /// Words per field.
    pub lengths: Frequencies,
}

impl Tokens {
    /// Analyses every field.
    pub fn of(document: &Document) -> Self {
        Self::analyse(fields(document), true)
    }

    /// Analyses texts given in field order. A diff needs no positions: they cost an allocation a token.
    pub fn analyse(texts: [&str; FIELDS], with_positions: bool) -> Self {
        let mut found: HashMap<String, (Frequencies, Vec<u32>), BuildHasherDefault<Fnv>> =
            HashMap::default();
        let mut lengths = [0; FIELDS];
        for (field, text) in texts.into_iter().enumerate() {
            Analyzer::new().for_each_token(text, |token| {
                if !found.contains_key(token.text) {
                    found.insert(token.text.to_owned(), Default::default());
                }
                if let Some((frequencies, positions)) = found.get_mut(token.text) {
                    frequencies[field] += 1;
                    if with_positions {
                        positions.push(token.position);
                    }
                }
                lengths[field] += 1;
            });
        }
        let mut list: Vec<Token> = found
            .into_iter()
            .map(|(text, (frequencies, positions))| Token { text, frequencies, positions })
            .collect();
        list.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        Tokens { list, lengths }
    }

    /// Token and frequencies, sorted: what a diff compares.
    pub fn frequencies(&self) -> Vec<(&str, Frequencies)> {
        self.list.iter().map(|t| (t.text.as_str(), t.frequencies)).collect()
    }

    /// The token of this text.
    pub fn find(&self, text: &str) -> Option<&Token> {
        let at = self.list.binary_search_by(|t| t.text.as_str().cmp(text)).ok()?;
        self.list.get(at)
    }
}

/// What a token's posting becomes: new frequencies, or `None` where it goes away.
pub type Change = (String, Option<Frequencies>);

/// Merges two sorted token lists into the postings that differ.
pub fn diff(old: &[(&str, Frequencies)], new: &[(&str, Frequencies)]) -> Vec<Change> {
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let order = match (old.get(i), new.get(j)) {
            (Some(o), Some(n)) => o.0.cmp(n.0),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, _) => std::cmp::Ordering::Greater,
        };
        match order {
            std::cmp::Ordering::Less => out.push((old[i].0.to_owned(), None)),
            std::cmp::Ordering::Greater => out.push((new[j].0.to_owned(), Some(new[j].1))),
            std::cmp::Ordering::Equal if old[i].1 != new[j].1 => {
                out.push((new[j].0.to_owned(), Some(new[j].1)));
            }
            std::cmp::Ordering::Equal => {}
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    out
}
