//! Which parts of a text show most of a query.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::hits::Hit;

/// How far a fragment's end moves to meet the end of a word, in bytes.
const WORD_SEARCH_BYTES: usize = 32;

/// The source ranges of the best fragments, best first, apart from each other. `hits` are sorted.
///
/// A hit longer than a fragment counts as one that just fits.
pub(super) fn choose(
    text: &str,
    hits: &[Hit],
    fragments_max: usize,
    fragment_bytes: usize,
) -> Vec<Range<usize>> {
    let mut chosen: Vec<Range<usize>> = Vec::new();
    let mut shown = HashSet::new();
    while chosen.len() < fragments_max {
        let Some(best) = best_window(hits, &chosen, &shown, fragment_bytes) else {
            break;
        };
        let hits = &hits[best];
        shown.extend(hits.iter().map(|hit| hit.leaf));
        let mut source = widen(text, hits, fragment_bytes);
        let first = hits.first().map_or(source.start, |hit| hit.start);
        for other in &chosen {
            if other.end <= first {
                source.start = source.start.max(other.end);
            } else {
                source.end = source.end.min(other.start);
            }
        }
        if source.start >= source.end {
            // Not even one character fits.
            break;
        }
        chosen.push(source);
    }
    chosen
}

/// The hits of the best window that has none of the `chosen` ranges in it.
fn best_window(
    hits: &[Hit],
    chosen: &[Range<usize>],
    shown: &HashSet<usize>,
    fragment_bytes: usize,
) -> Option<Range<usize>> {
    let is_taken =
        |hit: &Hit| chosen.iter().any(|range| hit.start < range.end && range.start < hit.end);
    let mut best: Option<((usize, usize, usize), Range<usize>)> = None;
    // The window is `hits[start..end]`; how often it has each leaf, and how many not shown yet.
    let mut leaves: HashMap<usize, usize> = HashMap::new();
    let (mut end, mut unshown) = (0, 0);
    for start in 0..hits.len() {
        let end_max = hits[start].start.saturating_add(fragment_bytes);
        while let Some(hit) = hits.get(end)
            && (end == start || hit.end <= end_max)
            && !is_taken(hit)
        {
            let count = leaves.entry(hit.leaf).or_default();
            *count += 1;
            unshown += usize::from(*count == 1 && !shown.contains(&hit.leaf));
            end += 1;
        }
        if end == start {
            // The first hit is taken: the next window begins behind it.
            end = start + 1;
            continue;
        }
        let score = (unshown, leaves.len(), end - start);
        if best.as_ref().is_none_or(|(best, _)| score > *best) {
            best = Some((score, start..end));
        }
        let leaf = hits[start].leaf;
        if let Some(count) = leaves.get_mut(&leaf) {
            *count -= 1;
            if *count == 0 {
                leaves.remove(&leaf);
                unshown -= usize::from(!shown.contains(&leaf));
            }
        }
    }
    best.map(|(_, window)| window)
}

/// The source range of a fragment that shows `hits`: at most `fragment_bytes`, at words if possible.
fn widen(text: &str, hits: &[Hit], fragment_bytes: usize) -> Range<usize> {
    if text.len() <= fragment_bytes {
        return 0..text.len();
    }
    let first = hits.first().map_or(0, |hit| hit.start);
    let last = hits.iter().map(|hit| hit.end).max().unwrap_or(first);
    let spare = fragment_bytes.saturating_sub(last - first);
    // A little more is shown after than before, as reading goes on there.
    let start = first.saturating_sub(spare / 3).min(text.len() - fragment_bytes);
    let start = start_at_word(text, start, first);
    start..end_at_word(text, start, last, fragment_bytes)
}

/// The start of a word at or after `start`, if near, but not after `first`.
fn start_at_word(text: &str, start: usize, first: usize) -> usize {
    let start = text.ceil_char_boundary(start).min(first);
    if start == 0 || text[..start].ends_with(char::is_whitespace) {
        return start;
    }
    let near =
        text.floor_char_boundary(start.saturating_add(WORD_SEARCH_BYTES)).clamp(start, first);
    text[start..near]
        .char_indices()
        .find(|(_, c)| c.is_whitespace())
        .map_or(start, |(at, c)| start + at + c.len_utf8())
}

/// The end of the last word within `bytes` of `start`, if near and not before `last`, else the last
/// character's.
pub(super) fn end_at_word(text: &str, start: usize, last: usize, bytes: usize) -> usize {
    let end = text.floor_char_boundary(start.saturating_add(bytes)).max(start);
    if end == text.len() || text[end..].starts_with(char::is_whitespace) {
        return end;
    }
    let near =
        text.floor_char_boundary(end.saturating_sub(WORD_SEARCH_BYTES)).max(last).clamp(start, end);
    text[near..end].rfind(char::is_whitespace).map_or(end, |at| near + at)
}
