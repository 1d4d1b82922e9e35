//! One window of ordinals of one namespace: its lists, and which of its documents match.

use std::ops::Range;

use nautilus_query::scoring::weighted_frequency;

use super::Budget;
use super::bits::Bits;
use super::phrase::Texts;
use super::plan::{Expression, Leaf, List, ListIndex, Phrase, Plan};
use crate::error::EngineError;
use crate::keys::{NamespaceNumber, Ordinal};
use crate::postings::{Posting, PostingReader, Scan};
use crate::read::Searcher;
use crate::rows::posting::Frequencies;

/// What is known of one list, or of one phrase, in the window.
struct Members {
    /// Ascending by ordinal.
    postings: Vec<Posting>,
    bits: Bits,
}

/// The window being searched; its memory serves all windows of a namespace.
pub(super) struct Window {
    range: Range<Ordinal>,
    lists: Vec<Members>,
    /// Whole lists of prefixes, ascending by ordinal; empty for tokens.
    prefixes: Vec<Vec<Posting>>,
    /// A phrase's bits are those of its tokens together until it is verified.
    phrases: Vec<Members>,
    matched: Bits,
}

/// Whether an evaluation may take a phrase's bits for the documents where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phrases {
    /// Its bits are those of its tokens together: they may hold too many documents.
    Possible,
    /// Each bit of a survivor has been checked in its text.
    Verified,
}

impl Window {
    pub(super) fn new(plan: &Plan) -> Self {
        let members = || Members { postings: Vec::new(), bits: Bits::none(0) };
        Self {
            range: 0..0,
            lists: plan.lists.iter().map(|_| members()).collect(),
            prefixes: plan.lists.iter().map(|_| Vec::new()).collect(),
            phrases: plan.phrases.iter().map(|_| members()).collect(),
            matched: Bits::none(0),
        }
    }

    /// Reads the whole list of every prefix: its rows are ordered by token, not by ordinal.
    pub(super) fn read_prefixes(
        &mut self,
        plan: &Plan,
        postings: &mut dyn PostingReader,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        for (list, whole) in plan.lists.iter().zip(&mut self.prefixes) {
            if !list.is_prefix {
                continue;
            }
            if postings.read_prefix(&list.text, budget, whole)? == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
            whole.sort_unstable_by_key(|posting| posting.ordinal);
            whole.dedup_by(|next, kept| {
                let same = next.ordinal == kept.ordinal;
                if same {
                    for (sum, more) in kept.frequencies.0.iter_mut().zip(next.frequencies.0) {
                        *sum = sum.saturating_add(more);
                    }
                }
                same
            });
            whole.retain(|posting| is_member(list, posting));
        }
        Ok(Scan::Complete)
    }

