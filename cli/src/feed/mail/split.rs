//! Where a message's head ends, and where the parts of its body begin and end. Linear, by lines.

/// The most bytes a head may have; what is beyond is body. Real ones have a few thousand.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Head and body of a message or of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entity<'a> {
    pub(super) head: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Entity<'a> {
    /// Of a whole message, which may begin with the separator line of a mailbox file.
    pub(super) fn of_message(bytes: &'a [u8]) -> Self {
        let mut rest = bytes;
        while is_mailbox_line(rest) {
            rest = after_line(rest);
        }
        Self::of_part(rest)
    }

    /// Of one part. A part that begins with an empty line has no head.
    pub(super) fn of_part(bytes: &'a [u8]) -> Self {
        let mut at = 0;
        for line in lines(bytes) {
            let is_end = trimmed(line).is_empty();
            if is_end || at + line.len() > HEAD_BYTES_MAX {
                let (head, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
                let body = if is_end { rest.get(line.len()..).unwrap_or_default() } else { rest };
                return Self { head, body };
            }
            at += line.len();
        }
        Self { head: bytes, body: &[] }
    }
}

/// `From somebody Thu Aug 22 …`, which separates messages in a mailbox file and is in none of them.
pub(super) fn is_mailbox_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"From ") || bytes.starts_with(b">From ")
}

/// What follows the first line.
pub(super) fn after_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
    bytes.get(end..).unwrap_or_default()
}

/// Lines with their ends.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

/// A line without its end.
pub(super) fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The parts of a multipart body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    pub(super) parts: Vec<&'a [u8]>,
    /// Whether there are more than were asked for.
    pub(super) has_more: bool,
    /// Whether the last one ends as it should.
    pub(super) is_closed: bool,
}

/// Cuts a body at its boundary (RFC 2046 section 5.1.1), into at most `parts_max` parts.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &[u8], parts_max: usize) -> Parts<'a> {
    let mut found = Parts { parts: Vec::new(), has_more: false, is_closed: false };
    let mut start = None;
    let mut at = 0;
    for line in lines(body) {
        let after = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary));
        // White space may follow a boundary, other characters make it another one.
        let delimiter = after.map(|after| after.trim_ascii_end());
        let is_last = delimiter == Some(b"--");
        if is_last || delimiter == Some(b"") {
            if let Some(start) = start
                && let Some(part) = body.get(start..at)
            {
                // The line end before a boundary belongs to the boundary.
                found.parts.push(trimmed(part));
            }
            if is_last {
                found.is_closed = true;
                return found;
            }
            if found.parts.len() == parts_max {
                found.has_more = true;
                return found;
            }
            start = Some(at + line.len());
        }
        at += line.len();
    }
    if let Some(part) = start.and_then(|start| body.get(start..)) {
        found.parts.push(part);
    }
    found
}
