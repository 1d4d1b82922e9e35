//! Folding: the many ways to write a word become one.

use unicode_normalization::{
    UnicodeNormalization, char::decompose_canonical, char::decompose_compatible,
};

use crate::classes::{is_dropped, is_joiner, is_word};

/// Letters that look like accented ones but do not decompose, in lower case.
fn spelled_out(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' | 'ŀ' => "l",
        'ħ' => "h",
        'ŧ' => "t",
        'þ' => "th",
        'ı' => "i",
        'ȷ' => "j",
        'ς' => "σ",
        _ => return None,
    })
}

/// Appends the folded form of `text` to `out`, stopping before `out` would exceed `bytes_max`.
///
/// Per character: decomposition (compatibility where that leaves word characters only, else
/// canonical), lower case without context, spelling out, dropping of marks; then NFC over all.
pub(crate) fn fold_into(text: &str, bytes_max: usize, out: &mut String) {
    for c in text.chars().filter(|&c| !is_joiner(c)).flat_map(Folded::new).nfc() {
        if out.len() + c.len_utf8() > bytes_max {
            break;
        }
        out.push(c);
    }
}

/// What one character becomes before composition. No character becomes more than 18 (U+FDFA).
struct Folded {
    chars: [char; 20],
    len: usize,
    next: usize,
}

impl Folded {
    fn new(c: char) -> Self {
        let mut folded = Self { chars: ['\0'; 20], len: 0, next: 0 };
        let mut is_compatible = !matches!(c, '\u{e33}' | '\u{eb3}');
        // Thai and Lao AM vowels stay whole: their dictionaries know them only so.
        if is_compatible {
            decompose_compatible(c, |d| is_compatible &= is_word(d));
        }
        if is_compatible {
            decompose_compatible(c, |d| folded.push_folded(d));
        } else {
            decompose_canonical(c, |d| folded.push_folded(d));
        }
        folded
    }

    fn push_folded(&mut self, c: char) {
        for lower in c.to_lowercase() {
            if let Some(spelling) = spelled_out(lower) {
                spelling.chars().for_each(|c| self.push(c));
            } else if !is_dropped(lower) {
                self.push(lower);
            }
        }
    }

    fn push(&mut self, c: char) {
        if let Some(place) = self.chars.get_mut(self.len) {
            *place = c;
            self.len += 1;
        }
    }
}

impl Iterator for Folded {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let c = *self.chars[..self.len].get(self.next)?;
        self.next += 1;
        Some(c)
    }
}
