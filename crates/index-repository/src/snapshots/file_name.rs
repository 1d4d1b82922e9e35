//! Names of the files of a snapshot: only those a RocksDB checkpoint has.

use std::fmt;

use crate::RepositoryError;
use crate::name::shown;

/// A plain file name: `NNNNNN.sst`, `NNNNNN.blob`, `CURRENT`, `MANIFEST-NNNNNN` or
/// `OPTIONS-NNNNNN`, each number of 6 to 12 digits. Nothing else of a partition is ever uploaded,
/// and nothing else is ever written by a download, whatever a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileName(String);

impl FileName {
    /// Checks a name; [`RepositoryError::Invalid`] where a snapshot cannot have such a file.
    pub fn new(name: impl Into<String>) -> Result<Self, RepositoryError> {
        let name = name.into();
        if is_allowed(&name) {
            return Ok(Self(name));
        }
        let problem = format!("\"{}\" is not a file of a snapshot", shown(&name));
        Err(RepositoryError::Invalid { what: "file name", problem })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_allowed(name: &str) -> bool {
    let number = name
        .strip_suffix(".sst")
        .or_else(|| name.strip_suffix(".blob"))
        .or_else(|| name.strip_prefix("MANIFEST-"))
        .or_else(|| name.strip_prefix("OPTIONS-"));
    match number {
        Some(number) => {
            (6..=12).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => name == "CURRENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_a_checkpoint_are_allowed() {
        let allowed = "000001.sst 123456789012.blob CURRENT MANIFEST-000004 OPTIONS-000007";
        for name in allowed.split(' ') {
            assert_eq!(FileName::new(name).expect("allowed").as_str(), name);
        }
        let refused = "00001.sst 1234567890123.sst 000001.log current CURRENT. MANIFEST- LOCK LOG \
            IDENTITY MANIFEST-00000x ../000001.sst a/000001.sst 000001.sst/ .. 000001.sst.sst \
            MANIFEST-000001.sst ００００１１.sst";
        for name in refused.split_ascii_whitespace().chain(["", "000001.sst\n", "CURRENT\0"]) {
            assert!(FileName::new(name).is_err(), "{name:?}");
        }
    }
}
