//! Which requests may be what leaves die of. Pure: time comes in as data.
//!
//! ```text
//! connection lost ─► death noted ─┬─ the first for this fingerprint and partition: one retry, no hedges
//!  while it was under way         └─ the second, on another leaf or start: refused until the deaths are forgotten
//! answer to a request sent after a death ─► that death is not its fault
//! ```
//!
//! Whatever was under way on a leaf that died is suspect, most of it wrongly. A request that kills never answers,
//! so an answer of the same partition clears it; without that, a common query would be refused after any two
//! leaves were lost. Deaths are counted for each partition: a group that is lost whole is one death of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nautilus_registry::layout::{GroupName, LeafName, Suspicion};
use nautilus_types::PartitionId;

use crate::fingerprint::Fingerprint;

#[cfg(test)]
mod tests;

/// How long a death is remembered.
pub const MEMORY: Duration = Duration::from_secs(600);
/// Losses of one leaf within this time are one death, also where different roots saw them.
const SAME_DEATH: Duration = Duration::from_secs(2);
/// Deaths of this many make a request refused.
const DEATHS_MAX: usize = 2;
/// Most fingerprints kept; the oldest go first.
const FINGERPRINTS_MAX: usize = 10_000;
/// Deaths kept of one fingerprint, over all partitions.
const DEATHS_KEPT_MAX: usize = 64;

/// One leaf lost while a request was under way there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Death {
    partition: PartitionId,
    leaf: (GroupName, LeafName),
    unix_ms: u64,
    /// When this root learned of it.
    known: Instant,
    forgotten: Instant,
    /// The same was answered since.
    is_cleared: bool,
}

/// Where and when a connection was lost, and with which request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What was under way.
    pub fingerprint: Fingerprint,
    /// For which partition.
    pub partition: PartitionId,
    /// Of which replica group.
    pub group: GroupName,
    /// On which leaf.
    pub leaf: LeafName,
    /// When, in milliseconds since 1970: roots agree on it well enough.
    pub unix_ms: u64,
}

/// What follows from a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first of its kind: the request may go to another replica, once.
    RetryOnce,
    /// It was there before: it goes nowhere any more.
    Contained,
}

/// The memory of one root.
#[derive(Debug, Clone, Default)]
pub struct Suspects {
    deaths: BTreeMap<Fingerprint, Vec<Death>>,
}

impl Suspects {
    /// This root lost a leaf, or another one says that it did.
    pub fn lost(&mut self, loss: &Loss, now: Instant, now_unix_ms: u64) -> Verdict {
        self.forget(now);
        let age = Duration::from_millis(now_unix_ms.saturating_sub(loss.unix_ms));
        // A clock that is ahead must not make it last longer.
        let Some(left) = MEMORY.checked_sub(age) else { return Verdict::RetryOnce };
        let deaths = self.deaths.entry(loss.fingerprint).or_default();
        let leaf = (loss.group.clone(), loss.leaf.clone());
        let is_known = |death: &Death| {
            let apart = Duration::from_millis(death.unix_ms.abs_diff(loss.unix_ms));
            death.partition == loss.partition && death.leaf == leaf && apart <= SAME_DEATH
        };
        if !deaths.iter().any(is_known) {
            deaths.push(Death {
                partition: loss.partition,
                leaf,
                unix_ms: loss.unix_ms,
                known: now,
                forgotten: now + left,
                is_cleared: false,
            });
            if deaths.len() > DEATHS_KEPT_MAX {
                deaths.remove(0);
            }
        }
        let verdict = match count(deaths, loss.partition) {
            0 | 1 => Verdict::RetryOnce,
            _ => Verdict::Contained,
        };
        self.bound();
        verdict
    }

