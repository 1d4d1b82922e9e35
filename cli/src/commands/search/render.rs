//! A search's answer as text, and a query's error with a caret under its place.

pub(in crate::commands) mod explain;

use std::fmt::Write as _;
use std::time::Duration;

use nautilus_proto::common::v1::Field;
use nautilus_proto::search::v1::{Highlight, Hit, SearchResponse};
use tonic::Status;
use tonic_types::StatusExt;

use crate::exit::Hinted;
use crate::format;
use crate::output::{Emphasis, clean_line, clean_text};

/// Characters shown before and after the place a query is wrong at.
const CARET_AROUND: usize = 30;

/// Highlights shown of one document.
const HIGHLIGHTS_MAX: usize = 3;

/// Hits, of which the first has this number.
pub(super) fn hits(hits: &[Hit], first: u64, now_unix_ms: u64, emphasis: Emphasis) -> String {
    let mut text = String::new();
    for (number, hit) in (first..).zip(hits) {
        push_hit(&mut text, number, hit, now_unix_ms, emphasis);
    }
    text
}

/// What is said below the hits, of which `shown` were shown. `answer` is that of all pages.
pub(super) fn footer(answer: &SearchResponse, shown: u64, took: Duration) -> String {
    let mut text = summary(answer, shown, took);
    text.push('\n');
    push_notes(&mut text, answer);
    if let Some(explanation) = &answer.explanation {
        text.push('\n');
        text.push_str(&explain::explanation(explanation));
    } else if let Some(timing) = &answer.timing {
        text.push_str(&explain::waterfall(timing));
    }
    text
}

fn push_hit(text: &mut String, number: u64, hit: &Hit, now_unix_ms: u64, emphasis: Emphasis) {
    let of_field = |field| hit.highlights.iter().filter(move |one| one.field() == field);
    let title = if hit.title.is_empty() { &hit.document_id } else { &hit.title };
    let title = match of_field(Field::Title).next() {
        Some(highlight) => marked(highlight, emphasis),
        None => emphasis.heading(&clean_line(title)),
    };
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{number:>2}. {title}  {}", emphasis.dim(&format!("{:.3}", hit.score)));
    let mut facts =
        vec![format!("{}: {}", clean_line(&hit.namespace), clean_line(&hit.document_id))];
    if let Some(metadata) = &hit.metadata {
        facts.push(format::size(metadata.size_bytes));
        facts.push(format::age(metadata.modified_unix_ms, now_unix_ms));
    }
    facts.retain(|fact| !fact.is_empty());
    let _ = writeln!(text, "    {}", emphasis.dim(&facts.join("  ")));
    // Title and path are on the lines above already.
    for highlight in of_field(Field::Body).take(HIGHLIGHTS_MAX) {
        let _ = writeln!(text, "    {}", marked(highlight, emphasis));
    }
    if !hit.body.is_empty() {
        for line in clean_text(&hit.body).lines() {
            let _ = writeln!(text, "    | {line}");
        }
    }
    text.push('\n');
}

/// The highlight's text with its ranges marked. Ranges that do not fit the text are left out.
fn marked(highlight: &Highlight, emphasis: Emphasis) -> String {
    let source = &highlight.text;
    let mut text = String::new();
    let mut shown = 0;
    let push_plain = |text: &mut String, piece: &str| {
        // Cleaning cuts the spaces at the ends; between two marks they matter.
        let clean = clean_line(piece);
        if piece.starts_with(char::is_whitespace) && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&clean);
        if piece.ends_with(char::is_whitespace) && !clean.is_empty() {
            text.push(' ');
        }
    };
    for range in &highlight.ranges {
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end))
        else {
            continue;
        };
        let (Some(before), Some(found)) = (source.get(shown..start), source.get(start..end)) else {
            continue;
        };
        push_plain(&mut text, before);
        text.push_str(&emphasis.mark(&clean_line(found)));
        shown = end;
    }
    push_plain(&mut text, source.get(shown..).unwrap_or_default());
    text
}

fn summary(answer: &SearchResponse, shown: u64, took: Duration) -> String {
    let took = format::took(took);
    let at_least = if answer.truncated { "at least " } else { "" };
    match (shown, answer.total_hits) {
        (0, 0) => format!("nothing found ({took})"),
        (shown, total) if shown >= total => {
            format!("{at_least}{} ({took})", format::counted(total, "hit"))
        }
        (shown, total) => {
            let shown = format::count(shown);
            format!("{at_least}{}, {shown} shown ({took})", format::counted(total, "hit"))
        }
    }
}

