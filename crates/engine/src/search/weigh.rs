//! Weighing the matches of a slice, of which only those are kept that may be among the wanted ones.

use nautilus_query::scoring::{LeafScorer, Scorer, decode_length};

use super::attributes::AttributeReader;
use super::best::Best;
use super::conjunction::Conjunction;
use super::order::Rank;
use super::plan::Plan;
use super::request::{Sort, SortKey};
use super::window::Window;

/// Weighs matches slice by slice.
pub(super) struct Weigher<'a> {
    scorer: &'a Scorer,
    sort: Sort,
    best: Best,
    /// By length code; NaN until it is needed.
    norms: [f64; 256],
    /// By index in the chunk, for those of a slice that match; of a conjunction by place.
    sums: Vec<f64>,
    /// Of the slice: what may be wanted.
    kept: Vec<(usize, Rank)>,
}

impl<'a> Weigher<'a> {
    pub(super) fn new(scorer: &'a Scorer, sort: Sort, best: Best) -> Self {
        let norms = [f64::NAN; 256];
        Self { scorer, sort, best, norms, sums: Vec::new(), kept: Vec::new() }
    }

    /// Leaves in the window's slice what may be wanted; `codes` are the lengths of its chunk.
    pub(super) fn keep_best(
        &mut self,
        window: &mut Window,
        plan: &Plan,
        codes: &[u8],
        attributes: &AttributeReader<'_>,
    ) {
        self.kept.clear();
        match self.sort.key {
            SortKey::Modified | SortKey::Created | SortKey::Size => {
                for index in window.matched_indexes() {
                    let value = attributes.sort_value(window.ordinal(index));
                    let rank = Rank::of_value(value, self.sort.is_ascending);
                    if self.best.offer(rank) {
                        self.kept.push((index, rank));
                    }
                }
            }
            SortKey::Relevance if plan.scoring.len() == 1 => self.weigh_one(window, plan, codes),
            SortKey::Relevance => self.weigh_all(window, plan, codes),
        }
        let best = &self.best;
        let kept = self.kept.iter().filter(|(_, rank)| best.may_want(*rank));
        window.keep(kept.map(|(index, _)| *index));
    }

    /// The places of the matches that may be wanted; `codes` are the lengths of their chunk.
    pub(super) fn best_of(
        &mut self,
        matches: &Conjunction,
        codes: &[u8],
    ) -> impl Iterator<Item = usize> + '_ {
        self.kept.clear();
        if matches.leaves() == 1 {
            self.walk_one(matches, codes);
        } else {
            self.walk_all(matches, codes);
        }
        let Self { kept, best, .. } = self;
        kept.iter().filter(|(_, rank)| best.may_want(*rank)).map(|(place, _)| *place)
    }

    fn walk_one(&mut self, matches: &Conjunction, codes: &[u8]) {
        let leaf = self.scorer.leaf(0);
        let Self { best, kept, norms, scorer, .. } = self;
        let mut norm_by_frequency_max = norm_by_frequency_max(leaf, best);
        for (place, (&index, &frequency)) in
            matches.indexes().iter().zip(matches.weights(0)).enumerate()
        {
            let code = codes.get(usize::from(index)).copied().unwrap_or(0);
            let norm = norm_of(norms, scorer, code);
            if norm > norm_by_frequency_max * f64::from(frequency) {
                continue;
            }
            let rank = Rank::of_score(leaf.part(norm, frequency));
            if best.offer(rank) {
                kept.push((place, rank));
                norm_by_frequency_max = self::norm_by_frequency_max(leaf, best);
            }
        }
    }

    fn walk_all(&mut self, matches: &Conjunction, codes: &[u8]) {
        let Self { best, kept, norms, scorer, sums, .. } = self;
        sums.clear();
        sums.resize(matches.indexes().len(), 0.0);
        let lengths = matches.indexes().iter().map(|&index| codes.get(usize::from(index)));
        // What a score is made of, in the order in which it is added up.
        for number in 0..matches.leaves() {
            let leaf = scorer.leaf(number);
            let weights = matches.weights(number).iter();
            for ((sum, code), &frequency) in sums.iter_mut().zip(lengths.clone()).zip(weights) {
                *sum += leaf.part(norm_of(norms, scorer, code.copied().unwrap_or(0)), frequency);
            }
        }
        for (place, &sum) in sums.iter().enumerate() {
            let rank = Rank::of_score(sum);
            if best.offer(rank) {
                kept.push((place, rank));
            }
        }
    }

    /// With one scoring leaf, which then each match has, a multiplication tells whether a match is good enough.
    fn weigh_one(&mut self, window: &Window, plan: &Plan, codes: &[u8]) {
        let leaf = self.scorer.leaf(0);
        let mut norm_by_frequency_max = norm_by_frequency_max(leaf, &self.best);
        let Self { best, kept, norms, scorer, .. } = self;
        for &of in &plan.scoring {
            window.for_each_weight(of, |index, frequency| {
                let norm = norm_of(norms, scorer, codes.get(index).copied().unwrap_or(0));
                if norm > norm_by_frequency_max * f64::from(frequency) {
                    return;
                }
                let rank = Rank::of_score(leaf.part(norm, frequency));
                if best.offer(rank) {
                    kept.push((index, rank));
                    norm_by_frequency_max = self::norm_by_frequency_max(leaf, best);
                }
            });
        }
    }

    fn weigh_all(&mut self, window: &Window, plan: &Plan, codes: &[u8]) {
        let Self { best, kept, norms, scorer, sums, .. } = self;
        sums.resize(sums.len().max(window.len()), 0.0);
        window.matched_indexes().for_each(|index| sums[index] = 0.0);
        for (number, &of) in plan.scoring.iter().enumerate() {
            let leaf = scorer.leaf(number);
            window.for_each_weight(of, |index, frequency| {
                let norm = norm_of(norms, scorer, codes.get(index).copied().unwrap_or(0));
                if frequency > 0
                    && let Some(sum) = sums.get_mut(index)
                {
                    *sum += leaf.part(norm, frequency);
                }
            });
        }
        for index in window.matched_indexes() {
            let rank = Rank::of_score(sums[index]);
            if best.offer(rank) {
                kept.push((index, rank));
            }
        }
    }
}

/// The norm by frequency above which a match of one leaf is not wanted.
fn norm_by_frequency_max(leaf: LeafScorer, best: &Best) -> f64 {
    leaf.norm_by_frequency_max(best.floor().map_or(0.0, Rank::score))
}

#[inline]
fn norm_of(norms: &mut [f64; 256], scorer: &Scorer, code: u8) -> f64 {
    let norm = &mut norms[usize::from(code)];
    if norm.is_nan() {
        *norm = scorer.norm(decode_length(code));
    }
    *norm
}
