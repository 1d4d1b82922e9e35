//! Names that are parts of keys.

use std::fmt;
use std::str::FromStr;

use crate::RegistryError;

/// Longest name of a leaf, a replica group or a coordinator, in bytes: that of a DNS label (RFC 1035).
pub const NAME_BYTES_MAX: usize = 63;

/// A name that is not 1 to 63 of `a` to `z`, `0` to `9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} name {name:?} is not 1 to 63 of a-z, 0-9 and -")]
pub struct InvalidName {
    /// Whose: "leaf", "replica group" or "coordinator".
    pub kind: &'static str,
    /// What was given, at most its first 64 characters.
    pub name: String,
}

impl From<InvalidName> for RegistryError {
    fn from(error: InvalidName) -> Self {
        Self::Invalid { what: "name", problem: error.to_string() }
    }
}

fn is_valid(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks length and characters.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
                let name = name.as_ref();
                if is_valid(name) {
                    return Ok(Self(name.into()));
                }
                Err(InvalidName { kind: $kind, name: name.chars().take(NAME_BYTES_MAX + 1).collect() })
            }

            /// The name, as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                Self::new(name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// Name of a leaf, unique in its replica group: 1 to 63 of `a` to `z`, `0` to `9` and `-`.
    LeafName, "leaf"
);
name!(
    /// Name of a replica group: 1 to 63 of `a` to `z`, `0` to `9` and `-`.
    GroupName, "replica group"
);
name!(
    /// Name of a coordinator process: 1 to 63 of `a` to `z`, `0` to `9` and `-`.
    CoordinatorName, "coordinator"
);

#[cfg(test)]
mod tests {
    use nautilus_types::Class;

    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "leaf-1", "0", "-", &"x".repeat(63)] {
            assert_eq!(LeafName::new(name).expect("valid").as_str(), name);
        }
        for name in ["", "Leaf", "a/b", "a b", "a_b", "é", &"x".repeat(64)] {
            let error = GroupName::new(name).expect_err("refused");
            assert_eq!(error.kind, "replica group");
            assert_eq!(RegistryError::from(error).class(), Class::Invalid);
        }
    }
}
