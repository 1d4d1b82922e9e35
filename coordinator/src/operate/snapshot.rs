//! One replica group as the registry showed it at one revision.

use std::collections::{BTreeMap, BTreeSet};

use nautilus_registry::layout::{
    BuildRef, Cordon, Decision, GroupBuild, GroupName, GroupStanding, GroupState, Key, LeafName,
    ReplicaState, prefix,
};
use nautilus_registry::{Entry, Listing, Registry, Revision};
use nautilus_types::PartitionId;

use crate::CoordinatorError;
use crate::election::within;
use crate::operate::Refusal;
use crate::plan::{
    Assignments, Observed, Outlook, PlannedChange, Wanted, WhyRefused, WhyUnassigned, forecast,
};
use crate::view::View;

/// A group as it was seen.
#[derive(Debug)]
pub struct GroupSnapshot {
    pub(super) group: GroupName,
    pub(super) view: View,
    pub(super) observed: Observed,
    pub(super) assignments: Assignments,
    pub(super) decision: Decision,
}

/// What the coordinator would do if nothing else happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Why it does nothing at the moment: all else is what would follow once that has ended.
    pub held_back: Option<String>,
    /// Every change of an assignment, in order; each move ends with one too.
    pub changes: Vec<PlannedChange>,
    /// Moves asked for that it would refuse.
    pub refused: BTreeMap<PartitionId, WhyRefused>,
    /// Partitions that would be left to nobody.
    pub unassigned: BTreeMap<PartitionId, WhyUnassigned>,
}

impl GroupSnapshot {
    /// Reads one group. `Refused` where there is none of this name, `Unreadable` where an assignment is.
    pub async fn read(
        registry: &dyn Registry,
        group: &GroupName,
    ) -> Result<Self, CoordinatorError> {
        let listing = within(registry.list(&prefix::group(group)))
            .await
            .map_err(CoordinatorError::while_("read the group"))?;
        if listing.entries.is_empty() {
            return Err(Refusal::UnknownGroup { group: group.clone() }.into());
        }
        Self::of(group.clone(), listing)
    }

    /// Reads all groups, by name. `Unreadable` where an assignment is.
    pub async fn read_all(registry: &dyn Registry) -> Result<Vec<Self>, CoordinatorError> {
        let listing = within(registry.list(&prefix::all_groups()))
            .await
            .map_err(CoordinatorError::while_("read the groups"))?;
        let mut groups: BTreeMap<GroupName, Vec<Entry>> = BTreeMap::new();
        for entry in listing.entries {
            if let Some(key) = Key::parse(&entry.key) {
                groups.entry(key.group().clone()).or_default().push(entry);
            }
        }
        let revision = listing.revision;
        let groups = groups.into_iter();
        groups.map(|(group, entries)| Self::of(group, Listing { revision, entries })).collect()
    }

    fn of(group: GroupName, listing: Listing) -> Result<Self, CoordinatorError> {
        let mut view = View::default();
        view.list(listing)?;
        let (observed, assignments) = (view.observed(), view.assignments()?);
        let decision = view.decision(&group).cloned().unwrap_or_default();
        Ok(Self { group, view, observed, assignments, decision })
    }

    /// Its name.
    #[must_use]
    pub fn group(&self) -> &GroupName {
        &self.group
    }

    /// What it shows is how it was at this revision.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.view.listed()
    }

    /// Who acts for it; `None` = nobody, and nothing asked for will be done.
    #[must_use]
    pub fn coordinator(&self) -> Option<&nautilus_registry::layout::CoordinatorName> {
        self.view.leader(&self.group).map(|leader| &leader.coordinator)
    }

    /// Whether roots send searches to it: what was last said of it, and by whom.
    #[must_use]
    pub fn standing(&self) -> Option<&GroupStanding> {
        self.view.standing(&self.group)
    }

    /// What it is for roots.
    #[must_use]
    pub fn state(&self) -> GroupState {
        self.standing().map_or(GroupState::Active, |standing| standing.state)
    }

    /// What its coordinator last left undone.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// Its leaves, and what they announce, as the coordinator's plan takes them.
    #[must_use]
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// Its assignments.
    #[must_use]
    pub fn assignments(&self) -> &Assignments {
        &self.assignments
    }

    /// What somebody has said of its build; `None` = nobody has, so it is [`BuildRef::of_log`].
    #[must_use]
    pub fn group_build(&self) -> Option<&GroupBuild> {
        self.view.build(&self.group)
    }

    /// The build it is to serve.
    #[must_use]
    pub fn build(&self) -> BuildRef {
        self.group_build().map_or_else(BuildRef::of_log, |it| it.build.clone())
    }

    /// Partitions that one of its leaves serves of its build.
    #[must_use]
    pub fn served_of_build(&self) -> BTreeSet<PartitionId> {
        let build = self.build();
        let is_of_it = |partition: &PartitionId| {
            let mut replicas = self.observed.replicas.values();
            replicas.any(|it| {
                it.partition == *partition
                    && it.state == ReplicaState::Serving
                    && it.build.as_deref().unwrap_or_default() == build.label()
            })
        };
        self.served().into_iter().filter(is_of_it).collect()
    }

    /// The cordon of a leaf, and whether it ends by itself.
    #[must_use]
    pub fn cordon(&self, leaf: &LeafName) -> Option<(&Cordon, bool)> {
        self.view.cordons().find(|(cordon, _)| cordon.leaf == *leaf)
    }

    /// Partitions that one of its leaves serves as owner or until the owner does.
    #[must_use]
    pub fn served(&self) -> BTreeSet<PartitionId> {
        let is_served = |partition: &PartitionId| {
            let it = &self.assignments[partition];
            let mut holders = std::iter::once(&it.owner).chain(&it.retiring);
            holders.any(|holder| self.observed.is_serving(*partition, holder))
        };
        self.assignments.keys().copied().filter(is_served).collect()
    }

    /// What the coordinator would do with a group that shall look like that.
    #[must_use]
    pub fn forecast(&self, wanted: &Wanted) -> Forecast {
        self.forecast_of(&self.observed, wanted)
    }

    pub(super) fn forecast_of(&self, observed: &Observed, wanted: &Wanted) -> Forecast {
        let (first, changes) = forecast(observed, wanted, &self.assignments, &Outlook::default());
        Forecast {
            held_back: self.decision.held_back.clone(),
            changes,
            refused: first.refused,
            unassigned: first.unassigned,
        }
    }
}
