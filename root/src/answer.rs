//! What a leaf's answer must be before anything is made of it. Pure: a leaf may be of another
//! version or broken, and one wrong answer must not spoil the others.

use std::collections::HashSet;

use nautilus_proto::common::v1::PartitionLabel;
use nautilus_proto::leaf::v1::{
    Candidate, FetchResponse, ListResponse, SearchResponse, Statistics, SuggestResponse,
};
use nautilus_types::DocumentId;

use crate::plan::Part;

/// Why an answer is not one to what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// It does not say what it shows.
    #[error("the answer has no label")]
    NoLabel,
    /// It is another partition's.
    #[error("the answer is of partition {found}")]
    OtherPartition {
        /// Whose.
        found: u32,
    },
    /// It shows less than was asked for.
    #[error("the answer shows offset {found}, at least {asked} was asked for")]
    TooOld {
        /// What it shows.
        found: u64,
        /// What was asked for.
        asked: u64,
    },
    /// It holds more than was asked for, or, of a fetch, not exactly as much.
    #[error("the answer has {found} entries, {asked} were asked for")]
    Count {
        /// How many it has.
        found: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// A candidate is of a namespace that was not asked about.
    #[error("a candidate is of namespace {index}, {count} were asked about")]
    NamespaceIndex {
        /// Its index.
        index: u32,
        /// How many were asked about.
        count: usize,
    },
    /// A document id cannot be one, comes twice, or is out of order.
    #[error("a document id is malformed, repeated or out of order")]
    DocumentId,
    /// The number of frequencies is not that of the query's scoring leaves.
    #[error("there are {found} frequencies, the query has {asked} scoring leaves")]
    Frequencies {
        /// How many there are.
        found: usize,
        /// How many the query has.
        asked: usize,
    },
    /// There are no statistics, or they contradict themselves or the candidates.
    #[error("the statistics are missing or contradict themselves")]
    Statistics,
    /// A score is no number.
    #[error("a score is not a number")]
    Score,
    /// A word does not begin as asked, or comes twice.
    #[error("a word does not begin with the prefix, or is repeated")]
    Word,
}

/// What every answer of a leaf says of itself.
pub trait Labelled {
    /// Its label.
    fn label(&self) -> Option<&PartitionLabel>;
    /// Its label, to be amended.
    fn label_mut(&mut self) -> Option<&mut PartitionLabel>;
}

macro_rules! labelled {
    ($($answer:ty),* $(,)?) => {$(
        impl Labelled for $answer {
            fn label(&self) -> Option<&PartitionLabel> {
                self.label.as_ref()
            }

            fn label_mut(&mut self) -> Option<&mut PartitionLabel> {
                self.label.as_mut()
            }
        }
    )*};
}

labelled!(SearchResponse, SuggestResponse, FetchResponse, ListResponse);

/// What a search answer is checked against.
#[derive(Debug, Clone, Copy)]
pub struct SearchRules {
    /// Candidates asked for.
    pub limit: u32,
    /// Scoring leaves of the query.
    pub scoring_leaves: usize,
    /// The statistics were given with the request, so they need not be those of the documents found.
    pub are_statistics_given: bool,
}

/// Checks a search answer.
pub fn check_search(
    part: &Part,
    rules: &SearchRules,
    answer: &SearchResponse,
) -> Result<(), AnswerProblem> {
    let scoring_leaves = rules.scoring_leaves;
    check_label(part, answer.label.as_ref())?;
    check_count_max(answer.candidates.len(), rules.limit)?;
    let statistics = answer.statistics.as_ref().ok_or(AnswerProblem::Statistics)?;
    check_frequencies(statistics.document_frequencies.len(), scoring_leaves)?;
    if !rules.are_statistics_given {
        check_statistics(statistics, answer.total_hits)?;
    }
    let mut seen = HashSet::with_capacity(answer.candidates.len());
    for candidate in &answer.candidates {
        check_candidate(part, scoring_leaves, candidate)?;
        if !seen.insert((candidate.namespace_index, &candidate.document_id)) {
            return Err(AnswerProblem::DocumentId);
        }
    }
    Ok(())
}

