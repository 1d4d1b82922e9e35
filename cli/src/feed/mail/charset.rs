//! The text of a part's bytes, by the charset it claims and by what the bytes themselves say.

use encoding_rs::{Encoding, ISO_2022_JP, REPLACEMENT, UTF_16BE, UTF_16LE};
use mail_parser::decoders::charsets::map::charset_decoder;

use crate::feed::decode;

/// What the bytes say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// None where they are no text.
    pub(super) text: Option<String>,
    pub(super) flaw: Option<Flaw>,
}

/// What may be wrong with a charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Nobody knows it.
    Unknown,
    /// Bytes that mean nothing in it.
    Bytes,
}

/// Reads bytes that claim to be in the charset of this name, which is empty where none was said. Sound UTF-8 is
/// believed more than the claim, unless the charset is one whose bytes all look like ASCII.
pub(super) fn decode(label: &str, bytes: &[u8]) -> Decoded {
    let label = label.trim();
    let declared = encoding(label);
    let (text, flaw) = match declared {
        Some(encoding) if [ISO_2022_JP, UTF_16LE, UTF_16BE].contains(&encoding) => {
            (Some(encoding.decode(bytes).0.into_owned()), None)
        }
        Some(encoding) if encoding != REPLACEMENT => (guessed(bytes, Some(encoding)), None),
        _ if label.is_empty() => (guessed(bytes, None), None),
        // UTF-7 and the like, which browsers no longer read.
        _ => match charset_decoder(label.as_bytes()).filter(|_| declared.is_none()) {
            Some(decoder) => (Some(decoder(bytes)), None),
            None => (guessed(bytes, None), Some(Flaw::Unknown)),
        },
    };
    let is_replaced = text.as_ref().is_some_and(|text| text.contains(char::REPLACEMENT_CHARACTER));
    let flaw = flaw.or((is_replaced && !holds_replacement(bytes)).then_some(Flaw::Bytes));
    Decoded { text, flaw }
}

/// Whether text that claims this charset can be read by it.
pub(super) fn is_known(label: &str) -> bool {
    let label = label.trim();
    encoding(label).is_some_and(|it| it != REPLACEMENT)
        || charset_decoder(label.as_bytes()).is_some()
}

/// Also by names that programs took from the constants of their system, such as `GB2312_CHARSET` and `CHINESEBIG5`.
fn encoding(label: &str) -> Option<&'static Encoding> {
    let named = |label: &str| Encoding::for_label(label.as_bytes());
    let label = label.to_ascii_lowercase();
    let shorter = || label.strip_suffix("_charset").or_else(|| label.strip_prefix("chinese"));
    named(&label).or_else(|| named(shorter()?))
}

fn guessed(bytes: &[u8], declared: Option<&'static Encoding>) -> Option<String> {
    // A stray NUL is a sender's bug and no sign of data.
    let bytes = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    decode::text(bytes, false, declared)
}

/// Whether the replacement character was in the bytes before we came.
fn holds_replacement(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| three == "\u{fffd}".as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(label: &str, bytes: &[u8]) -> (String, Option<Flaw>) {
        let decoded = decode(label, bytes);
        (decoded.text.unwrap_or_default(), decoded.flaw)
    }

    #[test]
    fn charsets_are_read_by_their_labels() {
        let ok = |text: &str| (text.to_owned(), None);
        assert_eq!(read("Shift_JIS", b"\x93\xfa\x96\x7b"), ok("日本"));
        assert_eq!(read("iso-2022-jp", b"\x1b$BF|K\\\x1b(B"), ok("日本"));
        assert_eq!(read("gb2312", b"\xc4\xe3\xba\xc3"), ok("你好"));
        assert_eq!(read("ks_c_5601-1987", b"\xc7\xd1\xb1\xdb"), ok("한글"));
        assert_eq!(read("KOI8-R", b"\xf0\xd2\xc9"), ok("При"));
        assert_eq!(read("utf-7", b"Hi +AOk-"), ok("Hi é"));
        assert_eq!(read("GB2312_CHARSET", b"\xc4\xe3\xba\xc3"), ok("你好"));
        assert_eq!(read("CHINESEBIG5", b"\xa7A\xa6n"), ok("你好"));
        assert_eq!(read("us-ascii", b"caf\xe9\0"), ok("café"));
        assert_eq!(read("", "è".as_bytes()), ok("è"));
    }

    #[test]
    fn flaws_are_told() {
        assert_eq!(read("x-unheard-of", b"caf\xe9").1, Some(Flaw::Unknown));
        assert_eq!(read("iso-2022-kr", b"abc"), ("abc".to_owned(), Some(Flaw::Unknown)));
        assert_eq!(read("euc-jp", b"\xff\xa4\xa2").1, Some(Flaw::Bytes));
        assert_eq!(decode("", b"%PDF-1.4").text, None);
    }
}
