//! Counting a phrase in a text, and reading the texts of the documents where it may stand.

mod scan;

use nautilus_analysis::Analyzer;
use nautilus_query::Field;

use super::plan::Phrase;
use crate::error::EngineError;
use crate::keys::{NamespaceNumber, Ordinal};
use crate::read::Searcher;
use crate::rows::posting::Frequencies;

/// How often `tokens` stand side by side in `text`; occurrences may overlap.
fn count(analyzer: &Analyzer, text: &str, tokens: &[String]) -> u32 {
    scan::count(analyzer, text, tokens).unwrap_or_else(|| pass(analyzer, text, tokens, |_, _| true))
}

/// The same by one pass of the analyzer over the text, for occurrences of which `counts` accepts
/// each token: its index in the phrase and its byte offset in the text.
fn pass(
    analyzer: &Analyzer,
    text: &str,
    tokens: &[String],
    counts: impl Fn(usize, usize) -> bool,
) -> u32 {
    // For each occurrence under way, how many of its tokens have been seen.
    let mut under_way: Vec<usize> = Vec::new();
    let mut found = 0_u32;
    analyzer.for_each_token(text, |token| {
        under_way.push(0);
        under_way.retain_mut(|seen| {
            let matches = tokens.get(*seen).is_some_and(|wanted| wanted == token.text)
                && counts(*seen, token.start);
            *seen += 1;
            if matches && *seen == tokens.len() {
                found = found.saturating_add(1);
            }
            matches && *seen < tokens.len()
        });
    });
    found
}

/// Texts of one document, read when first needed.
pub(super) struct Texts<'a> {
    searcher: &'a Searcher<'a>,
    ns: NamespaceNumber,
    ordinal: Ordinal,
    header: Option<(String, String)>,
    body: Option<String>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(searcher: &'a Searcher<'a>, ns: NamespaceNumber, ordinal: Ordinal) -> Self {
        Self { searcher, ns, ordinal, header: None, body: None }
    }

    /// How often the phrase stands in each field it may stand in; `possible` are the fields that hold all its tokens.
    pub(super) fn frequencies(
        &mut self,
        phrase: &Phrase,
        possible: [bool; 3],
    ) -> Result<Frequencies, EngineError> {
        let mut frequencies = Frequencies::default();
        for field in Field::ALL {
            if possible[field.index()] && phrase.fields.contains(field) {
                let analyzer = &self.searcher.shared.analyzer;
                frequencies.0[field.index()] = count(analyzer, self.text(field)?, &phrase.tokens);
            }
        }
        Ok(frequencies)
    }

    fn text(&mut self, field: Field) -> Result<&str, EngineError> {
        match field {
            Field::Title | Field::Path => {
                if self.header.is_none() {
                    let header = self.searcher.header(self.ns, self.ordinal)?;
                    self.header = Some((header.title, header.path));
                }
                let (title, path) = self.header.as_ref().map_or(("", ""), |(t, p)| (t, p));
                Ok(if field == Field::Title { title } else { path })
            }
            Field::Body => {
                if self.body.is_none() {
                    self.body = Some(self.searcher.body(self.ns, self.ordinal)?);
                }
                Ok(self.body.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_with_overlaps() {
        let analyzer = Analyzer::new();
        let count = |text: &str, phrase: &str| {
            let tokens: Vec<String> = phrase.split(' ').map(str::to_owned).collect();
            count(&analyzer, text, &tokens)
        };
        assert_eq!(count("a b a b a", "a b"), 2);
        assert_eq!(count("a a a", "a a"), 2);
        assert_eq!(count("a b a b a", "a b a"), 2);
        assert_eq!(count("a b", "b a"), 0);
        assert_eq!(count("", "a b"), 0);
    }
}
