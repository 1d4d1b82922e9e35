//! The lexer: words, quotes, parentheses and operators with their places.

use crate::{Field, FieldSet, Operator, QueryError, QueryErrorKind};

/// A piece of query text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lexeme<'a> {
    /// `AND`, `OR`, `NOT`, or a minus right before something.
    Operator(Operator),
    /// `(`, with the fields written before it.
    Open(Option<FieldSet>),
    /// `)`
    Close,
    /// What stands between two quotes.
    Quoted(Option<FieldSet>, &'a str),
    /// Anything else up to a space, quote or parenthesis.
    Word(Option<FieldSet>, &'a str),
    /// The same, with a star after it.
    Starred(Option<FieldSet>, &'a str),
}

/// Reads lexemes off a text.
pub(crate) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The next lexeme and where it begins; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Lexeme<'a>)>, QueryError> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
        let start = self.at;
        let rest = &self.text[start..];
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        let lexeme = match first {
            ')' => {
                self.at += 1;
                Lexeme::Close
            }
            '(' | '"' => self.group_or_quote(None)?,
            '-' if rest[1..].starts_with(|c: char| c != '-' && c != ')' && !c.is_whitespace()) => {
                self.at += 1;
                Lexeme::Operator(Operator::Not)
            }
            _ => self.word()?,
        };
        Ok(Some((start, lexeme)))
    }

    /// At `(` or `"`.
    fn group_or_quote(&mut self, fields: Option<FieldSet>) -> Result<Lexeme<'a>, QueryError> {
        let open = self.at;
        self.at += 1;
        if self.text[open..].starts_with('(') {
            return Ok(Lexeme::Open(fields));
        }
        let quoted = &self.text[self.at..];
        let Some(length) = quoted.find('"') else {
            return Err(QueryError { kind: QueryErrorKind::UnclosedQuote, position: open });
        };
        self.at += length + 1;
        Ok(Lexeme::Quoted(fields, &quoted[..length]))
    }

    /// At the first character of a word.
    fn word(&mut self) -> Result<Lexeme<'a>, QueryError> {
        let rest = &self.text[self.at..];
        let is_end = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"');
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        match word {
            "AND" => return Ok(Lexeme::Operator(Operator::And)),
            "OR" => return Ok(Lexeme::Operator(Operator::Or)),
            "NOT" => return Ok(Lexeme::Operator(Operator::Not)),
            _ => {}
        }
        let (fields, word) = match fields_before(word) {
            Some((fields, "")) if self.text[self.at..].starts_with(['(', '"']) => {
                return self.group_or_quote(Some(fields));
            }
            // `title:` and nothing: a word like any other.
            Some((_, "")) | None => (None, word),
            Some((fields, word)) => (Some(fields), word),
        };
        let unstarred = word.trim_end_matches('*');
        Ok(if unstarred.len() < word.len() {
            Lexeme::Starred(fields, unstarred)
        } else {
            Lexeme::Word(fields, word)
        })
    }
}

/// Splits `title:x` or `title,path:x`; `None` if what stands before the colon is not all fields.
fn fields_before(word: &str) -> Option<(FieldSet, &str)> {
    let (names, word) = word.split_once(':')?;
    let mut bits = 0;
    for name in names.split(',') {
        let field = Field::ALL.into_iter().find(|field| field.name() == name)?;
        bits |= FieldSet::only(field).bits();
    }
    Some((FieldSet::from_bits(bits)?, word))
}
