//! Documents that have all of some words, or one word: where the shortest list of a chunk has few postings, found by
//! walking it and probing the others, shortest first.
//!
//! ```text
//! shortest list ─► its postings ─► those that the next list has ─► … ─► matches, with their weights in each list
//! ```
//!
//! The sets of bits that all else is searched on cost a pass over the chunk for each step, whoever is in them; with
//! many postings they are the faster: no branch there depends on one.

use super::held::{Held, HeldChunk, Piece};
use super::plan::{Expression, Leaf, ListIndex, ListKind, Plan};
use crate::error::EngineError;
use crate::postings::{Bitmap, Column, Run, Scan, Weights, count_of};

/// One list alone is walked in a chunk where fewer than one in so many documents have it, which then is stored by gaps.
const ALONE_ONE_IN: usize = 8;
/// And several where the shortest has fewer.
const SHORTEST_ONE_IN: usize = 64;

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loaded {
    /// Its matches are known.
    Walked,
    /// To be searched on sets of bits.
    TooMany,
    /// There was no time for it.
    Exhausted,
}

/// The matches of one chunk of a query of such a kind; its memory serves all chunks.
pub(super) struct Conjunction {
    lists: Vec<Member>,
    /// Of each scoring leaf, its place in `lists`.
    leaves: Vec<usize>,
    /// How long each list is in the chunk, and its place in `lists`; the shortest first.
    order: Vec<(usize, usize)>,
    /// Of the matches in the chunk, ascending.
    indexes: Vec<u16>,
    /// Places in `indexes` of those that are in the next list too, with their weights there.
    met: Vec<(usize, u32)>,
    run: Run,
    ranks: Vec<u16>,
    scratch: Column,
}

struct Member {
    list: ListIndex,
    weights: &'static Weights,
    /// Of each match.
    of_matches: Vec<u32>,
}

impl Conjunction {
    /// None where the query is of another kind.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        let children = match &plan.expression {
            list @ Expression::List(_) => std::slice::from_ref(list),
            Expression::And(children) => children,
            Expression::Or(_) | Expression::Not(_) | Expression::Phrase(_) => return None,
        };
        let mut lists: Vec<Member> = Vec::new();
        for child in children {
            let Expression::List(list) = *child else { return None };
            let of = plan.lists.get(list).filter(|of| of.kind != ListKind::Prefix)?;
            if lists.iter().all(|member| member.list != list) {
                let weights = Weights::of(of.fields);
                lists.push(Member { list, weights, of_matches: Vec::new() });
            }
        }
        let place = |leaf: &Leaf| match *leaf {
            Leaf::List(list) | Leaf::Pair { list, .. } => {
                lists.iter().position(|it| it.list == list)
            }
            Leaf::Phrase(_) => None,
        };
        let leaves = plan.scoring.iter().map(place).collect::<Option<Vec<_>>>()?;
        Some(Self {
            lists,
            leaves,
            order: Vec::new(),
            indexes: Vec::new(),
            met: Vec::new(),
            run: Run::default(),
            ranks: Vec::new(),
            scratch: Column::empty(),
        })
    }

    /// Finds the matches of a chunk that was read. `spend` learns how many postings that takes, list by list, and says
    /// whether there is time for more.
    pub(super) fn load(
        &mut self,
        held: &Held,
        chunk: HeldChunk,
        spend: &mut dyn FnMut(usize) -> Scan,
    ) -> Result<Loaded, EngineError> {
        let Self { lists, order, indexes, met, run, ranks, scratch, .. } = self;
        indexes.clear();
        order.clear();
        let value = |list: ListIndex| match held.piece(chunk.first_piece + list) {
            Piece::Value(range) => Some(held.value(range)),
            Piece::Nothing | Piece::Sums(_) => None,
        };
        for (place, member) in lists.iter_mut().enumerate() {
            member.of_matches.clear();
            let Some(value) = value(member.list) else { return Ok(Loaded::Walked) };
            // One that waits to be folded takes about as many bytes.
            let len = count_of(value).and_then(|count| usize::try_from(count).ok());
            order.push((len.unwrap_or(value.len()), place));
        }
        order.sort_unstable();
        let one_in = if order.len() == 1 { ALONE_ONE_IN } else { SHORTEST_ONE_IN };
        if order.first().is_some_and(|(shortest, _)| shortest.saturating_mul(one_in) >= chunk.len) {
            return Ok(Loaded::TooMany);
        }
        for number in 0..order.len() {
            let (len, place) = order[number];
            let Some(value) = lists.get(place).and_then(|member| value(member.list)) else { break };
            let weights = lists[place].weights;
            if number == 0 {
                if spend(len) == Scan::Exhausted {
                    return Ok(Loaded::Exhausted);
                }
                run.read(value, chunk.len, weights, scratch)?;
                std::mem::swap(indexes, &mut run.indexes);
                std::mem::swap(&mut lists[place].of_matches, &mut run.weights);
                continue;
            }
            if indexes.is_empty() {
                break;
            }
            met.clear();
            if let Some(bitmap) = Bitmap::of(value, ranks)? {
                if spend(indexes.len()) == Scan::Exhausted {
                    return Ok(Loaded::Exhausted);
                }
                let weighed = indexes.iter().map(|&index| bitmap.weight(index, weights));
                met.extend(weighed.enumerate().filter(|(_, weight)| *weight > 0));
            } else {
                if spend(len) == Scan::Exhausted {
                    return Ok(Loaded::Exhausted);
                }
                run.read(value, chunk.len, weights, scratch)?;
                meet(indexes, run, met);
            }
            keep(indexes, met);
            for &(_, earlier) in &order[..number] {
                keep(&mut lists[earlier].of_matches, met);
            }
            lists[place].of_matches.extend(met.iter().map(|(_, weight)| weight));
        }
        Ok(Loaded::Walked)
    }

    /// The indexes in the chunk of the documents that match, ascending.
    pub(super) fn indexes(&self) -> &[u16] {
        &self.indexes
    }

    /// The weighted frequencies of a scoring leaf, one for each match.
    pub(super) fn weights(&self, leaf: usize) -> &[u32] {
        let place = self.leaves.get(leaf).and_then(|&place| self.lists.get(place));
        place.map_or(&[], |member| &member.of_matches)
    }

    /// How many leaves score.
    pub(super) fn leaves(&self) -> usize {
        self.leaves.len()
    }
}

/// Notes the places of those that the run has too, and their weights in it.
fn meet(indexes: &[u16], run: &Run, met: &mut Vec<(usize, u32)>) {
    let mut rest = run.indexes.iter().zip(&run.weights).peekable();
    for (place, index) in indexes.iter().enumerate() {
        while rest.next_if(|(other, _)| *other < index).is_some() {}
        match rest.peek() {
            Some((other, weight)) if *other == index => met.push((place, **weight)),
            Some(_) => {}
            None => break,
        }
    }
}

/// Keeps what stands at the places that are noted, which ascend.
fn keep<T: Copy>(of: &mut Vec<T>, met: &[(usize, u32)]) {
    for (to, &(from, _)) in met.iter().enumerate() {
        of[to] = of[from];
    }
    of.truncate(met.len());
}
