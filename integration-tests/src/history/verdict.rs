//! What a check found.

use std::fmt;

/// Something that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How much there is to look at; the smallest example is shown.
    pub size: u64,
    /// What is wrong, where, and what would have been right.
    pub text: String,
}

/// What was looked at, and what of it was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Looked at.
    pub checked: usize,
    /// Not looked at, for it says of itself that it is no whole answer.
    pub passed_over: usize,
    /// Of those looked at: ranked by figures of the scope that are not those at their labels.
    pub by_other_figures: usize,
    /// Wrong.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// The one that is easiest to understand.
    #[must_use]
    pub fn smallest(&self) -> Option<&Difference> {
        self.differences.iter().min_by_key(|difference| difference.size)
    }

    pub(super) fn differs(&mut self, size: usize, text: String) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        self.differences.push(Difference { size, text });
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