/// Checks the words of a suggest answer.
pub fn check_suggest(
    part: &Part,
    prefix: &str,
    limit: u32,
    answer: &SuggestResponse,
) -> Result<(), AnswerProblem> {
    check_label(part, answer.label.as_ref())?;
    check_count_max(answer.suggestions.len(), limit)?;
    let mut seen = HashSet::with_capacity(answer.suggestions.len());
    for suggestion in &answer.suggestions {
        if !suggestion.token.starts_with(prefix) || !seen.insert(&suggestion.token) {
            return Err(AnswerProblem::Word);
        }
    }
    Ok(())
}

/// Checks a fetch answer.
pub fn check_fetch(part: &Part, answer: &FetchResponse) -> Result<(), AnswerProblem> {
    check_label(part, answer.label.as_ref())?;
    let (found, asked) = (answer.documents.len(), part.indexes.len());
    if found == asked { Ok(()) } else { Err(AnswerProblem::Count { found, asked }) }
}

/// Checks a list answer: ids after `after`, ascending.
pub fn check_list(
    part: &Part,
    after: &[u8],
    limit: u32,
    answer: &ListResponse,
) -> Result<(), AnswerProblem> {
    check_label(part, answer.label.as_ref())?;
    check_count_max(answer.documents.len(), limit)?;
    if answer.documents.is_empty() && !answer.is_last {
        // Nobody could ask for what comes next.
        return Err(AnswerProblem::Count { found: 0, asked: 1 });
    }
    let mut last = after;
    for document in &answer.documents {
        let id = &document.document_id;
        if DocumentId::new(id).is_err() || id.as_slice() <= last {
            return Err(AnswerProblem::DocumentId);
        }
        last = id;
    }
    Ok(())
}

fn check_label(part: &Part, label: Option<&PartitionLabel>) -> Result<(), AnswerProblem> {
    let label = label.ok_or(AnswerProblem::NoLabel)?;
    if label.partition != part.partition.0 {
        return Err(AnswerProblem::OtherPartition { found: label.partition });
    }
    if label.next_offset < part.min_next_offset {
        let (found, asked) = (label.next_offset, part.min_next_offset);
        return Err(AnswerProblem::TooOld { found, asked });
    }
    Ok(())
}

fn check_count_max(found: usize, limit: u32) -> Result<(), AnswerProblem> {
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    if found > asked { Err(AnswerProblem::Count { found, asked }) } else { Ok(()) }
}

/// Of the partition's own statistics: nothing is in more documents than there are.
fn check_statistics(statistics: &Statistics, total_hits: u64) -> Result<(), AnswerProblem> {
    let documents = statistics.documents;
    if total_hits > documents || statistics.document_frequencies.iter().any(|&df| df > documents) {
        return Err(AnswerProblem::Statistics);
    }
    Ok(())
}

fn check_candidate(
    part: &Part,
    scoring_leaves: usize,
    candidate: &Candidate,
) -> Result<(), AnswerProblem> {
    let index = candidate.namespace_index;
    let is_asked = usize::try_from(index).is_ok_and(|index| index < part.indexes.len());
    if !is_asked {
        return Err(AnswerProblem::NamespaceIndex { index, count: part.indexes.len() });
    }
    if DocumentId::new(&candidate.document_id).is_err() {
        return Err(AnswerProblem::DocumentId);
    }
    if candidate.local_score.is_nan() {
        return Err(AnswerProblem::Score);
    }
    check_frequencies(candidate.frequencies.len(), scoring_leaves)
}

fn check_frequencies(found: usize, asked: usize) -> Result<(), AnswerProblem> {
    if found == asked { Ok(()) } else { Err(AnswerProblem::Frequencies { found, asked }) }
}