    /// Reads every list's part in `range` and finds the documents that match, phrases taken for their tokens.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        range: Range<Ordinal>,
        postings: &mut dyn PostingReader,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let len = range.len();
        self.range = range.clone();
        for (index, list) in plan.lists.iter().enumerate() {
            let members = &mut self.lists[index];
            members.postings.clear();
            members.bits.reset(len);
            if list.is_prefix {
                let whole = &self.prefixes[index];
                let from = whole.partition_point(|posting| posting.ordinal < range.start);
                let until = whole.partition_point(|posting| posting.ordinal < range.end);
                members.postings.extend_from_slice(&whole[from..until]);
            } else {
                let scan = postings.read_token(
                    &list.text,
                    range.clone(),
                    budget,
                    &mut members.postings,
                )?;
                if scan == Scan::Exhausted {
                    return Ok(Scan::Exhausted);
                }
                members.postings.retain(|posting| is_member(list, posting));
            }
            for posting in &members.postings {
                members.bits.set(index_in(&range, posting.ordinal));
            }
        }
        for (phrase, members) in plan.phrases.iter().zip(&mut self.phrases) {
            members.postings.clear();
            members.bits = conjunction(phrase, &self.lists, len);
        }
        self.matched = self.evaluate(&plan.expression, Phrases::Possible);
        Ok(Scan::Complete)
    }

    /// Reads the texts of the documents that may match and keeps those where the phrases stand.
    pub(super) fn verify_phrases(
        &mut self,
        searcher: &Searcher<'_>,
        ns: NamespaceNumber,
        plan: &Plan,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        if plan.phrases.is_empty() {
            return Ok(Scan::Complete);
        }
        let survivors: Vec<usize> = self.matched.ones().collect();
        for index in survivors {
            let ordinal = self.ordinal(index);
            let mut texts = Texts::new(searcher, ns, ordinal);
            for (number, phrase) in plan.phrases.iter().enumerate() {
                if !self.phrases[number].bits.contains(index) {
                    continue;
                }
                if budget.is_exhausted() {
                    return Ok(Scan::Exhausted);
                }
                let possible = self.fields_with_all(phrase, ordinal);
                let frequencies = texts.frequencies(phrase, possible)?;
                let members = &mut self.phrases[number];
                if frequencies.is_empty() {
                    members.bits.clear(index);
                } else {
                    members.postings.push(Posting { ordinal, frequencies });
                }
            }
        }
        let exact = self.evaluate(&plan.expression, Phrases::Verified);
        self.matched.and(&exact);
        Ok(Scan::Complete)
    }

    /// Adds how many documents each list has in this window.
    pub(super) fn count_documents(&self, frequencies: &mut [u64]) {
        for (sum, members) in frequencies.iter_mut().zip(&self.lists) {
            *sum += members.postings.len() as u64;
        }
    }

    /// Leaves out a document that the filter does not accept.
    pub(super) fn exclude(&mut self, ordinal: Ordinal) {
        self.matched.clear(index_in(&self.range, ordinal));
    }

    /// The ordinals that match, ascending.
    pub(super) fn matched(&self) -> impl Iterator<Item = Ordinal> + '_ {
        self.matched.ones().map(|index| self.ordinal(index))
    }

    /// The weighted frequencies of a scoring leaf, ascending by ordinal, also of documents that do not match.
    pub(super) fn weighted(
        &self,
        plan: &Plan,
        leaf: Leaf,
    ) -> impl Iterator<Item = (Ordinal, u32)> + '_ {
        let (postings, fields) = match leaf {
            Leaf::List(list) => (&self.lists[list].postings, plan.lists[list].fields),
            Leaf::Phrase(phrase) => (&self.phrases[phrase].postings, plan.phrases[phrase].fields),
        };
        postings.iter().map(move |posting| {
            (posting.ordinal, weighted_frequency(posting.frequencies.0, fields))
        })
    }

    fn ordinal(&self, index: usize) -> Ordinal {
        // A window has at most WINDOW_MAX ordinals.
        self.range.start.saturating_add(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn fields_with_all(&self, phrase: &Phrase, ordinal: Ordinal) -> [bool; 3] {
        let mut all = [true; 3];
        for &list in &phrase.lists {
            let frequencies = self.frequencies(list, ordinal);
            for (all, frequency) in all.iter_mut().zip(frequencies.0) {
                *all &= frequency > 0;
            }
        }
        all
    }

    fn frequencies(&self, list: ListIndex, ordinal: Ordinal) -> Frequencies {
        let postings = &self.lists[list].postings;
        match postings.binary_search_by_key(&ordinal, |posting| posting.ordinal) {
            Ok(at) => postings[at].frequencies,
            Err(_) => Frequencies::default(),
        }
    }

    /// The documents for which the expression holds. Before phrases are verified, a negation that
    /// holds one excludes nothing, and so the result holds every document that matches.
    fn evaluate(&self, expression: &Expression, phrases: Phrases) -> Bits {
        match expression {
            Expression::List(list) => self.lists[*list].bits.clone(),
            Expression::Phrase(phrase) => self.phrases[*phrase].bits.clone(),
            Expression::Or(children) => {
                let mut any = Bits::none(self.range.len());
                for child in children {
                    any.or(&self.evaluate(child, phrases));
                }
                any
            }
            Expression::And(children) => {
                let mut all: Option<Bits> = None;
                for child in children.iter().filter(|child| !is_negation(child)) {
                    let bits = self.evaluate(child, phrases);
                    match &mut all {
                        Some(all) => all.and(&bits),
                        None => all = Some(bits),
                    }
                }
                // Without a positive member nothing matches: a well-formed tree has one.
                let mut all = all.unwrap_or_else(|| Bits::none(self.range.len()));
                for child in children {
                    if let Expression::Not(inner) = child
                        && (phrases == Phrases::Verified || !holds_phrase(inner))
                    {
                        all.and_not(&self.evaluate(inner, phrases));
                    }
                }
                all
            }
            // Only members of an `And` may be negations.
            Expression::Not(_) => Bits::none(self.range.len()),
        }
    }
}

fn is_member(list: &List, posting: &Posting) -> bool {
    weighted_frequency(posting.frequencies.0, list.fields) > 0
}

fn index_in(range: &Range<Ordinal>, ordinal: Ordinal) -> usize {
    usize::try_from(ordinal.saturating_sub(range.start)).unwrap_or(usize::MAX)
}

fn conjunction(phrase: &Phrase, lists: &[Members], len: usize) -> Bits {
    let mut parts = phrase.lists.iter().map(|&list| &lists[list].bits);
    let mut all = parts.next().cloned().unwrap_or_else(|| Bits::none(len));
    parts.for_each(|part| all.and(part));
    all
}

fn is_negation(expression: &Expression) -> bool {
    matches!(expression, Expression::Not(_))
}

fn holds_phrase(expression: &Expression) -> bool {
    match expression {
        Expression::Phrase(_) => true,
        Expression::List(_) => false,
        Expression::Not(inner) => holds_phrase(inner),
        Expression::And(children) | Expression::Or(children) => children.iter().any(holds_phrase),
    }
}
