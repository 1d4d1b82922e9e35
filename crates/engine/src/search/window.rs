//! One chunk of ordinals of one namespace: its lists, and which of its documents match.
//!
//! Chunks come by twice: first to be read and counted, then, once it is known what each leaf is worth, to be weighed.

use std::borrow::Cow;
use std::ops::Range;

use nautilus_query::FieldSet;

use super::Budget;
use super::held::{Held, HeldChunk, Piece};
use super::phrase::PhraseChecker;
use super::plan::{Expression, Leaf, List, ListKind, Phrase, Plan};
use crate::bits::Bits;
use crate::error::EngineError;
use crate::keys::{self, Chunk, Ordinal};
use crate::postings::{
    ChunkReader, ChunkSums, Column, Part, PostingReader, PrefixSums, Scan, Term, Weights,
    chunk_len, count_of, read_column,
};

/// What is known of one list.
struct Members {
    is_prefix: bool,
    weights: &'static Weights,
    /// Its postings in the chunk; unused for a prefix.
    column: Column,
    /// The piece whose postings the column holds.
    holds: Option<usize>,
    /// The whole list of a prefix; its rows are ordered by token, not by ordinal.
    prefix: Option<PrefixSums>,
    /// Of a prefix, in the chunk.
    sums: ChunkSums,
    /// No posting stands in a chunk before this; None: in no chunk any more.
    next: Option<Chunk>,
}

/// What is known of one phrase.
struct Occurrences {
    weights: &'static Weights,
    /// Those of its tokens together until each bit of a survivor has been checked in its text.
    bits: Bits,
    /// Where it stands.
    column: Column,
}

/// The chunk being searched; its memory serves all chunks of all namespaces of a search.
pub(super) struct Window {
    chunk: Chunk,
    /// Indexes its documents may have, a multiple of 64.
    len: usize,
    lists: Vec<Members>,
    phrases: Vec<Occurrences>,
    /// Documents of the chunk that match, phrases taken for their tokens.
    possible: Bits,
    /// The indexes being looked at.
    slice: Range<usize>,
    /// Documents of the slice that match.
    matched: Bits,
    /// Documents of each list in the chunk being read.
    counts: Vec<u64>,
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
            is_prefix: list.kind == ListKind::Prefix,
            weights: Weights::of(list.fields),
            column: Column::empty(),
            holds: None,
            prefix: None,
            sums: ChunkSums::none(),
            next: Some(0),
        };
        let occurrences = |phrase: &Phrase| Occurrences {
            weights: Weights::of(phrase.fields),
            bits: Bits::none(0),
            column: Column::empty(),
        };
        Self {
            chunk: 0,
            len: 0,
            lists: plan.lists.iter().map(members).collect(),
            phrases: plan.phrases.iter().map(occurrences).collect(),
            possible: Bits::none(0),
            slice: 0..0,
            matched: Bits::none(0),
            counts: Vec::new(),
        }
    }

    /// Forgets what it knows of the namespace before, and reads the whole list of every prefix.
    pub(super) fn begin_namespace(
        &mut self,
        plan: &Plan,
        ordinals: Ordinal,
        postings: &mut ChunkReader<'_>,
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        for (list, members) in plan.lists.iter().zip(&mut self.lists) {
            members.next = Some(0);
            if !members.is_prefix {
                continue;
            }
            let (sums, scan) = postings.read_prefix(&list.text, list.fields, ordinals, budget)?;
            if scan == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
            members.prefix = Some(sums);
        }
        Ok(Scan::Complete)
    }

    /// Reads every list's part in `chunk` of a namespace whose ordinals are below `ordinals`, holds it, and adds how
    /// many documents each list has there. `Exhausted`: nothing of the chunk is held, or it is the last for which
    /// there is memory.
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        (namespace, ordinals, chunk): (usize, Ordinal, Chunk),
        postings: &mut ChunkReader<'_>,
        held: &mut Held,
        frequencies: &mut [u64],
        budget: &mut dyn Budget,
    ) -> Result<Scan, EngineError> {
        let len = chunk_len(ordinals, chunk);
        let first_piece = held.next_piece();
        for (number, (list, members)) in plan.lists.iter().zip(&mut self.lists).enumerate() {
            let term = match list.kind {
                ListKind::Token => Term::Token(&list.text),
                ListKind::Pair => Term::Pair(&list.text),
                ListKind::Prefix => {
                    match members.prefix.as_mut().and_then(|prefix| prefix.take(chunk)) {
                        Some(sums) => held.push_sums(sums),
                        None => held.push_nothing(),
                    }
                    continue;
                }
            };
            if members.next.is_none_or(|next| next > chunk) {
                held.push_nothing();
                continue;
            }
            if budget.is_exhausted() {
                held.drop_pieces(first_piece);
                return Ok(Scan::Exhausted);
            }
            members.next = match postings.part(number, term, chunk)? {
                Part::Here(value) => {
                    held.push_value(value);
                    Some(chunk.saturating_add(1))
                }
                Part::From(later) => {
                    held.push_nothing();
                    Some(later)
                }
                Part::End => {
                    held.push_nothing();
                    None
                }
            };
        }
        self.counts.clear();
        for (number, members) in self.lists.iter_mut().enumerate() {
            let (documents, read) = members.count(held, first_piece + number, len)?;
            self.counts.push(documents);
            if postings.count_read(read) && budget.is_exhausted() {
                held.drop_pieces(first_piece);
                return Ok(Scan::Exhausted);
            }
        }
        // Only of chunks that are held: a leaf is not worth more because time ran out.
        frequencies.iter_mut().zip(&self.counts).for_each(|(sum, documents)| *sum += documents);
        let fits = held.end_chunk(HeldChunk { namespace, chunk, len, first_piece });
        Ok(if fits { Scan::Complete } else { Scan::Exhausted })
    }

    /// Takes up a chunk that was read and finds the documents that may match. `spend` learns how many postings that
    /// takes, list by list, and says whether there is time for more.
    pub(super) fn load(
        &mut self,
        plan: &Plan,
        held: &mut Held,
        chunk: HeldChunk,
        spend: &mut dyn FnMut(usize) -> Scan,
    ) -> Result<Scan, EngineError> {
        (self.chunk, self.len) = (chunk.chunk, chunk.len);
        for (number, members) in self.lists.iter_mut().enumerate() {
            members.load(held, chunk.first_piece + number, chunk.len)?;
            if spend(members.column.len()) == Scan::Exhausted {
                return Ok(Scan::Exhausted);
            }
        }
        for (number, phrase) in plan.phrases.iter().enumerate() {
            let bits = self.conjunction(phrase);
            let occurrences = &mut self.phrases[number];
            occurrences.bits = bits;
            occurrences.column.begin(chunk.len);
        }
        self.possible = self.evaluate(&plan.expression, Phrases::Possible).into_owned();
        self.matched.reset(chunk.len);
        self.slice = 0..0;
        Ok(Scan::Complete)
    }

    /// Goes on to the next `len` ordinals of the chunk among which documents may match; false where there are none.
    pub(super) fn next_slice(&mut self, len: usize) -> bool {
        while self.slice.end < self.len {
            self.slice = self.slice.end..self.slice.end.saturating_add(len).min(self.len);
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

    /// How many documents of the slice match.
    pub(super) fn matches(&self) -> usize {
        self.matched.count()
    }

    /// The indexes in the chunk of the slice's documents that match, ascending.
    pub(super) fn matched_indexes(&self) -> impl Iterator<Item = usize> + '_ {
        self.matched.ones()
    }

    /// The ordinals that match, ascending.
    pub(super) fn matched(&self) -> impl Iterator<Item = Ordinal> + '_ {
        self.matched.ones().map(|index| self.ordinal(index))
    }

    /// Leaves out all documents of the slice but these.
    pub(super) fn keep(&mut self, indexes: impl Iterator<Item = usize>) {
        self.matched.reset(self.len);
        indexes.for_each(|index| self.matched.set(index));
    }

    /// Calls `f` with the weighted frequency of a scoring leaf in each of the slice's documents that match and
    /// have it, and the index in the chunk, ascending.
    #[inline]
    pub(super) fn for_each_weight(&self, leaf: Leaf, mut f: impl FnMut(usize, u32)) {
        let matched = &self.matched;
        let slice = self.slice.clone();
        match leaf {
            Leaf::List(list) | Leaf::Pair { list, .. } => {
                let members = &self.lists[list];
                if members.is_prefix {
                    for index in matched.ones_of_both(&members.sums.bits, slice) {
                        f(index, members.sums.sums.get(index).copied().unwrap_or(0));
                    }
                } else {
                    members.column.for_each_weight(matched, slice, members.weights, f);
                }
            }
            Leaf::Phrase(phrase) => {
                let Occurrences { column, weights, .. } = &self.phrases[phrase];
                column.for_each_weight(matched, slice, weights, f);
            }
        }
    }

    /// The chunk, and how many indexes its documents may have.
    pub(super) fn place(&self) -> (Chunk, usize) {
        (self.chunk, self.len)
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn ordinal(&self, index: usize) -> Ordinal {
        keys::ordinal_of(self.chunk, index)
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
        let mut all = parts.next().cloned().unwrap_or_else(|| Bits::none(self.len));
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
                let mut any = Bits::none(self.len);
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
                let mut all = all.unwrap_or_else(|| Bits::none(self.len));
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
            Expression::Not(_) => Cow::Owned(Bits::none(self.len)),
        }
    }
}

