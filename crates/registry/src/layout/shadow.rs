//! Which share of searches is also run on a candidate build.

use super::markings::Note;

/// [`ShadowSearches::share_per_million`] of all searches.
pub const SHARE_ALL: u32 = 1_000_000;

/// A share of searches is run a second time, on a candidate build, and what both found is compared. Where there is none
/// no search is. `shadow/candidate`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowSearches {
    /// The candidate; `None` = what is fed from the log alone.
    pub build: Option<String>,
    /// How many of a million searches, 1 to [`SHARE_ALL`].
    pub share_per_million: u32,
    /// Who decided that and why.
    pub note: Note,
    /// When, in milliseconds since 1970.
    pub placed_unix_ms: u64,
}

impl ShadowSearches {
    /// What to list and watch.
    pub const PREFIX: &str = "shadow/";
    /// Where it stands: of a cluster, not of a group, since groups exchange their builds.
    pub const KEY: &str = "shadow/candidate";

    /// The build as labels name it: empty where it has no name.
    #[must_use]
    pub fn label(&self) -> &str {
        self.build.as_deref().unwrap_or_default()
    }
}
