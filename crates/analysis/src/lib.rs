//! Analysis: text in, folded tokens out. No language is guessed.
//!
//! ```text
//! text ─► runs (letters, numbers, marks, inner apostrophes)
//!           └─► words of a run in a script without spaces (dictionary) ─► folding ─► what the version adds ─► tokens
//! ```
//!
//! Documents and query words go through the same [`Analyzer`], so a token is found by typing it.
//! A change of any rule changes what stored postings mean: it needs a new version, beside those there are
//! ([`Analyzer::of`]). Versions cut and fold alike and differ in what they make of a folded token
//! ([`Analyzer::normalized`]): version 1 leaves it, version 2 makes singulars of English plurals.
//! The rule in full, as other implementations must follow it, is `docs/formats/analysis.md`:
//!
//! 1. A *word character* has general category L*, N* or M*. A *joiner* is an apostrophe (U+0027,
//!    U+2019) or an invisible character (U+00AD, U+200C, U+200D, U+2060, U+FEFF). A *run* is a
//!    maximal sequence of word characters, with at most one joiner between two of them.
//! 2. A run with a character of script Han, Hiragana, Katakana, Thai, Lao, Khmer or Myanmar is cut
//!    into the segments of UAX #29 with dictionaries; any other run is one *piece*.
//! 3. A piece loses a trailing apostrophe + `s`, then all joiners, and is folded ([`Analyzer::fold`]).
//! 4. The folded piece is cut to [`TOKEN_BYTES_MAX`]; with a character of the scripts of rule 2 it is
//!    segmented again, and again, until nothing more is cut.
//! 5. What then holds a letter or a number is a token, as the version normalizes it.
//!
//! Hence analysing a token's own text gives exactly that token.

mod classes;
mod fold;
mod plurals;
mod scan;
mod version;

use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed, options::WordBreakInvariantOptions};

use version::Version;

pub use version::{ANALYZER_VERSION, ANALYZER_VERSION_MAX};

/// Longest token in bytes; a longer one is cut at a character boundary and the rest is not indexed.
pub const TOKEN_BYTES_MAX: usize = 128;

/// One token of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The folded token, at most [`TOKEN_BYTES_MAX`] bytes. Valid until the callback returns.
    pub text: &'a str,
    /// 0, 1, 2, … within this text.
    pub position: u32,
    /// Byte offset in the original text where the token's source begins.
    pub start: usize,
    /// Byte offset in the original text where the token's source ends (exclusive).
    pub end: usize,
}

/// A [`Token`] that owns its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedToken {
    /// The folded token.
    pub text: String,
    /// 0, 1, 2, … within its text.
    pub position: u32,
    /// Byte offset of its source in the original text.
    pub start: usize,
    /// End of its source in the original text (exclusive).
    pub end: usize,
}

/// Makes tokens. Holds only references to compiled-in tables: cheap to make, copy and share.
#[derive(Debug, Clone, Copy)]
pub struct Analyzer {
    words: WordSegmenterBorrowed<'static>,
    version: Version,
}

impl Default for Analyzer {
    fn default() -> Self {
        Self::new()
    }
}

impl Analyzer {
    /// The analyzer of version [`ANALYZER_VERSION`]: the one that queries are parsed with.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Version::Plain)
    }

    /// The analyzer of a version; `None` where there is no such version.
    #[must_use]
    pub fn of(version: u32) -> Option<Self> {
        Version::of(version).map(Self::with)
    }

    fn with(version: Version) -> Self {
        Self { words: WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()), version }
    }

    /// The version of the rules. Stored with everything derived from tokens.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version.number()
    }

    /// Calls `f` for each token of `text`, in order.
    ///
    /// Tokens cut out of one folded piece (rule 4) share the piece's byte range.
    pub fn for_each_token(&self, text: &str, mut f: impl FnMut(Token<'_>)) {
        match self.version {
            Version::Plain => scan::Scanner::new(self.words, f).scan(text),
            Version::Singular => {
                let singular = |token: Token<'_>| {
                    f(Token { text: &plurals::singular(token.text), ..token });
                };
                scan::Scanner::new(self.words, singular).scan(text);
            }
        }
    }

    /// All tokens of `text`, in order.
    #[must_use]
    pub fn tokens(&self, text: &str) -> Vec<OwnedToken> {
        let mut tokens = Vec::new();
        self.for_each_token(text, |token| {
            tokens.push(OwnedToken {
                text: token.text.to_owned(),
                position: token.position,
                start: token.start,
                end: token.end,
            });
        });
        tokens
    }

    /// The folded form of the last word of `text`, for a prefix query; empty when there is no word.
    ///
    /// A query `main.r*` has the tokens before it (`main`) as well: take those from [`Self::tokens`].
    #[must_use]
    pub fn fold_prefix(&self, text: &str) -> String {
        let mut last = String::new();
        self.for_each_token(text, |token| {
            last.clear();
            last.push_str(token.text);
        });
        last
    }

    /// Folds text without cutting it: compatibility forms, case, diacritics, then NFC. Idempotent.
    #[must_use]
    pub fn fold(&self, text: &str) -> String {
        let mut folded = String::with_capacity(text.len());
        fold::fold_into(text, usize::MAX, &mut folded);
        folded
    }
}

#[cfg(test)]
mod tests;
