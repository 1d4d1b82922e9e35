//! Words so common that two of them side by side are indexed like a word.
//!
//! A phrase of two such words stands in many of the documents that hold both, and to count it there every one of
//! their texts would have to be read. The list is part of the format: another list needs another version.

/// Ascending. Function words of English, the commonest in prose and source text alike.
const WORDS: [&str; 50] = [
    "a", "all", "an", "and", "any", "are", "as", "at", "be", "been", "but", "by", "can", "do",
    "for", "from", "has", "have", "he", "if", "in", "into", "is", "it", "its", "may", "no", "not",
    "of", "on", "one", "only", "or", "our", "so", "such", "than", "that", "the", "then", "this",
    "to", "was", "we", "when", "which", "will", "with", "would", "you",
];

const BYTES_MAX: usize = 5;

/// Number of a common word.
pub(crate) type CommonWord = u8;

/// The number of a token that is a common word.
pub(crate) fn number(token: &str) -> Option<CommonWord> {
    if token.len() > BYTES_MAX {
        return None;
    }
    let key = key(token.as_bytes());
    let mut place = place_of(key);
    loop {
        let word = PLACES[place];
        match KEYS.get(usize::from(word)) {
            Some(found) if *found == key => return Some(word),
            Some(_) => place = (place + 1) % PLACES.len(),
            None => return None,
        }
    }
}

/// The words as numbers that compare as they do.
const KEYS: [u64; WORDS.len()] = {
    let mut keys = [0; WORDS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(WORDS[at].as_bytes());
        at += 1;
    }
    keys
};

/// Where a word's number is, by hash and then the next free place: each token of a text is looked up, and guesses that a
/// search by halves would have to make cost more than all else here.
const PLACES: [CommonWord; 512] = {
    let mut places = [NO_WORD; 512];
    let mut at: CommonWord = 0;
    while (at as usize) < KEYS.len() {
        let mut place = place_of(KEYS[at as usize]);
        while places[place] != NO_WORD {
            place = (place + 1) % places.len();
        }
        places[place] = at;
        at += 1;
    }
    places
};
const NO_WORD: CommonWord = CommonWord::MAX;

/// The upper bits of a product: a number below the length of [`PLACES`].
const fn place_of(key: u64) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 55) as usize
}

/// Up to [`BYTES_MAX`] bytes as a number that compares as they do. Without a branch by length, which would have to be
/// guessed, and without a copy, whose bytes could not be read as a number before they are stored.
const fn key(word: &[u8]) -> u64 {
    let Some(last) = word.len().checked_sub(1) else { return 0 };
    let mut key = 0;
    let mut at = 0;
    while at < BYTES_MAX {
        key = key << 8 | word[if at < last { at } else { last }] as u64;
        at += 1;
    }
    let beyond = 8 * BYTES_MAX.saturating_sub(word.len());
    key >> beyond << beyond
}

/// What a pair is indexed as; no token holds a space.
pub(crate) fn text([first, second]: [CommonWord; 2]) -> String {
    let word = |number: CommonWord| WORDS.get(usize::from(number)).copied().unwrap_or_default();
    [word(first), word(second)].join(" ")
}

/// What a phrase of two common words is indexed as; None for any other phrase.
pub(crate) fn text_of_phrase(tokens: &[String]) -> Option<String> {
    let [first, second] = tokens else { return None };
    Some(text([number(first)?, number(second)?]))
}

#[cfg(test)]
mod tests {
    use nautilus_analysis::Analyzer;

    use super::*;

    #[test]
    fn words_are_found_and_are_tokens() {
        assert!(WORDS.is_sorted());
        for (at, word) in WORDS.iter().enumerate() {
            assert_eq!(number(word).map(usize::from), Some(at));
            let tokens = Analyzer::new().tokens(word);
            assert_eq!(tokens.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), [*word]);
        }
        assert_eq!((number("kernel"), number("thee"), number("")), (None, None, None));
        let taken = PLACES.iter().filter(|word| **word != NO_WORD).count();
        assert_eq!(taken, WORDS.len());
        let phrase = |tokens: &[&str]| {
            text_of_phrase(&tokens.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(phrase(&["of", "the"]).as_deref(), Some("of the"));
        assert_eq!(phrase(&["of", "fox"]), None);
        assert_eq!(phrase(&["of", "the", "a"]), None);
    }
}
