//! The versions there are, side by side: what distinguishes them beyond cutting and folding.

use std::borrow::Cow;

use crate::{Analyzer, TOKEN_BYTES_MAX, plurals};

/// The version of partitions that are fed from the log alone, and of those nobody says otherwise of.
pub const ANALYZER_VERSION: u32 = 1;

/// The newest version there is; all from 1 up to it can be had.
pub const ANALYZER_VERSION_MAX: u32 = 2;

/// What is done to a folded token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Nothing.
    Plain,
    /// An English plural becomes its singular.
    Singular,
}

impl Version {
    pub(crate) fn of(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Plain),
            2 => Some(Self::Singular),
            _ => None,
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Plain => 1,
            Self::Singular => 2,
        }
    }
}

impl Analyzer {
    /// What this version makes of a token of version 1. Idempotent; a token of its own stays as it is.
    ///
    /// All versions cut and fold text alike, so a query that was analysed once, by version 1, is good for
    /// partitions of every version: each maps its tokens by this.
    #[must_use]
    pub fn normalized<'t>(&self, token: &'t str) -> Cow<'t, str> {
        match self.version {
            Version::Plain => Cow::Borrowed(token),
            Version::Singular => plurals::singular(token),
        }
    }

    /// Whether [`Self::normalized`] changes no token at all.
    #[must_use]
    pub fn keeps_tokens(&self) -> bool {
        self.version == Version::Plain
    }

    /// Whether a run of ASCII letters and digits alone, in whatever case, becomes `token`.
    #[must_use]
    pub fn ascii_becomes(&self, run: &[u8], token: &str) -> bool {
        let cut = &run[..run.len().min(TOKEN_BYTES_MAX)];
        match self.version {
            Version::Plain => cut.eq_ignore_ascii_case(token.as_bytes()),
            Version::Singular => {
                let begins = self.common_beginning(token).as_bytes();
                // Nearly every run that is looked at fails here.
                cut.get(..begins.len()).is_some_and(|head| head.eq_ignore_ascii_case(begins))
                    && std::str::from_utf8(cut)
                        .is_ok_and(|run| plurals::singular(&run.to_ascii_lowercase()) == token)
            }
        }
    }

    /// What every word begins with, up to case and folding, that becomes `token`.
    #[must_use]
    pub fn common_beginning<'t>(&self, token: &'t str) -> &'t str {
        match self.version {
            Version::Plain => token,
            Version::Singular => plurals::common_beginning(token),
        }
    }
}
