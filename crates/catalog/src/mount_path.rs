//! Where a user sees a namespace in their own tree.

use std::fmt;

use crate::CatalogError;

/// Longest mount path, in bytes.
pub const MOUNT_PATH_BYTES_MAX: usize = 4 * 1024;
/// Most mounts of one user.
pub const MOUNTS_MAX: u32 = 1_000;

/// A path such as `Teams/Marketing`: parts of printable text separated by `/`, none of them empty, `.` or `..`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MountPath(Box<str>);

impl MountPath {
    /// Checks length and parts. `Invalid`.
    pub fn new(path: impl AsRef<str>) -> Result<Self, CatalogError> {
        let path = path.as_ref();
        let reason = if path.is_empty() {
            "is empty"
        } else if path.len() > MOUNT_PATH_BYTES_MAX {
            "is too long"
        } else if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "has a part that is empty, `.` or `..`"
        } else if path.split('/').any(|part| crate::user_id::first_unprintable(part).is_some()) {
            "has a character that is not printable"
        } else {
            return Ok(Self(path.into()));
        };
        Err(CatalogError::Invalid { what: "mount path", reason })
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_parts_that_people_can_see() {
        for path in ["a", "Teams/Marketing", "Zoë/2 x", &"x".repeat(MOUNT_PATH_BYTES_MAX)] {
            assert_eq!(MountPath::new(path).expect("valid").as_str(), path);
        }
        let long = "x".repeat(MOUNT_PATH_BYTES_MAX + 1);
        for path in ["", "/", "/a", "a/", "a//b", "a/../b", ".", "a\n", "a/\u{202e}b", &*long] {
            assert!(MountPath::new(path).is_err(), "{path:?}");
        }
    }
}
