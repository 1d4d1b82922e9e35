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
    let at = KEYS.binary_search(&key(token.as_bytes())).ok()?;
    CommonWord::try_from(at).ok()
}

/// The words as numbers that compare as they do: each token of a text is looked up.
const KEYS: [u64; WORDS.len()] = {
    let mut keys = [0; WORDS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = key(WORDS[at].as_bytes());
        at += 1;
    }
    keys
};

/// Up to [`BYTES_MAX`] bytes as a number.
const fn key(word: &[u8]) -> u64 {
    let mut key = [0; 8];
    let mut at = 0;
    while at < word.len() && at < key.len() {
        key[at] = word[at];
        at += 1;
    }
    u64::from_be_bytes(key)
}

/// What a pair is indexed as; no token holds a space.
pub(crate) fn text([first, second]: [CommonWord; 2]) -> String {
    let word = |number: CommonWord| WORDS.get(usize::from(number)).copied().unwrap_or_default();
    format!("{} {}", word(first), word(second))
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
        let phrase = |tokens: &[&str]| {
            text_of_phrase(&tokens.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(phrase(&["of", "the"]).as_deref(), Some("of the"));
        assert_eq!(phrase(&["of", "fox"]), None);
        assert_eq!(phrase(&["of", "the", "a"]), None);
    }
}
