//! Content-Transfer-Encoding (RFC 2045 section 6), forgiving: what a broken encoder wrote is still worth finding.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;

use super::split;

/// Bytes as they were before they were sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// What was wrong with them.
    pub(super) flaw: Option<Flaw>,
}

/// What may be wrong with an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Characters that are none of base64's, or an end within a group.
    Base64,
    /// `=` before what are not two hexadecimal digits.
    QuotedPrintable,
    /// An encoding nobody knows.
    Unknown,
}

/// Undoes the encoding of this name, which is empty where none was said.
pub(super) fn decode<'a>(encoding: &str, bytes: &'a [u8]) -> Decoded<'a> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64(bytes),
        "quoted-printable" => quoted_printable(bytes),
        "" | "7bit" | "8bit" | "binary" => Decoded { bytes: Cow::Borrowed(bytes), flaw: None },
        _ => Decoded { bytes: Cow::Borrowed(bytes), flaw: Some(Flaw::Unknown) },
    }
}

fn base64(bytes: &[u8]) -> Decoded<'_> {
    if let Some(decoded) = base64_decode(bytes) {
        return Decoded { bytes: Cow::Owned(decoded), flaw: None };
    }
    // What is not base64 is mostly a line of text that a list put below: its letters must not be taken for some.
    let is_ours = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let lines = split::lines(bytes).map(<[u8]>::trim_ascii).filter(|line| line.iter().all(is_ours));
    let mut ours: Vec<u8> = lines.flatten().copied().filter(|byte| *byte != b'=').collect();
    // A single character more than whole groups stands for no byte.
    if ours.len() % 4 == 1 {
        ours.pop();
    }
    while !ours.len().is_multiple_of(4) {
        ours.push(b'=');
    }
    let bytes = base64_decode(&ours).map_or(Cow::Borrowed(bytes), Cow::Owned);
    Decoded { bytes, flaw: Some(Flaw::Base64) }
}

fn quoted_printable(bytes: &[u8]) -> Decoded<'_> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut flaw = None;
    let mut rest = bytes;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'=' {
            decoded.push(*byte);
            continue;
        }
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let digits = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        if let Some(byte) = digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            decoded.push(byte);
            rest = after.get(2..).unwrap_or_default();
        } else if let Some(next_line) = soft_break(after) {
            rest = next_line;
        } else {
            flaw = Some(Flaw::QuotedPrintable);
            decoded.push(b'=');
        }
    }
    Decoded { bytes: Cow::Owned(decoded), flaw }
}

/// What follows `=` at the end of a line, blanks after it not counted.
fn soft_break(after: &[u8]) -> Option<&[u8]> {
    let blanks = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let rest = after.get(blanks..)?;
    let next = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"));
    next.or(rest.is_empty().then_some(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(encoding: &str, bytes: &[u8]) -> (String, Option<Flaw>) {
        let decoded = decode(encoding, bytes);
        (String::from_utf8_lossy(&decoded.bytes).into_owned(), decoded.flaw)
    }

    #[test]
    fn sound_and_broken_encodings_are_read() {
        let read = |encoding, bytes| text(encoding, bytes);
        assert_eq!(read("Base64", b"dGlk\r\nZQ==\r\n"), ("tide".to_owned(), None));
        let listed = b"dGlk\nZQ==\n_____\nTo leave, write to us.\n";
        assert_eq!(read("base64", listed), ("tide".to_owned(), Some(Flaw::Base64)));
        assert_eq!(read("quoted-printable", b"t=C3=A9=\r\na =\n b"), ("téa  b".to_owned(), None));
        let flawed = read("quoted-printable", b"a=b =ZZ =");
        assert_eq!(flawed, ("a=b =ZZ ".to_owned(), Some(Flaw::QuotedPrintable)));
        assert_eq!(read(" 7bit ", b"a=20"), ("a=20".to_owned(), None));
        assert_eq!(read("x-uuencode", b"M"), ("M".to_owned(), Some(Flaw::Unknown)));
    }
}
