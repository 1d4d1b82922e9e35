//! Whether a file of no telling name is a message.

use super::split::{after_line, is_mailbox_line, lines, trimmed};

/// Lines looked at.
const LINES_MAX: usize = 200;

/// Lines of a head that may be no fields: programs of all times have put things there.
const ODD_LINES_MAX: usize = 3;

/// Fields that only what was sent has.
const TRANSPORT: &[&[u8]] =
    &[b"received", b"return-path", b"message-id", b"delivered-to", b"mime-version"];

/// Fields that people see.
const SEEN: &[&[u8]] = &[b"from", b"to", b"subject", b"date"];

/// Whether it begins with the fields of a message: a text that merely has a line `From:` on top is none.
pub(in crate::feed) fn looks_like_mail(bytes: &[u8]) -> bool {
    let (mut has_transport, mut rest) = (false, bytes);
    while is_mailbox_line(rest) {
        has_transport = true;
        rest = after_line(rest);
    }
    let mut seen = [false; 4];
    let mut odd = 0;
    for (number, line) in lines(rest).take(LINES_MAX).enumerate() {
        let line = trimmed(line);
        if line.is_empty() {
            break;
        }
        let is_continued = number > 0 && (line.starts_with(b" ") || line.starts_with(b"\t"));
        if is_continued {
            continue;
        }
        let Some(name) = field_name(line) else {
            odd += 1;
            if number == 0 || odd > ODD_LINES_MAX {
                return false;
            }
            continue;
        };
        let is = |known: &&[u8]| name.eq_ignore_ascii_case(known);
        has_transport |= TRANSPORT.iter().any(is);
        if let Some(place) = SEEN.iter().position(is).and_then(|at| seen.get_mut(at)) {
            *place = true;
        }
    }
    has_transport && seen.iter().filter(|seen| **seen).count() >= 2
}

/// Printable characters before a colon (RFC 5322 section 2.2).
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let end = line.iter().position(|byte| *byte == b':')?;
    let name = line.get(..end)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}
