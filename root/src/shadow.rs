//! Shadow searches: a share of searches may be asked of a candidate build as well, so that what both found can be
//! compared. The decisions here are pure; comparing is for the caller, who ranks.
//!
//! ```text
//! registry ─► setting: build, share ─┐
//! search ─► answer ─► drawn? not suspect? one group serves all parts of it? ─► offered with the answer
//!                                                                                    │ the caller, later
//! leaves of that group ◄── one replica for each part, no hedge, no retry ◄── SearchShadow
//! ```

use std::collections::BTreeMap;

use nautilus_registry::layout::{GroupName, SHARE_ALL};

use crate::routing::Standing;

mod offer;
mod search;
mod setting;

pub(crate) use setting::{SettingWatch, ShadowSetting};

/// What became of a search that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// The caller may ask the candidate.
    Offered,
    /// Its answer is of the candidate.
    SameBuild,
    /// Leaves may die of it.
    Suspect,
    /// No group serves the candidate for all of it.
    NotServed,
}

impl Offer {
    /// As a label.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::SameBuild => "same_build",
            Self::Suspect => "suspect",
            Self::NotServed => "not_served",
        }
    }
}

/// Whether a search is among this share of all.
#[must_use]
pub fn is_drawn(share_per_million: u32, random: u64) -> bool {
    random % u64::from(SHARE_ALL) < u64::from(share_per_million)
}

/// A replica that could be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuildReplica<'r> {
    /// Its replica group.
    pub group: &'r GroupName,
    /// What it is good for.
    pub standing: Standing,
    /// Which build it serves.
    pub build: &'r str,
}

/// The replica group that serves every part of a request of the candidate build, if there is one: best one whose replicas
/// are drained, since nobody waits for their answers; then by name. `parts` are the replicas of each partition.
#[must_use]
pub fn target<'r>(parts: &[Vec<BuildReplica<'r>>], candidate: &str) -> Option<&'r GroupName> {
    let serves = |it: &&BuildReplica<'_>| match it.standing {
        Standing::Serving | Standing::GroupDrained => it.build == candidate,
        // It goes, or its answers would be dropped.
        Standing::Draining | Standing::Outdated | Standing::NotReady => false,
    };
    // By group: how many parts it serves, and how many of them while it is drained.
    let mut served: BTreeMap<&GroupName, (usize, usize)> = BTreeMap::new();
    for part in parts {
        let mut of_part: BTreeMap<&GroupName, bool> = BTreeMap::new();
        for replica in part.iter().filter(serves) {
            of_part.insert(replica.group, replica.standing == Standing::GroupDrained);
        }
        for (group, is_drained) in of_part {
            let (count, drained) = served.entry(group).or_default();
            *count += 1;
            *drained += usize::from(is_drained);
        }
    }
    let whole = served.into_iter().filter(|(_, (count, _))| *count == parts.len());
    let best = whole.min_by_key(|(group, (count, drained))| (count - drained, *group));
    best.map(|(group, _)| group)
}

#[cfg(test)]
mod tests;
