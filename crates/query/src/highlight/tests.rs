use proptest::prelude::*;

use super::*;
use crate::{MatchMode, QueryLimits, parse};

fn query(text: &str) -> Node {
    parse(text, MatchMode::Any, &QueryLimits::default(), &Analyzer::new()).expect("a query")
}

/// Fragments of a body with `[` and `]` around what is highlighted.
fn marked(text: &str, asked: &str, fragments_max: usize, bytes: usize) -> Vec<String> {
    fragments(text, &query(asked), Field::Body, &Analyzer::new(), fragments_max, bytes)
        .iter()
        .map(mark)
        .collect()
}

fn mark(fragment: &Fragment) -> String {
    let mut text = fragment.text.clone();
    for range in fragment.ranges.iter().rev() {
        text.insert(range.end, ']');
        text.insert(range.start, '[');
    }
    text
}

#[test]
fn a_short_text_is_shown_whole() {
    let cases = [
        ("The Red Foxes of Café", "red fox* cafe", "The [Red] [Foxes] of [Café]"),
        ("The kernel's\n\n  heap\t", "heap kernel", "The [kernel]'s [heap]"),
        ("red fox, fox red, red\nfox", "\"red fox\"", "[red fox], fox red, [red fox]"),
        ("red fox", "title:fox red", "[red] fox"),
        ("red fox", "red -fox", "[red] fox"),
        ("red red fox", "\"red red fox\" red", "[red red fox]"),
        ("世界はこんにちは世界", "世界", "[世界]はこんにちは[世界]"),
        ("a\u{202e}b \u{85}c", "c", "a b [c]"),
        ("main.rs", "main.rs", "[main.rs]"),
    ];
    for (text, asked, expected) in cases {
        let expected = if asked.starts_with("\"red red") { "[red red fox]" } else { expected };
        assert_eq!(marked(text, asked, 3, 200), [expected], "{text} / {asked}");
    }
}

#[test]
fn another_version_marks_what_it_finds() {
    let singular = Analyzer::of(2).expect("there is one");
    let (text, asked) = ("A box of foxes, two boxes", query("boxes \"boxes of fox\""));
    let found = fragments(text, &asked, Field::Body, &singular, 1, 200);
    assert_eq!(found.iter().map(mark).collect::<Vec<_>>(), ["A [box of foxes], two [boxes]"]);
}

#[test]
fn nothing_found_is_no_fragment() {
    assert_eq!(marked("red fox", "wolf", 3, 200), [""; 0]);
    assert_eq!(marked("", "wolf", 3, 200), [""; 0]);
    assert_eq!(marked("red fox", "fox", 0, 200), [""; 0]);
    let start = beginning("  The quick brown fox jumps over", 20);
    assert_eq!((start.text.as_str(), start.ranges.len()), ("The quick brown", 0));
}

#[test]
fn the_best_fragments_come_first() {
    let filler = "lorem ipsum dolor sit amet consectetur ".repeat(10);
    let text = format!("fox {filler} fox fox {filler} red fox wolf {filler} bear {filler}");
    let found = marked(&text, "red fox bear", 3, 60);
    assert_eq!(found.len(), 3);
    assert!(found[0].contains("[red] [fox] wolf"), "{found:?}");
    assert!(found[1].contains("[bear]"), "{found:?}");
    assert!(found[2].contains("[fox] [fox]"), "{found:?}");
    for fragment in &found {
        assert!(
            fragment.split(' ').all(|word| {
                text.split(' ').any(|whole| whole == word.trim_matches(['[', ']']))
            })
        );
    }
}

#[test]
fn work_is_bounded() {
    let text = "fox ".repeat(1_000_000);
    let found =
        fragments(&text, &query("fox f* fo* \"fox fox\""), Field::Body, &Analyzer::new(), 5, 100);
    assert_eq!(found.len(), 5);
    let late = "x ".repeat(ANALYZED_BYTES_MAX) + "fox";
    assert_eq!(marked(&late, "fox", 1, 100), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn fragments_are_sound(
        words in proptest::collection::vec(proptest::sample::select(vec![
            "red", "fox", "foxes", "é", "世界", "main.rs", "\n", "\u{202e}", " ", " ", " ", " ", "lorem-ipsum",
            "\u{1f600}", "redredredredredredredredredredredredred",
        ]), 0..80),
        bytes in 0_usize..120,
        fragments_max in 0_usize..5,
    ) {
        let text = words.concat();
        let asked = query("red* \"red fox\" 世界 main.rs \"foxes red\"");
        let found = fragments(&text, &asked, Field::Body, &Analyzer::new(), fragments_max, bytes);
        prop_assert!(found.len() <= fragments_max);
        for fragment in &found {
            prop_assert!(fragment.text.len() <= bytes);
            prop_assert!(text.get(fragment.start_in_source..).is_some());
            let mut last = None;
            for range in &fragment.ranges {
                prop_assert!(!fragment.text[range.clone()].is_empty());
                prop_assert!(last.is_none_or(|last| last < range.start));
                last = Some(range.end);
            }
            let unwanted = ['\n', '\u{202e}'];
            prop_assert!(!fragment.text.contains(unwanted));
            prop_assert!(!fragment.text.contains("  "));
        }
        for (index, one) in found.iter().enumerate() {
            for other in &found[..index] {
                prop_assert_ne!(one.start_in_source, other.start_in_source);
            }
        }
    }
}
