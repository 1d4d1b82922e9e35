//! `language`: what a text is written in.

use crate::annotator::{Annotator, Budget, Failure, Input, Value, Values};

/// Looked at: trigrams settle within the first page, and cost by the byte.
const BYTES_MAX: usize = 4 * 1024;

/// The language of a text by its trigrams (`whatlang`; W. B. Cavnar and J. M. Trenkle, N-gram-based text
/// categorization, 1994). Values: `code`, three letters of ISO 639-3, and `confidence`, 0 to 1. No values where the text
/// is too short to tell.
#[derive(Debug, Clone, Copy)]
pub struct Language;

impl Annotator for Language {
    fn name(&self) -> &'static str {
        "language"
    }

    fn version(&self) -> u32 {
        1
    }

    fn annotate(&self, input: &Input<'_>, _budget: &Budget<'_>) -> Result<Values, Failure> {
        let end = input.body.floor_char_boundary(BYTES_MAX);
        let body = input.body.get(..end).unwrap_or_default();
        let text = if body.trim().is_empty() { input.title } else { body };
        let Some(found) = whatlang::detect(text).filter(whatlang::Info::is_reliable) else {
            return Ok(Values::new());
        };
        Ok(Values::from([
            ("code".to_owned(), Value::Text(found.lang().code().to_owned())),
            ("confidence".to_owned(), Value::Number(found.confidence())),
        ]))
    }
}
