//! One chunk of ordinals of one namespace: its lists, and which of its documents match.

use std::borrow::Cow;
use std::ops::Range;

use super::Budget;
use super::phrase::PhraseChecker;
use super::plan::{Expression, Leaf, List, ListKind, Phrase, Plan};
use crate::bits::Bits;
use crate::error::EngineError;
use crate::keys::{self, Chunk, Ordinal};
use crate::postings::{CHUNK_BITS, Column, Found, PostingReader, PrefixSums, Scan, Term, Weights};

/// What is known of one list.
struct Members {
    weights: Weights,
    /// Its postings in the chunk; for a prefix only the bits are used.
    column: Column,
    /// The whole list of a prefix; its rows are ordered by token, not by ordinal.
    sums: Option<PrefixSums>,
    /// No posting stands in a chunk before this; None: in no chunk any more.
    next: Option<Chunk>,
    /// Bits of a prefix in this chunk.
    prefix_bits: Bits,
}

/// What is known of one phrase.
struct Occurrences {
    weights: Weights,
    /// Those of its tokens together until each bit of a survivor has been checked in its text.
    bits: Bits,
    /// Where it stands.
    column: Column,
}

/// The chunk being searched; its memory serves all chunks of all namespaces of a search.
pub(super) struct Window {
    chunk: Chunk,
    lists: Vec<Members>,
    phrases: Vec<Occurrences>,
    /// Documents of the chunk that match, phrases taken for their tokens.
    possible: Bits,
    /// The indexes being looked at.
    slice: Range<usize>,
    /// Documents of the slice that match.
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
        let members = |list: &List| Members {
            weights: Weights::of(list.fields),
            column: Column::new(),
            sums: None,
            next: Some(0),
            prefix_bits: Bits::none(CHUNK_BITS),
        };
        let occurrences = |phrase: &Phrase| Occurrences {
            weights: Weights::of(phrase.fields),
            bits: Bits::none(CHUNK_BITS),
            column: Column::new(),
        };
        Self {
            chunk: 0,
            lists: plan.lists.iter().map(members).collect(),
            phrases: plan.phrases.iter().map(occurrences).collect(),
            possible: Bits::none(CHUNK_BITS),
            slice: 0..0,
            matched: Bits::none(CHUNK_BITS),
        }
    }

    /// Forgets what it knows of the namespace before.
    pub(super) fn begin_namespace(&mut self) {
        for members in &mut self.lists {
            members.sums = None;
            members.next = Some(0);
        }
    }

    /// Reads the whole list of every prefix.
    pub(super) fn read_prefixes(
        &mut self,
        plan: &Plan,
        postings: &mut dyn PostingReader,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        for (list, members) in plan.lists.iter().zip(&mut self.lists) {
            if list.kind != ListKind::Prefix {
                continue;
            }
            let (sums, scan) = postings.read_prefix(&list.text, list.fields, budget)?;
            if scan == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
            members.sums = Some(sums);
        }
        Ok(Scan::Complete)
    }

    /// Reads every list's part in `chunk` and finds the documents that may match.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        chunk: Chunk,
        postings: &mut dyn PostingReader,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        self.chunk = chunk;
        for (list, members) in plan.lists.iter().zip(&mut self.lists) {
            let term = match list.kind {
                ListKind::Token => Term::Token(&list.text),
                ListKind::Pair => Term::Pair(&list.text),
                ListKind::Prefix => {
                    members.take_sums(chunk);
                    continue;
                }
            };
            members.column.clear();
            if members.next.is_none_or(|next| next > chunk) {
                continue;
            }
            if budget.is_exhausted() {
                return Ok(Scan::Exhausted);
            }
            members.next = match postings.read_term(term, chunk, &mut members.column)? {
                Found::Here => Some(chunk.saturating_add(1)),
                Found::From(later) => Some(later),
                Found::End => None,
            };
            members.column.retain(&members.weights);
        }
        for (number, phrase) in plan.phrases.iter().enumerate() {
            let bits = self.conjunction(phrase);
            let occurrences = &mut self.phrases[number];
            occurrences.bits = bits;
            occurrences.column.clear();
        }
        self.possible = self.evaluate(&plan.expression, Phrases::Possible).into_owned();
        self.slice = 0..0;
        Ok(Scan::Complete)
    }

    /// Goes on to the next `len` ordinals of the chunk among which documents may match; false where there are none.
    pub(super) fn next_slice(&mut self, len: usize) -> bool {
        while self.slice.end < CHUNK_BITS {
            self.slice = self.slice.end..self.slice.end.saturating_add(len);
            if self.matched.copy_part(&self.possible, self.slice.clone()) {
                return true;
            }
        }
        false
    }

    /// Leaves out a document of the slice that the filter does not accept.
    pub(super) fn exclude(&mut self, ordinal: Ordinal) {
        self.matched.clear(usize::from(keys::chunk_of(ordinal).1));
    }

    /// Reads the texts of the slice's documents that may match and keeps those where the phrases stand.
    /// `Exhausted`: only those before the one that was next are kept.
    pub(super) fn verify_phrases(
        &mut self,
        checker: &mut PhraseChecker<'_>,
        plan: &Plan,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        if plan.phrases.is_empty() {
            return Ok(Scan::Complete);
        }
        let mut scan = Scan::Complete;
        let survivors = self.matched.clone();
        'survivors: for index in survivors.ones() {
            let mut document = checker.document(self.ordinal(index));
            for (number, phrase) in plan.phrases.iter().enumerate() {
                if !self.phrases[number].bits.contains(index) {
                    continue;
                }
                let possible = self.fields_with_all(phrase, index);
                let counted = if budget.is_exhausted() {
                    None
                } else {
                    document.frequencies(number, phrase, possible, budget)?
                };
                let Some(frequencies) = counted else {
                    self.matched.truncate(index);
                    scan = Scan::Exhausted;
                    break 'survivors;
                };
                let occurrences = &mut self.phrases[number];
                if frequencies.is_empty() {
                    occurrences.bits.clear(index);
                } else if let Ok(index) = u16::try_from(index) {
                    occurrences.column.push_frequencies(index, frequencies);
                }
            }
        }
        self.phrases.iter_mut().for_each(|occurrences| occurrences.column.seal());
        let exact = self.evaluate(&plan.expression, Phrases::Verified).into_owned();
        self.matched.and(&exact);
        Ok(scan)
    }

    /// Adds how many documents each list has in this chunk.
    pub(super) fn count_documents(&self, frequencies: &mut [u64]) {
        for (sum, members) in frequencies.iter_mut().zip(&self.lists) {
            *sum += match &members.sums {
                Some(_) => members.prefix_bits.ones().count() as u64,
                None => members.column.len() as u64,
            };
        }
    }

    /// The ordinals that match, ascending.
    pub(super) fn matched(&self) -> impl Iterator<Item = Ordinal> + '_ {
        self.matched.ones().map(|index| self.ordinal(index))
    }

    /// Calls `f` with the weighted frequency of a scoring leaf in each of the slice's documents that match and
    /// have it, and the ordinal, ascending.
    pub(super) fn for_each_weight(&self, leaf: Leaf, mut f: impl FnMut(Ordinal, u32)) {
        let matched = &self.matched;
        let slice = self.slice.clone();
        match leaf {
            Leaf::List(list) | Leaf::Pair { list, .. } => {
                let members = &self.lists[list];
                let sums = members.sums.as_ref().map(|sums| sums.chunk(self.chunk));
                for index in matched.ones_of_both(members.bits(), slice) {
                    let weight = match sums {
                        Some(sums) => sums.and_then(|sums| sums.get(index)).copied().unwrap_or(0),
                        None => members.column.weighted(index, &members.weights),
                    };
                    f(self.ordinal(index), weight);
                }
            }
            Leaf::Phrase(phrase) => {
                let Occurrences { column, weights, .. } = &self.phrases[phrase];
                for index in matched.ones_of_both(column.bits(), slice) {
                    f(self.ordinal(index), column.weighted(index, weights));
                }
            }
        }
    }

    fn ordinal(&self, index: usize) -> Ordinal {
        // An index is below the ordinals of a chunk.
        keys::first_ordinal(self.chunk) | u32::try_from(index).unwrap_or(0)
    }

    fn fields_with_all(&self, phrase: &Phrase, index: usize) -> [bool; 3] {
        let mut all = [true; 3];
        for &list in &phrase.lists {
            let frequencies = self.lists[list].column.frequencies(index);
            for (all, frequency) in all.iter_mut().zip(frequencies.0) {
                *all &= frequency > 0;
            }
        }
        all
    }

    fn conjunction(&self, phrase: &Phrase) -> Bits {
        let mut parts = phrase.lists.iter().map(|&list| self.lists[list].bits());
        let mut all = parts.next().cloned().unwrap_or_else(|| Bits::none(CHUNK_BITS));
        parts.for_each(|part| all.and(part));
        all
    }

    /// The documents for which the expression holds. Before phrases are verified, a negation that
    /// holds one excludes nothing, and so the result holds every document that matches.
    fn evaluate(&self, expression: &Expression, phrases: Phrases) -> Cow<'_, Bits> {
        match expression {
            Expression::List(list) => Cow::Borrowed(self.lists[*list].bits()),
            Expression::Phrase(phrase) => Cow::Borrowed(&self.phrases[*phrase].bits),
            Expression::Or(children) => {
                let mut any = Bits::none(CHUNK_BITS);
                for child in children {
                    any.or(&self.evaluate(child, phrases));
                }
                Cow::Owned(any)
            }
            Expression::And(children) => {
                let mut all: Option<Bits> = None;
                for child in children.iter().filter(|child| !is_negation(child)) {
                    let bits = self.evaluate(child, phrases);
                    match &mut all {
                        Some(all) => all.and(&bits),
                        None => all = Some(bits.into_owned()),
                    }
                }
                // Without a positive member nothing matches: a well-formed tree has one.
                let mut all = all.unwrap_or_else(|| Bits::none(CHUNK_BITS));
                for child in children {
                    if let Expression::Not(inner) = child
                        && (phrases == Phrases::Verified || !holds_phrase(inner))
                    {
                        all.and_not(&self.evaluate(inner, phrases));
                    }
                }
                Cow::Owned(all)
            }
            // Only members of an `And` may be negations.
            Expression::Not(_) => Cow::Owned(Bits::none(CHUNK_BITS)),
        }
    }
}

impl Members {
    fn bits(&self) -> &Bits {
        if self.sums.is_some() { &self.prefix_bits } else { self.column.bits() }
    }

    fn take_sums(&mut self, chunk: Chunk) {
        self.prefix_bits.reset(CHUNK_BITS);
        let sums = self.sums.as_ref().and_then(|sums| sums.chunk(chunk)).unwrap_or_default();
        for (index, _) in sums.iter().enumerate().filter(|(_, sum)| **sum > 0) {
            self.prefix_bits.set(index);
        }
    }
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