impl Members {
    fn bits(&self) -> &Bits {
        if self.is_prefix { &self.sums.bits } else { self.column.bits() }
    }

    /// How many documents the piece has, and how many postings were read for that.
    fn count(&mut self, held: &Held, number: usize, len: usize) -> Result<(u64, u64), EngineError> {
        let documents = match held.piece(number) {
            Piece::Nothing => return Ok((0, 0)),
            // Its postings were counted when the prefix was read.
            Piece::Sums(sums) => {
                return Ok((sums.as_ref().map_or(0, |sums| sums.bits.count() as u64), 0));
            }
            Piece::Value(range) => match count_of(held.value(range)) {
                Some(documents) if self.weights.fields == FieldSet::ALL => {
                    return Ok((documents, documents));
                }
                Some(_) | None => self.decode(held.value(range), number, len)?,
            },
        };
        Ok((self.column.len() as u64, documents))
    }

    fn load(&mut self, held: &mut Held, number: usize, len: usize) -> Result<(), EngineError> {
        if self.is_prefix {
            match held.take_sums(number) {
                Some(sums) => self.sums = sums,
                None => self.sums.clear(len),
            }
            return Ok(());
        }
        if self.holds == Some(number) {
            return Ok(());
        }
        match held.piece(number) {
            Piece::Value(range) => {
                self.decode(held.value(range), number, len)?;
            }
            Piece::Nothing | Piece::Sums(_) => {
                self.holds = None;
                self.column.begin(len);
            }
        }
        Ok(())
    }

    /// Postings read; those without a weight are not in the column.
    fn decode(&mut self, value: &[u8], number: usize, len: usize) -> Result<u64, EngineError> {
        self.holds = None;
        self.column.begin(len);
        read_column(value, &mut self.column)?;
        let read = self.column.len() as u64;
        self.column.retain(self.weights);
        self.holds = Some(number);
        Ok(read)
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
