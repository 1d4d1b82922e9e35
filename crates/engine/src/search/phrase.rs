//! Counting a phrase in a text, and reading the texts of the documents where it may stand.

mod scan;

use nautilus_analysis::Analyzer;
use nautilus_query::Field;
use rocksdb::DBPinnableSlice;

use super::Budget;
use super::plan::{Phrase, Plan};
use crate::error::EngineError;
use crate::keys::{self, Kind, NamespaceNumber, Ordinal};
use crate::ordinals::NumberedRows;
use crate::read::Searcher;
use crate::rows::document::{self, Header};
use crate::rows::pairs;
use crate::rows::posting::Frequencies;

/// Bytes analysed between two looks at the budget: about 0.2 ms.
const BYTES_PER_BUDGET_CHECK: usize = 16 << 10;

/// How often `tokens` stand side by side in `text`; occurrences may overlap. None if the budget ended first.
fn count(
    analyzer: &Analyzer,
    text: &str,
    tokens: &[String],
    budget: &mut dyn Budget,
) -> Option<u32> {
    if let Some(found) = scan::count(analyzer, text, tokens, budget) {
        return Some(found);
    }
    let mut counter = Counter::default();
    let mut rest = text;
    while !rest.is_empty() {
        if budget.is_exhausted() {
            return None;
        }
        // No token depends on what is beyond a byte that ends every stretch.
        let (piece, after) = rest.split_at(scan::end_of_stretch(rest, BYTES_PER_BUDGET_CHECK));
        counter.pass(analyzer, piece, tokens, |_, _| true);
        rest = after;
    }
    Some(counter.found)
}

/// Counts a phrase in tokens that come one after the other.
#[derive(Default)]
struct Counter {
    /// For each occurrence under way, how many of its tokens have been seen.
    under_way: Vec<usize>,
    found: u32,
}

impl Counter {
    /// Takes the tokens of a text, for occurrences of which `counts` accepts each token: its index in the phrase
    /// and its byte offset in the text.
    fn pass(
        &mut self,
        analyzer: &Analyzer,
        text: &str,
        tokens: &[String],
        counts: impl Fn(usize, usize) -> bool,
    ) {
        let Self { under_way, found } = self;
        analyzer.for_each_token(text, |token| {
            under_way.push(0);
            under_way.retain_mut(|seen| {
                let matches = tokens.get(*seen).is_some_and(|wanted| wanted == token.text)
                    && counts(*seen, token.start);
                *seen += 1;
                if matches && *seen == tokens.len() {
                    *found = found.saturating_add(1);
                }
                matches && *seen < tokens.len()
            });
        });
    }
}

/// The same by one pass of the analyzer over the text.
fn pass(
    analyzer: &Analyzer,
    text: &str,
    tokens: &[String],
    counts: impl Fn(usize, usize) -> bool,
) -> u32 {
    let mut counter = Counter::default();
    counter.pass(analyzer, text, tokens, counts);
    counter.found
}

/// Looks for phrases in the documents of one namespace, in the order of their ordinals.
pub(super) struct PhraseChecker<'a> {
    searcher: &'a Searcher<'a>,
    ns: NamespaceNumber,
    pairs: NumberedRows<'a>,
    /// Of each phrase, the hashes of its tokens that follow each other.
    hashes: Vec<Vec<u64>>,
}

impl<'a> PhraseChecker<'a> {
    pub(super) fn new(searcher: &'a Searcher<'a>, ns: NamespaceNumber, plan: &Plan) -> Self {
        let pairs = NumberedRows::new(searcher, Kind::Pairs, ns);
        let hashes = plan.phrases.iter().map(|phrase| pairs::of_phrase(&phrase.tokens)).collect();
        Self { searcher, ns, pairs, hashes }
    }

    /// Must not descend from call to call.
    pub(super) fn document(&mut self, ordinal: Ordinal) -> Document<'_, 'a> {
        Document { checker: self, ordinal, header: None, body: None }
    }
}

/// One document; its texts are read when first needed.
pub(super) struct Document<'c, 'a> {
    checker: &'c mut PhraseChecker<'a>,
    ordinal: Ordinal,
    header: Option<Header>,
    body: Option<DBPinnableSlice<'a>>,
}

impl Document<'_, '_> {
    /// How often the phrase with this number stands in each field it may stand in; `possible` are the fields
    /// that hold all its tokens. None if the budget ended first.
    pub(super) fn frequencies(
        &mut self,
        number: usize,
        phrase: &Phrase,
        possible: [bool; 3],
        budget: &mut dyn Budget,
    ) -> Result<Option<Frequencies>, EngineError> {
        let mut frequencies = Frequencies::default();
        for field in Field::ALL {
            if possible[field.index()]
                && phrase.fields.contains(field)
                && (field != Field::Body || self.may_hold(number)?)
            {
                let analyzer = self.checker.searcher.shared.analyzer;
                let text = self.text(field)?;
                let Some(found) = count(&analyzer, text, &phrase.tokens, budget) else {
                    return Ok(None);
                };
                frequencies.0[field.index()] = found;
            }
        }
        Ok(Some(frequencies))
    }

    /// Whether the body may hold the phrase, by the pairs it has.
    fn may_hold(&mut self, number: usize) -> Result<bool, EngineError> {
        let pairs = self.checker.hashes.get(number).map_or(&[][..], Vec::as_slice);
        if pairs.is_empty() {
            return Ok(true);
        }
        let Some(row) = self.checker.pairs.get(self.ordinal)? else { return Ok(false) };
        for &pair in pairs {
            if !pairs::may_hold(row, pair)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn text(&mut self, field: Field) -> Result<&str, EngineError> {
        let PhraseChecker { searcher, ns, .. } = *self.checker;
        match field {
            Field::Title | Field::Path => {
                if self.header.is_none() {
                    self.header = Some(searcher.header(ns, self.ordinal)?);
                }
                let header = self.header.as_ref();
                let text = header.map(|h| if field == Field::Title { &h.title } else { &h.path });
                Ok(text.map_or("", String::as_str))
            }
            Field::Body => {
                if self.body.is_none() {
                    let body = searcher.get_pinned(&keys::body(ns, self.ordinal))?;
                    self.body = Some(body.ok_or(EngineError::Missing { row: "body" })?);
                }
                Ok(self.body.as_deref().map_or(Ok(""), document::decode_body)?)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::Unlimited;

    #[test]
    fn counts_with_overlaps() {
        let analyzer = Analyzer::new();
        let count = |text: &str, phrase: &str| {
            let tokens: Vec<String> = phrase.split(' ').map(str::to_owned).collect();
            count(&analyzer, text, &tokens, &mut Unlimited).expect("is not ended")
        };
        assert_eq!(count("a b a b a", "a b"), 2);
        assert_eq!(count("a a a", "a a"), 2);
        assert_eq!(count("a b a b a", "a b a"), 2);
        assert_eq!(count("a b", "b a"), 0);
        assert_eq!(count("", "a b"), 0);
    }

    #[test]
    fn an_ended_budget_ends_a_long_pass() {
        let analyzer = Analyzer::new();
        let tokens = ["the", "of"].map(str::to_owned);
        // Too many neighbours beyond ASCII for a scan of bytes.
        let text = "the слово of the of ".repeat(4_000);
        assert_eq!(count(&analyzer, &text, &tokens, &mut Unlimited), Some(4_000));
        let mut looks = 0;
        let mut budget = || {
            looks += 1;
            looks > 3
        };
        assert_eq!(count(&analyzer, &text, &tokens, &mut budget), None);
        assert_eq!(looks, 4);
    }
}
