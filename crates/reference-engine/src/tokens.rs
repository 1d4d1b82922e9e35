//! Tokens by the rules of `docs/formats/analysis.md`, one rule after the other.

use icu_properties::{
    CodePointMapData,
    props::{GeneralCategory, GeneralCategoryGroup, Script},
};
use icu_segmenter::{WordSegmenter, options::WordBreakInvariantOptions};
use unicode_normalization::UnicodeNormalization;

const BYTES_MAX: usize = 128;

const APOSTROPHES: [char; 2] = ['\'', '’'];
const INVISIBLE: [char; 5] = ['\u{AD}', '\u{200C}', '\u{200D}', '\u{2060}', '\u{FEFF}'];
const KEPT_WHOLE: [char; 2] = ['\u{E33}', '\u{EB3}'];

const SPELLED_OUT: [(char, &str); 14] = [
    ('ß', "ss"),
    ('æ', "ae"),
    ('œ', "oe"),
    ('ø', "o"),
    ('đ', "d"),
    ('ð', "d"),
    ('ł', "l"),
    ('ŀ', "l"),
    ('ħ', "h"),
    ('ŧ', "t"),
    ('þ', "th"),
    ('ı', "i"),
    ('ȷ', "j"),
    ('ς', "σ"),
];

#[rustfmt::skip]
const DROPPED: [(u32, u32); 28] = [
    (0x300, 0x36F), (0x483, 0x487), (0x591, 0x5BD), (0x5BF, 0x5BF), (0x5C1, 0x5C2), (0x5C4, 0x5C5),
    (0x5C7, 0x5C7), (0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6DC),
    (0x6DF, 0x6E4), (0x6E7, 0x6E8), (0x6EA, 0x6ED), (0x711, 0x711), (0x730, 0x74A), (0x8CA, 0x8E1),
    (0x8E3, 0x8FF), (0x180B, 0x180D), (0x180F, 0x180F), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF), (0xFB1E, 0xFB1E), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xE0100, 0xE01EF),
];

/// The tokens of a text by analyzer version 1, in order.
#[must_use]
pub fn tokens(text: &str) -> Vec<String> {
    runs(text).iter().flat_map(|run| pieces(run)).flat_map(|piece| folded_tokens(&piece)).collect()
}

/// The tokens of a text by an analyzer version, in order.
#[must_use]
pub fn tokens_of(version: u32, text: &str) -> Vec<String> {
    tokens(text).iter().map(|token| normalized(version, token)).collect()
}

/// Rule 9: what a version makes of a token.
pub(crate) fn normalized(version: u32, token: &str) -> String {
    let length = token.len();
    let is_word = token.chars().all(|c| c.is_ascii_lowercase());
    let ends_in = |endings: &[&str]| endings.iter().any(|ending| token.ends_with(ending));
    if version < 2 || !is_word || length < 4 || !token.ends_with('s') {
        return token.to_owned();
    }
    if length >= 5 && ends_in(&["ies"]) && !ends_in(&["aies", "eies"]) {
        return token[..length - 3].to_owned() + "y";
    }
    if length >= 5 && ends_in(&["xes", "shes", "sses"]) {
        return token[..length - 2].to_owned();
    }
    if ends_in(&["ss", "us", "is"]) {
        return token.to_owned();
    }
    token[..length - 1].to_owned()
}

fn category_is_of(c: char, group: GeneralCategoryGroup) -> bool {
    group.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}

fn is_letter_or_number(c: char) -> bool {
    category_is_of(c, GeneralCategoryGroup::Letter)
        || category_is_of(c, GeneralCategoryGroup::Number)
}

fn is_word_character(c: char) -> bool {
    is_letter_or_number(c) || category_is_of(c, GeneralCategoryGroup::Mark)
}

fn is_joiner(c: char) -> bool {
    APOSTROPHES.contains(&c) || INVISIBLE.contains(&c)
}

fn has_script_without_spaces(text: &str) -> bool {
    text.chars().any(|c| {
        matches!(
            CodePointMapData::<Script>::new().get(c),
            Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Thai
                | Script::Lao
                | Script::Khmer
                | Script::Myanmar
        )
    })
}

/// Rules 1 and 2.
fn runs(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_word_at = |at: usize| chars.get(at).is_some_and(|&c| is_word_character(c));
    let (mut runs, mut run) = (Vec::new(), String::new());
    for (at, &c) in chars.iter().enumerate() {
        let joins = is_joiner(c) && at > 0 && is_word_at(at - 1) && is_word_at(at + 1);
        if is_word_character(c) || joins {
            run.push(c);
        } else {
            runs.push(std::mem::take(&mut run));
        }
    }
    runs.push(run);
    runs.retain(|run| !run.is_empty());
    runs
}

fn segments(text: &str) -> Vec<String> {
    let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    let breaks: Vec<usize> = segmenter.segment_str(text).collect();
    breaks.windows(2).map(|pair| text[pair[0]..pair[1]].to_owned()).collect()
}

/// Rules 3 and 4.
fn pieces(run: &str) -> Vec<String> {
    let pieces = if has_script_without_spaces(run) { segments(run) } else { vec![run.to_owned()] };
    let possessives = ["'s", "'S", "’s", "’S"];
    pieces
        .into_iter()
        .map(|piece| {
            let ending = possessives.iter().find(|ending| piece.ends_with(*ending));
            match ending {
                Some(ending) if piece != *ending => piece[..piece.len() - ending.len()].to_owned(),
                _ => piece,
            }
        })
        .collect()
}

/// Rule 5.
fn fold(piece: &str) -> String {
    let mut folded = String::new();
    for c in piece.chars().filter(|&c| !is_joiner(c)) {
        let compatible: String = c.to_string().nfkd().collect();
        let decomposed = if compatible.chars().all(is_word_character) && !KEPT_WHOLE.contains(&c) {
            compatible
        } else {
            c.to_string().nfd().collect()
        };
        for c in decomposed.to_lowercase().chars() {
            let code = u32::from(c);
            if let Some((_, spelling)) = SPELLED_OUT.iter().find(|(letter, _)| *letter == c) {
                folded.push_str(spelling);
            } else if !DROPPED.iter().any(|&(first, last)| first <= code && code <= last) {
                folded.push(c);
            }
        }
    }
    folded.nfc().collect()
}

/// Rules 5 to 8.
fn folded_tokens(piece: &str) -> Vec<String> {
    let mut folded = fold(piece);
    while folded.len() > BYTES_MAX {
        folded.pop();
    }
    let mut parts = vec![folded];
    loop {
        let cut: Vec<String> = parts
            .iter()
            .flat_map(|part| {
                if has_script_without_spaces(part) { segments(part) } else { vec![part.clone()] }
            })
            .collect();
        if cut == parts {
            break;
        }
        parts = cut;
    }
    parts.retain(|part| part.chars().any(is_letter_or_number));
    parts
}
