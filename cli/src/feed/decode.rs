//! Bytes of a file as text, or the finding that they are none.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// How far into an HTML page its encoding may be declared (HTML standard, "prescan").
const PRESCAN_BYTES: usize = 1_024;

/// Beginnings of formats that may happen to hold no NUL byte.
const BINARY_MAGIC: &[&[u8]] = &[
    b"\x1f\x8b",         // gzip
    b"BZh",              // bzip2
    b"\xfd7zXZ",         // xz
    b"\x28\xb5\x2f\xfd", // zstd
    b"PK\x03\x04",       // zip and all that is a zip
    b"%PDF-",
    b"\x89PNG",
    b"\xff\xd8\xff", // JPEG
    b"GIF8",
    b"\x7fELF",
    b"wOFF",
    b"wOF2",
    b"RIFF",
];

/// The text in `bytes`; `None` where they are not text. `is_cut` says that the file went on after
/// them, so that half a character at their end is no flaw. `declared` is what the text says of its
/// own encoding; a byte order mark and sound UTF-8 are believed more.
pub(super) fn text(
    mut bytes: Vec<u8>,
    is_cut: bool,
    declared: Option<&'static Encoding>,
) -> Option<String> {
    if let Some((encoding, mark)) = Encoding::for_bom(&bytes) {
        let (text, _) = encoding.decode_without_bom_handling(bytes.get(mark..)?);
        return Some(text.into_owned());
    }
    if bytes.contains(&0) || BINARY_MAGIC.iter().any(|magic| bytes.starts_with(magic)) {
        return None;
    }
    if is_cut {
        cut_half_character(&mut bytes);
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Some(text),
        Err(error) => error.into_bytes(),
    };
    if is_mostly_control(&bytes) {
        return None;
    }
    let encoding = match declared {
        Some(declared) => declared,
        None if is_flawed_utf8(&bytes) => UTF_8,
        // Every byte means something in it, and it is what old Western text is in.
        None => WINDOWS_1252,
    };
    let (text, _) = encoding.decode_without_bom_handling(&bytes);
    Some(text.into_owned())
}

/// The encoding an HTML page declares in a `meta` element.
pub(super) fn declared_in_html(bytes: &[u8]) -> Option<&'static Encoding> {
    const NEEDLE: &[u8] = b"charset=";
    let head = bytes.get(..PRESCAN_BYTES).unwrap_or(bytes);
    let at = head.windows(NEEDLE.len()).position(|w| w.eq_ignore_ascii_case(NEEDLE))?;
    let rest = head.get(at + NEEDLE.len()..)?;
    let rest = rest.strip_prefix(b"\"").or(rest.strip_prefix(b"'")).unwrap_or(rest);
    let end = rest.iter().position(|b| !(b.is_ascii_alphanumeric() || b"-_:.".contains(b)))?;
    Encoding::for_label(rest.get(..end)?)
}

fn cut_half_character(bytes: &mut Vec<u8>) {
    if let Err(error) = std::str::from_utf8(bytes)
        && error.error_len().is_none()
    {
        bytes.truncate(error.valid_up_to());
    }
}

/// Text has line ends and tabs; one other control character in twenty and more is data.
fn is_mostly_control(bytes: &[u8]) -> bool {
    let is_odd = |byte: &&u8| byte.is_ascii_control() && !b"\t\n\x0c\r\x1b\x08".contains(byte);
    bytes.iter().filter(is_odd).count() * 20 > bytes.len()
}

/// Whether this is UTF-8 with a few broken places, rather than another encoding.
fn is_flawed_utf8(bytes: &[u8]) -> bool {
    let (mut sound, mut broken) = (0, 0);
    for chunk in bytes.utf8_chunks() {
        sound += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        broken += usize::from(!chunk.invalid().is_empty());
    }
    sound > broken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Option<String> {
        text(bytes.to_vec(), false, None)
    }

    #[test]
    fn marks_utf8_and_western_text_are_read() {
        assert_eq!(whole("ñu".as_bytes()).as_deref(), Some("ñu"));
        assert_eq!(whole(b"\xef\xbb\xbfa").as_deref(), Some("a"));
        assert_eq!(whole(b"\xff\xfea\0\xf1\0").as_deref(), Some("añ"));
        assert_eq!(whole(b"\xfe\xff\0a\0\xf1").as_deref(), Some("añ"));
        assert_eq!(whole(b"caf\xe9 \x93x\x94").as_deref(), Some("café “x”"));
        assert_eq!(whole(b"").as_deref(), Some(""));
    }

    #[test]
    fn utf8_with_a_flaw_stays_utf8() {
        assert_eq!(whole("ñandú \u{e9}".as_bytes()).as_deref(), Some("ñandú é"));
        let mut flawed = "ñandú y más ".as_bytes().to_vec();
        flawed.push(0xe9);
        assert_eq!(whole(&flawed).as_deref(), Some("ñandú y más \u{fffd}"));
    }

    #[test]
    fn what_is_not_text_is_said_to_be_none() {
        assert_eq!(whole(b"a\0b"), None);
        assert_eq!(whole(b"\x1f\x8b\x08\x01"), None);
        assert_eq!(whole(b"%PDF-1.7\n%plain"), None);
        let noise: Vec<u8> = (1..=255).collect();
        assert_eq!(whole(&noise), None);
    }

    #[test]
    fn half_a_character_at_a_cut_is_dropped() {
        let cut = &"aé".as_bytes()[..2];
        assert_eq!(text(cut.to_vec(), true, None).as_deref(), Some("a"));
        assert_eq!(text(cut.to_vec(), false, None).as_deref(), Some("aÃ"));
    }

    #[test]
    fn html_declares_its_encoding() {
        let page = b"<meta http-equiv='Content-Type' content='text/html; CHARSET=Shift_JIS'>";
        let declared = declared_in_html(page).expect("declared");
        assert_eq!(declared.name(), "Shift_JIS");
        let text = text(b"\x93\xfa\x96\x7b".to_vec(), false, Some(declared));
        assert_eq!(text.as_deref(), Some("日本"));
        assert_eq!(declared_in_html(b"<meta charset=\"utf-8\">").expect("it").name(), "UTF-8");
        assert!(declared_in_html(b"<p>none").is_none());
    }
}
