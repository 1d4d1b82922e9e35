//! What happens at one revision.

use crate::{Change, Revision};

/// All changes of one revision, each of another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) revision: Revision,
    pub(super) changes: Vec<Change>,
}

impl Change {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Delete { key, .. } => key,
        }
    }
}
