//! Which build a replica group runs.

use super::markings::Note;

/// A build as leaves need to know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildRef {
    /// Its name; `None` = no build: what is fed from the log alone.
    pub name: Option<String>,
    /// Which makes its tokens, from 1.
    pub analyzer_version: u32,
}

impl BuildRef {
    /// What a group runs of which nobody said otherwise.
    #[must_use]
    pub fn of_log() -> Self {
        Self { name: None, analyzer_version: 1 }
    }

    /// The name as labels have it: empty where there is none.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// Which build the leaves of a replica group are to serve. Where there is none it is [`BuildRef::of_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupBuild {
    /// From now on.
    pub build: BuildRef,
    /// What it was before, to go back to; `None` where there is nothing to go back to, or it was gone back to.
    pub previous: Option<BuildRef>,
    /// Who decided that and why.
    pub note: Note,
    /// When, in milliseconds since 1970.
    pub placed_unix_ms: u64,
}
