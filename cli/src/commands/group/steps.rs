//! What is waited for with a group: each step bounded, told on stderr as it begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nautilus_coordinator::operate::Change;
use nautilus_registry::layout::{GroupName, GroupState, LeafName, Note};
use nautilus_types::{Class, PartitionId};

use super::unserved;
use crate::cli::Global;
use crate::commands::status;
use crate::exit::Failure;
use crate::format;
use crate::output;
use crate::placement::{LOOK_AGAIN, Placement, listed};

/// After a root has said that it sends nothing more: for other roots to hear of it, and for searches that are under
/// way to end.
const SETTLE: Duration = Duration::from_secs(2);

/// One group that something is done with.
pub(in crate::commands) struct Steps<'a> {
    placement: &'a Placement,
    group: &'a GroupName,
    began: Instant,
    until: Instant,
}

impl<'a> Steps<'a> {
    /// All of them together may take so long.
    pub(in crate::commands) fn new(
        placement: &'a Placement,
        group: &'a GroupName,
        wait: Duration,
    ) -> Self {
        let began = placement.clock.now();
        Self { placement, group, began, until: began + wait }
    }

    /// Since the first.
    pub(in crate::commands) fn took(&self) -> Duration {
        self.placement.clock.now().saturating_duration_since(self.began)
    }

    /// Tells what happens.
    pub(in crate::commands) fn say(&self, what: &str) {
        output::complain(&format!("{:>8}  {what}", format::took(self.took())));
    }

    /// Between two looks; an error where the time is over.
    async fn pause(&self, what: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.placement.clock.now() >= self.until {
            let message = format!("given up: {}", what());
            return Err(Failure::new(Class::Deadline, message).into());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
        Ok(())
    }

    /// Says what the group is for roots, until somebody says otherwise.
    pub(in crate::commands) async fn set_standing(
        &self,
        state: GroupState,
        note: Note,
    ) -> anyhow::Result<()> {
        let placed_unix_ms = self.placement.clock.unix_ms();
        let change = Change::Standing { state, note, placed_unix_ms, ttl: None };
        self.placement.apply(self.group, &change).await?;
        Ok(())
    }

    /// Until roots send it no searches.
    pub(in crate::commands) async fn until_quiet(&self, global: &Global) -> anyhow::Result<()> {
        loop {
            let groups =
                status::fetch(global).await.map(|status| status.groups).unwrap_or_default();
            let own = groups.iter().find(|it| it.name == self.group.as_str());
            if own.is_some_and(|it| it.standing == GroupState::Drained.as_str()) {
                break;
            }
            self.pause(|| "the root does not say that the group is drained".to_owned()).await?;
        }
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    /// The leaves that are there, with the number of their start.
    pub(in crate::commands) async fn starts(&self) -> anyhow::Result<BTreeMap<LeafName, u64>> {
        let group = self.placement.group(self.group).await?;
        let leaves = group.observed().leaves.values();
        Ok(leaves.map(|leaf| (leaf.leaf.clone(), leaf.start)).collect())
    }

    /// Until each of these leaves has started again.
    pub(in crate::commands) async fn until_restarted(
        &self,
        before: &BTreeMap<LeafName, u64>,
    ) -> anyhow::Result<()> {
        loop {
            let now = self.starts().await?;
            let is_old =
                |(leaf, start): &(&LeafName, &u64)| now.get(*leaf).is_none_or(|now| now <= *start);
            let waiting: Vec<&str> =
                before.iter().filter(is_old).map(|(leaf, _)| leaf.as_str()).collect();
            if waiting.is_empty() {
                return Ok(());
            }
            self.pause(|| format!("not started again: {}", waiting.join(", "))).await?;
        }
    }

    /// Until it serves every partition.
    pub(in crate::commands) async fn until_complete(&self) -> anyhow::Result<()> {
        let mut said = String::new();
        loop {
            let missing = unserved(self.placement, &self.placement.group(self.group).await?);
            if missing.is_empty() {
                return Ok(());
            }
            let now = format!("waiting for partition {}", listed(&missing));
            if now != said {
                self.say(&now);
                said = now;
            }
            self.pause(|| format!("nobody serves partition {}", listed(&missing))).await?;
        }
    }

    /// Until every partition is served of the build that the group is to serve.
    pub(in crate::commands) async fn until_of_build(&self) -> anyhow::Result<()> {
        let mut said = String::new();
        loop {
            let group = self.placement.group(self.group).await?;
            let served = group.served_of_build();
            let all = (0..self.placement.partitions()).map(PartitionId);
            let missing: Vec<PartitionId> = all.filter(|it| !served.contains(it)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            let now = format!("waiting for partition {}", listed(&missing));
            if now != said {
                self.say(&now);
                said = now;
            }
            let what = || {
                let partitions = listed(&missing);
                format!(
                    "partition {partitions} is not served of the build; `nautilus status` says why"
                )
            };
            self.pause(what).await?;
        }
    }

    /// Until its replicas have applied what is in the log now.
    pub(in crate::commands) async fn until_caught_up(&self, global: &Global) -> anyhow::Result<()> {
        let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
        loop {
            // One that cannot be asked now is asked again.
            let replicas = status::fetch(global).await.map(|it| it.partitions).unwrap_or_default();
            for replica in &replicas {
                let number = replica.label.as_ref().map_or(u32::MAX, |label| label.partition);
                ends.entry(number).or_insert(replica.log_high_offset);
            }
            let reached = |partition: u32| {
                let end = ends.get(&partition)?;
                replicas.iter().find(|it| {
                    it.replica_group == self.group.as_str()
                        && it.state == "SERVING"
                        && it.label.as_ref().is_some_and(|label| {
                            label.partition == partition && label.next_offset >= *end
                        })
                })
            };
            let partitions = 0..self.placement.partitions();
            let behind = partitions.filter(|partition| reached(*partition).is_none()).count();
            if behind == 0 {
                return Ok(());
            }
            self.pause(|| format!("{behind} partitions have not caught up")).await?;
        }
    }
}