    /// A request that was sent at `sent` was answered: what was lost before is not its fault.
    /// Whether that changes anything.
    pub fn answered(
        &mut self,
        fingerprint: Fingerprint,
        partition: PartitionId,
        sent: Instant,
    ) -> bool {
        let deaths = self.deaths.get_mut(&fingerprint).map_or(&mut [][..], Vec::as_mut_slice);
        let is_cleared_now = |death: &mut Death| {
            let is_earlier = death.partition == partition && death.known <= sent;
            is_earlier && !std::mem::replace(&mut death.is_cleared, true)
        };
        deaths.iter_mut().map(is_cleared_now).filter(|&changed| changed).count() > 0
    }

    /// Whether it goes to one replica only: no second one is asked before it failed.
    #[must_use]
    pub fn is_suspect(
        &self,
        fingerprint: Fingerprint,
        partition: PartitionId,
        now: Instant,
    ) -> bool {
        let deaths = self.deaths.get(&fingerprint).map_or(&[][..], Vec::as_slice);
        let counts = |death: &Death| death.partition == partition && is_in_force(death, now);
        deaths.iter().any(counts)
    }

    /// For how long it is still refused, wherever it goes; none = it is not.
    #[must_use]
    pub fn refused_for(&self, fingerprint: Fingerprint, now: Instant) -> Option<Duration> {
        let deaths = self.deaths.get(&fingerprint)?;
        let in_force = || deaths.iter().filter(|death| is_in_force(death, now));
        let left_of = |partition| {
            let mut ends: Vec<Instant> = in_force()
                .filter(|death| death.partition == partition)
                .map(|death| death.forgotten)
                .collect();
            ends.sort_unstable();
            // Until so many are forgotten that too few are left.
            let end = ends.len().checked_sub(DEATHS_MAX).and_then(|index| ends.get(index));
            end.map(|end| end.saturating_duration_since(now))
        };
        in_force().filter_map(|death| left_of(death.partition)).max()
    }

    /// How many are suspect, and how many of them refused.
    #[must_use]
    pub fn counts(&self, now: Instant) -> (usize, usize) {
        let in_force = |deaths: &Vec<Death>| deaths.iter().any(|death| is_in_force(death, now));
        let suspect = self.deaths.values().filter(|deaths| in_force(deaths)).count();
        let refused = self.deaths.keys().filter(|it| self.refused_for(**it, now).is_some());
        (suspect, refused.count())
    }

    /// Whether nothing at all is remembered, which is how it nearly always is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deaths.is_empty()
    }

    /// Lets go of what is old.
    pub fn forget(&mut self, now: Instant) {
        self.deaths.retain(|_, deaths| {
            deaths.retain(|death| death.forgotten > now);
            !deaths.is_empty()
        });
    }

    fn bound(&mut self) {
        while self.deaths.len() > FINGERPRINTS_MAX {
            let latest = |deaths: &Vec<Death>| deaths.iter().map(|death| death.known).max();
            let oldest = self.deaths.iter().min_by_key(|(_, deaths)| latest(deaths));
            let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) else { return };
            self.deaths.remove(&oldest);
        }
    }
}

/// Deaths of this partition that nothing has cleared. They were all in force when forgetting ended.
fn count(deaths: &[Death], partition: PartitionId) -> usize {
    deaths.iter().filter(|death| death.partition == partition && !death.is_cleared).count()
}

fn is_in_force(death: &Death, now: Instant) -> bool {
    !death.is_cleared && death.forgotten > now
}

impl From<&Loss> for Suspicion {
    fn from(loss: &Loss) -> Self {
        Self {
            fingerprint: loss.fingerprint.0,
            partition: loss.partition,
            group: loss.group.clone(),
            leaf: loss.leaf.clone(),
            unix_ms: loss.unix_ms,
        }
    }
}

impl From<Suspicion> for Loss {
    fn from(suspicion: Suspicion) -> Self {
        let Suspicion { fingerprint, partition, group, leaf, unix_ms } = suspicion;
        Self { fingerprint: Fingerprint(fingerprint), partition, group, leaf, unix_ms }
    }
}
