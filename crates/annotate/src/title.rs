//! `title`: a title for documents that come without one.

use crate::annotator::{Annotator, Budget, Failure, Input, Value, Values};

/// A longer line is a paragraph; its beginning will do.
const BYTES_MAX: usize = 200;

/// A guess at the title of a document that has none: its first Markdown heading (`# …`), else its first line with a
/// letter or a digit. Value: `guess`. It is shown, not searched: the `title` field is the application's.
#[derive(Debug, Clone, Copy)]
pub struct Title;

impl Annotator for Title {
    fn name(&self) -> &'static str {
        "title"
    }

    fn version(&self) -> u32 {
        1
    }

    fn annotate(&self, input: &Input<'_>, budget: &Budget<'_>) -> Result<Values, Failure> {
        if !input.title.trim().is_empty() {
            return Ok(Values::new());
        }
        let mut first = None;
        for line in input.body.lines() {
            budget.check()?;
            let line = line.trim();
            if let Some(heading) = heading(line) {
                return Ok(guess(heading));
            }
            if first.is_none() && has_words(line) {
                first = Some(line);
            }
        }
        Ok(first.map(guess).unwrap_or_default())
    }
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']) && has_words(text);
    is_heading.then(|| text.trim().trim_end_matches('#').trim_end())
}

fn has_words(line: &str) -> bool {
    line.chars().any(char::is_alphanumeric)
}

fn guess(line: &str) -> Values {
    // Only of the beginning: a line may be all of a long document.
    let end = line.floor_char_boundary(4 * BYTES_MAX);
    let words = line.get(..end).unwrap_or_default().split_whitespace();
    let mut title = words.collect::<Vec<_>>().join(" ");
    title.truncate(title.floor_char_boundary(BYTES_MAX));
    Values::from([("guess".to_owned(), Value::Text(title))])
}
