//! Names of objects: the same on every implementation, and never a way out of its folder.

use std::fmt;

use crate::RepositoryError;

/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Longest part of a name, in bytes: below the 255 of common file systems.
pub const NAME_PART_BYTES_MAX: usize = 200;

/// Name of an object, or of the folder objects are in: parts of `A–Z a–z 0–9 . _ -` joined by
/// `/`, none of them empty, `.` or `..`. Ordered by its bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName(String);

impl ObjectName {
    /// Checks a name; [`RepositoryError::Invalid`] where it is none.
    pub fn new(name: impl Into<String>) -> Result<Self, RepositoryError> {
        let name = name.into();
        match problem(&name) {
            None => Ok(Self(name)),
            Some(problem) => Err(RepositoryError::Invalid {
                what: "object name",
                problem: format!("\"{}\" {problem}", shown(&name)),
            }),
        }
    }

    /// This name with more parts behind it.
    pub fn join(&self, parts: &str) -> Result<Self, RepositoryError> {
        Self::new(format!("{self}/{parts}"))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows `folder/`, where this name is beneath `folder`.
    #[must_use]
    pub fn beneath(&self, folder: &Self) -> Option<&str> {
        self.0.strip_prefix(folder.as_str())?.strip_prefix('/')
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

fn problem(name: &str) -> Option<&'static str> {
    if name.len() > NAME_BYTES_MAX {
        return Some("is longer than 512 bytes");
    }
    name.split('/').find_map(part_problem)
}

/// What is wrong with one part of a name.
pub(crate) fn part_problem(part: &str) -> Option<&'static str> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match part {
        "" => Some("has an empty part"),
        "." | ".." => Some("has a part that is a step of a path"),
        _ if part.len() > NAME_PART_BYTES_MAX => Some("has a part longer than 200 bytes"),
        _ if !part.bytes().all(is_allowed) => Some("has a character that is not allowed"),
        _ => None,
    }
}

/// A refused name as an error may show it: short, on one line.
pub(crate) fn shown(name: &str) -> String {
    name.escape_debug().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "a/b", ".a", "a..b", "...", "A-1_2.sst", &"x".repeat(200)] {
            assert_eq!(ObjectName::new(name).expect("allowed").as_str(), name);
        }
        let long = ["y".repeat(200).as_str(); 3].join("/");
        for name in ["", "/", "a/", "/a", "a//b", ".", "..", "a/../b", "a/.", "a b", "a\\b", "ä"] {
            assert!(ObjectName::new(name).is_err(), "{name:?}");
        }
        assert!(ObjectName::new("a\0").is_err());
        assert!(ObjectName::new("x".repeat(201)).is_err());
        assert!(ObjectName::new(long).is_err());
    }

    #[test]
    fn beneath_goes_by_whole_parts() {
        let name = |name: &str| ObjectName::new(name).expect("allowed");
        assert_eq!(name("a/b/c").beneath(&name("a")), Some("b/c"));
        assert_eq!(name("ab/c").beneath(&name("a")), None);
        assert_eq!(name("a").beneath(&name("a")), None);
        assert_eq!(name("a").join("b/c").expect("joined"), name("a/b/c"));
        assert!(name("a").join("../b").is_err());
    }
}
