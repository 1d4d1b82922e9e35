//! Highlighting: the fragments of a text that show best where a query matched it.
//!
//! ```text
//! text + scoring leaves ─► hits (places of words and whole phrases) ─► windows with the most
//! different leaves ─► cut at words, made one line ─► fragments
//! ```

mod hits;
mod window;

use std::ops::Range;

use nautilus_analysis::Analyzer;

use crate::{Field, Node};

/// How much of a text is looked at, in bytes: highlighting must not cost more than searching.
pub const ANALYZED_BYTES_MAX: usize = 256 * 1024;

/// A part of a text, on one line, with the places of what was searched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The text: each run of spaces, newlines and control characters is one space.
    pub text: String,
    /// Byte ranges in `text`: in order, apart from each other, not empty, at character boundaries.
    pub ranges: Vec<Range<usize>>,
    /// Byte offset in the source where the fragment begins.
    pub start_in_source: usize,
}

/// The best fragments of `text`, a document's `field`, best first; none if nothing is found in it.
///
/// Counted are the query's scoring leaves for this field: words, prefixes and phrases (where all
/// their words stand together). A fragment covers at most `fragment_bytes` of the source, and the
/// whole text if that is not longer. Fragments do not overlap. Better is what shows more leaves not
/// shown yet, then more different leaves, then more hits, then what comes first.
#[must_use]
pub fn fragments(
    text: &str,
    query: &Node,
    field: Field,
    analyzer: &Analyzer,
    fragments_max: usize,
    fragment_bytes: usize,
) -> Vec<Fragment> {
    let analyzed = &text[..text.floor_char_boundary(ANALYZED_BYTES_MAX)];
    let hits = hits::find(analyzed, &query.normalized(analyzer), field, analyzer);
    window::choose(text, &hits, fragments_max, fragment_bytes)
        .into_iter()
        .map(|source| cut(text, source, &hits))
        .collect()
}

/// The beginning of a text, for when nothing in it is to be highlighted.
#[must_use]
pub fn beginning(text: &str, fragment_bytes: usize) -> Fragment {
    cut(text, 0..window::end_at_word(text, 0, 0, fragment_bytes), &[])
}

/// The source range as a fragment with the hits inside it.
fn cut(text: &str, source: Range<usize>, hits: &[hits::Hit]) -> Fragment {
    let first = hits.partition_point(|hit| hit.start < source.start);
    let mut hits = hits[first..].iter().take_while(|hit| hit.start < source.end).peekable();
    let mut fragment = Fragment {
        text: String::with_capacity(source.len()),
        ranges: Vec::new(),
        start_in_source: source.start,
    };
    let mut highlighted_to = 0;
    for (at, c) in text[source.clone()].char_indices().map(|(at, c)| (source.start + at, c)) {
        while let Some(hit) = hits.next_if(|hit| hit.start <= at) {
            highlighted_to = highlighted_to.max(hit.end);
        }
        let is_space = c.is_whitespace() || c.is_control() || is_invisible_direction(c);
        let before = fragment.text.len();
        if !is_space {
            fragment.text.push(c);
        } else if !fragment.text.is_empty() && !fragment.text.ends_with(' ') {
            fragment.text.push(' ');
        }
        let after = fragment.text.len();
        if at < highlighted_to && after > before {
            match fragment.ranges.last_mut() {
                // A character further inside the same hit, or a hit right after the last.
                Some(last) if last.end == before => last.end = after,
                Some(_) | None => fragment.ranges.push(before..after),
            }
        }
    }
    fragment.text.truncate(fragment.text.trim_end().len());
    let end = fragment.text.len();
    fragment.ranges.retain_mut(|range| {
        range.end = range.end.min(end);
        range.start < range.end
    });
    fragment
}

/// Controls of writing direction: they could make the text around a fragment read backwards.
fn is_invisible_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests;
