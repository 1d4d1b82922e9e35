//! The id of a user, safe to show in logs and terminals.

use std::fmt;

/// Longest user id, in bytes.
pub const USER_ID_BYTES_MAX: usize = 128;

/// Id of a user: 1 to [`USER_ID_BYTES_MAX`] bytes of printable text. It is what a token's `sub` says.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(Box<str>);

/// Why a text is not a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUserId {
    /// The text is empty.
    #[error("user id is empty")]
    Empty,
    /// The text is over the bound.
    #[error("user id is {bytes} bytes long, at most {USER_ID_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The text has a character that people cannot see, or a space at an end.
    #[error("user id has a character that is not printable, at byte {position}")]
    NotPrintable {
        /// Where the first of them is, in bytes.
        position: usize,
    },
}

impl UserId {
    /// Checks length and characters.
    pub fn new(id: impl AsRef<str>) -> Result<Self, InvalidUserId> {
        let id = id.as_ref();
        if id.is_empty() {
            return Err(InvalidUserId::Empty);
        }
        if id.len() > USER_ID_BYTES_MAX {
            return Err(InvalidUserId::TooLong { bytes: id.len() });
        }
        match first_unprintable(id) {
            Some(position) => Err(InvalidUserId::NotPrintable { position }),
            None => Ok(Self(id.into())),
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Position of the first character that is a control, is invisible, or is white space other than
/// single bytes of space inside the text. Two ids that look the same must not differ by such.
pub(crate) fn first_unprintable(text: &str) -> Option<usize> {
    let last = text.char_indices().next_back().map_or(0, |(position, _)| position);
    text.char_indices()
        .find(|&(position, c)| {
            let at_end = position == 0 || position == last;
            c.is_control() || is_invisible(c) || (c.is_whitespace() && (c != ' ' || at_end))
        })
        .map(|(position, _)| position)
}

/// Characters of Unicode's category Cf that people meet in spoofed names: joiners, direction marks,
/// overrides and isolates, the soft hyphen, the byte order mark, tags.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_issuers_use() {
        for id in
            ["a", "ada@example.org", "auth0|5f7c", "Ada Lovelace", "Zoë", "用户", &"x".repeat(128)]
        {
            assert_eq!(UserId::new(id).expect("valid").as_str(), id);
        }
    }

    #[test]
    fn refuses_what_cannot_be_seen() {
        assert_eq!(UserId::new(""), Err(InvalidUserId::Empty));
        assert_eq!(UserId::new("x".repeat(129)), Err(InvalidUserId::TooLong { bytes: 129 }));
        for (id, position) in [
            ("a\0", 1),
            ("a\nb", 1),
            (" a", 0),
            ("a ", 1),
            (" ", 0),
            ("a\u{202e}b", 1),
            ("a\u{200b}b", 1),
            ("a\u{a0}b", 1),
            ("a\u{7f}", 1),
        ] {
            assert_eq!(UserId::new(id), Err(InvalidUserId::NotPrintable { position }), "{id:?}");
        }
    }
}