fn push_notes(text: &mut String, answer: &SearchResponse) {
    if answer.relaxed {
        text.push_str("relaxed: no document has all the words; these have some of them\n");
    }
    if answer.truncated {
        text.push_str(
            "truncated: the time budget ended the search early; there may be better hits\n",
        );
    }
    if let Some(coverage) = answer.coverage.as_ref().filter(|coverage| !coverage.complete) {
        let missing: Vec<String> = coverage
            .missing
            .iter()
            .map(|one| format!("{} ({})", one.partition, clean_line(&one.reason)))
            .collect();
        let _ = writeln!(
            text,
            "partial: {} of {} partitions answered; missing: {}",
            coverage.partitions_answered,
            coverage.partitions_asked,
            missing.join(", ")
        );
    }
}

/// A refused query: where the refusal names a place in the text, with a caret under it.
pub(in crate::commands) fn with_caret(status: Status, query: &str) -> anyhow::Error {
    match position(&status).and_then(|position| caret(query, position)) {
        Some(hint) => Hinted { hint, status }.into(),
        None => status.into(),
    }
}

/// The byte of the query the status complains about.
fn position(status: &Status) -> Option<usize> {
    let details = status.get_error_details();
    details.error_info()?.metadata.get("position")?.parse().ok()
}

/// The query around the byte `position` and, on the line below, a caret under it.
fn caret(query: &str, position: usize) -> Option<String> {
    let (before, after) = query.split_at_checked(position)?;
    let before: Vec<char> = before.chars().collect();
    let cut = before.len().saturating_sub(CARET_AROUND);
    let mut line = String::from(if cut > 0 { "…" } else { "" });
    line.extend(before.iter().skip(cut));
    let indent = " ".repeat(line.chars().count());
    line.extend(after.chars().take(CARET_AROUND));
    if after.chars().nth(CARET_AROUND).is_some() {
        line.push('…');
    }
    Some(format!("  {}\n  {indent}^", clean_columns(&line)))
}

/// Each character as one that takes a column and obeys nothing.
fn clean_columns(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nautilus_proto::common::v1::DocumentMetadata;
    use nautilus_proto::search::v1::{ByteRange, Coverage, MissingPartition};

    fn hit() -> Hit {
        Hit {
            namespace: "notes".to_owned(),
            document_id: "a/tide.md".to_owned(),
            score: 1.25,
            title: "The tide".to_owned(),
            metadata: Some(DocumentMetadata { size_bytes: 1_200, ..Default::default() }),
            highlights: vec![Highlight {
                field: 3,
                text: "the tide\n turns at ñoon".to_owned(),
                ranges: vec![
                    ByteRange { start: 4, end: 8 },
                    ByteRange { start: 19, end: 24 },
                    ByteRange { start: 99, end: 100 },
                ],
            }],
            ..Default::default()
        }
    }

    #[test]
    fn hits_are_numbered_marked_and_summed_up() {
        let found = SearchResponse { hits: vec![hit()], total_hits: 12, ..Default::default() };
        let text = hits(&found.hits, 1, 0, Emphasis::Plain)
            + &footer(&found, 1, Duration::from_micros(1_500));
        assert_eq!(
            text,
            " 1. The tide  1.250\n    notes: a/tide.md  1.2 kB\n    \
             the «tide» turns at «ñoon»\n\n12 hits, 1 shown (1.5 ms)\n"
        );
    }

    #[test]
    fn what_is_less_than_complete_is_said() {
        let coverage = Coverage {
            complete: false,
            partitions_asked: 4,
            partitions_answered: 3,
            missing: vec![MissingPartition { partition: 2, reason: "DEADLINE".to_owned() }],
            build: String::new(),
        };
        let found = SearchResponse {
            relaxed: true,
            truncated: true,
            coverage: Some(coverage),
            ..Default::default()
        };
        let text = footer(&found, 0, Duration::from_millis(20));
        assert!(text.contains("relaxed: ") && text.contains("truncated: "), "{text}");
        assert!(text.contains("3 of 4 partitions answered; missing: 2 (DEADLINE)"), "{text}");
    }

    #[test]
    fn the_caret_stands_under_the_character_not_the_byte() {
        assert_eq!(caret("ñu AND", 7).expect("inside"), "  ñu AND\n        ^");
        assert_eq!(caret("a", 1).expect("the end"), "  a\n   ^");
        assert_eq!(caret("ñ", 1), None);
    }

    #[test]
    fn of_a_long_query_the_place_is_shown() {
        let query = format!("{}(b {}", "a ".repeat(500), "c ".repeat(500));
        let text = caret(&query, 1_000).expect("inside");
        let (line, mark) = text.split_once('\n').expect("two lines");
        assert_eq!(line, format!("  …{}(b {}c…", "a ".repeat(15), "c ".repeat(13)));
        assert_eq!(line.chars().nth(mark.len() - 1), Some('('));
    }
}
