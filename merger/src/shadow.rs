//! Shadow searches: what a candidate build would have shown instead, compared with what was shown. Pure here; beside it
//! the queue of those that are due and how one is run.
//!
//! ```text
//! search ─► answer (the root offers a candidate) ─► sent to the client
//!              └─► due, if there is room ─► found and ranked again on the candidate ─► compared ─► tally, metrics
//! ```

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use nautilus_types::DocumentId;

use crate::rank::Namespace;

mod metrics;
mod queue;
mod run;
mod tally;

pub(crate) use queue::{Job, Shadows};
pub use tally::{Outcome, Tally};

/// One build's answer, as far as it is compared: a ranked page and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The page's documents, the best first; none twice.
    pub documents: Vec<(Namespace, DocumentId)>,
    /// Matches over all pages.
    pub total_hits: u64,
    /// Partitions are missing.
    pub is_partial: bool,
    /// Its time budget ended early.
    pub is_truncated: bool,
    /// From the question to the ranked page.
    pub took: Duration,
}

impl Answered {
    fn is_whole(&self) -> bool {
        !self.is_partial && !self.is_truncated
    }
}

/// How a candidate's answer differs from the one that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// None where one of them is not whole: then pages differ for reasons that are not the build's.
    pub pages: Option<Pages>,
    /// Partitions are missing: of what was shown, of the candidate.
    pub are_partial: (bool, bool),
    /// The time budget ended early: of what was shown, of the candidate.
    pub are_truncated: (bool, bool),
    /// How long each took: what was shown, the candidate.
    pub took: (Duration, Duration),
}

/// Two pages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pages {
    /// Documents on both, divided by the length of the longer one; 1 where both are empty.
    pub overlap: f64,
    /// They are the same.
    pub are_equal: bool,
    /// They begin with the same document, or both with none.
    pub is_same_first: bool,
    /// Matches that the candidate counted, against those shown.
    pub hits: Ordering,
}

/// Compares what was shown with what the candidate answered.
#[must_use]
pub fn compare(shown: &Answered, candidate: &Answered) -> Comparison {
    let are_whole = shown.is_whole() && candidate.is_whole();
    Comparison {
        pages: are_whole.then(|| Pages {
            overlap: overlap(shown, candidate),
            are_equal: shown.documents == candidate.documents,
            is_same_first: shown.documents.first() == candidate.documents.first(),
            hits: candidate.total_hits.cmp(&shown.total_hits),
        }),
        are_partial: (shown.is_partial, candidate.is_partial),
        are_truncated: (shown.is_truncated, candidate.is_truncated),
        took: (shown.took, candidate.took),
    }
}

fn overlap(shown: &Answered, candidate: &Answered) -> f64 {
    let of_shown: BTreeSet<_> = shown.documents.iter().collect();
    let shared = candidate.documents.iter().filter(|it| of_shown.contains(it)).count();
    let longest = shown.documents.len().max(candidate.documents.len());
    // Pages are short.
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if longest == 0 { 1.0 } else { number(shared) / number(longest) }
}

#[cfg(test)]
mod tests;
