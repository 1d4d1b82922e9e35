//! English plurals become singulars: the weak stemmer of version 2.
//!
//! After the "S stemmer" of D. Harman, "How effective is suffixing?", Journal of the American Society for Information
//! Science 42(1), 1991, which finds it as useful as stronger ones and far less often wrong. It knows no dictionary: what
//! counts is that both forms of most words meet, not that the outcome is a word. Beyond it, `es` goes whole after `x`,
//! `sh` and `ss`, and short words, `us` and `is` keep their `s`.

use std::borrow::Cow;

/// Shorter words are no plurals, or too often not: `was`, `gas`, `his`.
const BYTES_MIN: usize = 4;

/// The singular of a folded token, which may be the token itself. Only words of ASCII letters change.
pub(crate) fn singular(token: &str) -> Cow<'_, str> {
    let bytes = token.as_bytes();
    if bytes.len() < BYTES_MIN
        || !bytes.ends_with(b"s")
        || !bytes.iter().all(u8::is_ascii_lowercase)
    {
        return Cow::Borrowed(token);
    }
    if bytes.len() > BYTES_MIN {
        if let Some(stem) = token.strip_suffix("ies")
            && !stem.ends_with(['a', 'e'])
        {
            return Cow::Owned(format!("{stem}y"));
        }
        if ["xes", "shes", "sses"].iter().any(|ending| token.ends_with(ending)) {
            return Cow::Borrowed(&token[..token.len() - 2]);
        }
    }
    match token.strip_suffix('s') {
        Some(stem) if !stem.ends_with(['s', 'u', 'i']) => Cow::Borrowed(stem),
        Some(_) | None => Cow::Borrowed(token),
    }
}

/// What all words begin with that become `token`: all of it, but for a `y` that may have been `ies`.
pub(crate) fn common_beginning(token: &str) -> &str {
    token.strip_suffix('y').filter(|stem| stem.len() >= 2).unwrap_or(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_usual_words_meet() {
        let pairs = [
            ("kernels", "kernel"),
            ("files", "file"),
            ("queries", "query"),
            ("boxes", "box"),
            ("classes", "class"),
            ("hashes", "hash"),
            ("caches", "cache"),
            ("shoes", "shoe"),
            ("trees", "tree"),
            ("axes", "axe"),
            ("ties", "tie"),
            ("pages", "page"),
        ];
        for (plural, expected) in pairs {
            assert_eq!(singular(plural), expected);
            assert_eq!(singular(expected), expected);
        }
        for kept in ["was", "this", "class", "status", "analysis", "s", "", "x86s", "größes", "os"]
        {
            assert_eq!(singular(kept), kept);
        }
    }

    /// Of all words of up to seven of the letters that the rules name, and one that they do not.
    #[test]
    fn it_is_idempotent_and_keeps_the_common_beginning() {
        let letters = ['s', 'e', 'i', 'u', 'x', 'h', 'a', 'y', 'b'];
        let mut words = vec![String::new()];
        for _ in 0..7 {
            let mut longer = Vec::with_capacity(words.len() * letters.len());
            for word in &words {
                let once = singular(word).into_owned();
                assert_eq!(singular(&once), once, "{word}");
                assert!(word.starts_with(common_beginning(&once)), "{word}");
                longer.extend(letters.iter().map(|letter| format!("{word}{letter}")));
            }
            words = longer;
        }
    }
}
