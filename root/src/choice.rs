//! Which replica is asked. Pure: time and a random number come in as data.
//!
//! The cost of a replica is what a request there may be expected to take: its usual latency times the
//! requests it has to finish first. Of two drawn at random the cheaper one is asked ("power of two
//! choices", Mitzenmacher, IEEE TPDS 12(10), 2001): the best of all would be what every root picks at
//! once. What nothing is known of is tried while idle, and now and then another than the cheaper one,
//! so that a replica that has become fast is found.

use std::time::Duration;

use crate::routing::Standing;

mod record;
#[cfg(test)]
mod tests;

pub use record::{Probation, ReplicaRecord};

/// One choice in so many goes to another than the cheaper one.
const EXPLORE_ONE_IN: u64 = 64;
/// What is dearer by a factor is explored less often by that factor, up to this: each such request is slow, and at
/// one in 64 they would be what the slowest hundredth of all requests consists of.
const EXPLORE_LESS_MAX: u64 = 16;
/// One choice in so many goes to a replica that failed lately and may be back.
const PROBE_ONE_IN: u64 = 4;
/// Taken for the latency where nobody's is known.
const LATENCY_UNKNOWN: Duration = Duration::from_millis(1);

/// Whether a replica may be expected to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Availability {
    /// Nothing speaks against it.
    Available,
    /// It failed lately; one request may find out whether it is back.
    Probing,
    /// It failed a moment ago, or its leaf cannot be reached.
    Unavailable,
}

/// A replica that could be asked, as it looks now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prospect {
    /// Whether it may be expected to answer.
    pub availability: Availability,
    /// What it is good for.
    pub standing: Standing,
    /// It is known not to have reached the offset asked for.
    pub is_behind: bool,
    /// Usual time from sent to received; none = it was never asked.
    pub latency: Option<Duration>,
    /// Requests its leaf has to finish.
    pub in_flight: u32,
}

/// Why a replica is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No other one is as fit.
    Only,
    /// The lowest expected cost of those drawn.
    Fastest,
    /// To find out how it does.
    Explore,
    /// Of the group the request names.
    Asked,
    /// Another one failed.
    Retry,
    /// Another one is slow.
    Hedge,
}

impl Reason {
    /// The name programs compare.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Only => "ONLY",
            Self::Fastest => "FASTEST",
            Self::Explore => "EXPLORE",
            Self::Asked => "ASKED",
            Self::Retry => "RETRY",
            Self::Hedge => "HEDGE",
        }
    }
}

/// Index into the prospects, and why that one: `Only`, `Fastest` or `Explore`.
pub type Choice = (usize, Reason);

/// The replica to ask; none if there is none. Fitness comes before cost: one that is available before
/// one that is not, then one that is not behind, then by standing.
#[must_use]
pub fn choose(prospects: &[Prospect], random: u64) -> Option<Choice> {
    let best = prospects.iter().map(unfitness).min()?;
    let fit: Vec<usize> =
        (0..prospects.len()).filter(|&index| unfitness(&prospects[index]) == best).collect();
    let [first, .., _] = fit.as_slice() else {
        return fit.first().map(|&index| (index, Reason::Only));
    };
    let (draw, chance) = (random >> 16, random & 0xffff);
    if let Some(index) = to_explore(prospects, &fit, draw, chance) {
        return Some((index, Reason::Explore));
    }
    // What is being probed is only asked as above, unless there is nothing else.
    let is_probing = |&&index: &&usize| prospects[index].availability == Availability::Probing;
    let steady: Vec<usize> = fit.iter().filter(|index| !is_probing(index)).copied().collect();
    let drawn = two_of(if steady.is_empty() { &fit } else { &steady }, draw);
    let unknown = fit.iter().filter_map(|&index| prospects[index].latency).max();
    let unknown = unknown.unwrap_or(LATENCY_UNKNOWN);
    // `min_by_key` takes the first of equals, which is the first drawn.
    let cheaper = drawn.into_iter().min_by_key(|&index| cost(&prospects[index], unknown));
    Some((cheaper.unwrap_or(*first), Reason::Fastest))
}

/// Expected time to an answer, in nanoseconds.
fn cost(prospect: &Prospect, unknown: Duration) -> u128 {
    let latency = prospect.latency.unwrap_or(unknown).as_nanos().max(1);
    latency.saturating_mul(u128::from(prospect.in_flight) + 1)
}

fn unfitness(prospect: &Prospect) -> (bool, bool, Standing) {
    let is_unavailable = prospect.availability == Availability::Unavailable;
    (is_unavailable, prospect.is_behind, prospect.standing)
}

/// One that should be tried although it is not the cheapest known.
fn to_explore(prospects: &[Prospect], fit: &[usize], draw: u64, chance: u64) -> Option<usize> {
    let is_new = |&&index: &&usize| {
        let prospect = &prospects[index];
        prospect.latency.is_none() && prospect.in_flight == 0
    };
    let new: Vec<usize> = fit.iter().filter(is_new).copied().collect();
    if !new.is_empty() && new.len() < fit.len() {
        return nth(&new, draw);
    }
    let is_probing = |&&index: &&usize| prospects[index].availability == Availability::Probing;
    let probing: Vec<usize> = fit.iter().filter(is_probing).copied().collect();
    if !probing.is_empty() && probing.len() < fit.len() {
        return if chance.is_multiple_of(PROBE_ONE_IN) { nth(&probing, draw) } else { None };
    }
    // Whoever is not the cheapest of all; an idle system has no need to look.
    let unknown = LATENCY_UNKNOWN;
    let dearest = fit.iter().max_by_key(|&&index| cost(&prospects[index], unknown)).copied();
    let cheapest = fit.iter().min_by_key(|&&index| cost(&prospects[index], unknown)).copied();
    if dearest == cheapest || !chance.is_multiple_of(EXPLORE_ONE_IN) {
        return None;
    }
    let other = nth_but(fit, cheapest?, draw)?;
    let factor = cost(&prospects[other], unknown) / cost(&prospects[cheapest?], unknown).max(1);
    let less = u64::try_from(factor).unwrap_or(u64::MAX).clamp(1, EXPLORE_LESS_MAX);
    chance.is_multiple_of(EXPLORE_ONE_IN * less).then_some(other)
}

fn nth(indexes: &[usize], draw: u64) -> Option<usize> {
    let count = u64::try_from(indexes.len()).ok().filter(|&count| count > 0)?;
    indexes.get(usize::try_from(draw % count).ok()?).copied()
}

fn nth_but(indexes: &[usize], but: usize, draw: u64) -> Option<usize> {
    let others: Vec<usize> = indexes.iter().filter(|&&index| index != but).copied().collect();
    nth(&others, draw)
}

/// Two different ones, or one where there is no other, in random order.
fn two_of(indexes: &[usize], draw: u64) -> Vec<usize> {
    let first = nth(indexes, draw);
    let second = first.and_then(|first| nth_but(indexes, first, draw >> 16));
    first.into_iter().chain(second).collect()
}
