//! What each character is to the scanner: part of a word, joiner, separator.

use icu_properties::{
    CodePointMapData, CodePointMapDataBorrowed,
    props::{GeneralCategory, GeneralCategoryGroup, Script},
};

const CATEGORY: CodePointMapDataBorrowed<'static, GeneralCategory> = CodePointMapData::new();
const SCRIPT: CodePointMapDataBorrowed<'static, Script> = CodePointMapData::new();

const LETTER_OR_NUMBER: GeneralCategoryGroup =
    GeneralCategoryGroup::Letter.union(GeneralCategoryGroup::Number);
const WORD: GeneralCategoryGroup = LETTER_OR_NUMBER.union(GeneralCategoryGroup::Mark);

/// Letter, number or combining mark.
pub(crate) fn is_word(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphanumeric() } else { WORD.contains(CATEGORY.get(c)) }
}

/// Letter or number: what a token must have at least one of.
pub(crate) fn is_letter_or_number(c: char) -> bool {
    if c.is_ascii() {
        c.is_ascii_alphanumeric()
    } else {
        LETTER_OR_NUMBER.contains(CATEGORY.get(c))
    }
}

/// Stays inside a word without being part of the token, if one stands between two word characters.
pub(crate) fn is_joiner(c: char) -> bool {
    is_apostrophe(c) || matches!(c, '\u{ad}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}')
}

/// The two characters people type as an apostrophe.
pub(crate) fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// Written without spaces between words: cut by dictionary.
pub(crate) fn needs_dictionary(c: char) -> bool {
    // Nothing below Thai (U+0E01) is of these scripts.
    c >= '\u{e00}'
        && [
            Script::Han,
            Script::Hiragana,
            Script::Katakana,
            Script::Thai,
            Script::Lao,
            Script::Khmer,
            Script::Myanmar,
        ]
        .contains(&SCRIPT.get(c))
}

/// Marks that distinguish no words here: accents, Hebrew and Arabic points, variation selectors.
/// Vowel signs of Indic and South-East Asian scripts are letters to their readers and stay.
pub(crate) fn is_dropped(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' // Combining diacritical marks.
        | '\u{483}'..='\u{487}' // Cyrillic titlo and breathings.
        | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}' | '\u{5c2}' | '\u{5c4}' | '\u{5c5}'
        | '\u{5c7}' | '\u{fb1e}' // Hebrew points and cantillation.
        | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}' | '\u{6e7}' | '\u{6e8}'
        | '\u{6ea}'..='\u{6ed}' | '\u{8ca}'..='\u{8e1}' | '\u{8e3}'..='\u{8ff}' // Arabic.
        | '\u{711}' | '\u{730}'..='\u{74a}' // Syriac points.
        | '\u{180b}'..='\u{180d}' | '\u{180f}' // Mongolian variation selectors.
        | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' // Diacritics, extended and supplement.
        | '\u{20d0}'..='\u{20ff}' // Diacritics for symbols, keycaps.
        | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' // Variation selectors.
        | '\u{fe20}'..='\u{fe2f}' // Combining half marks.
    )
}
