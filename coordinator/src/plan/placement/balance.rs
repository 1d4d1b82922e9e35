//! Evening out how many partitions leaves have.

use std::collections::BTreeMap;

use nautilus_registry::layout::{Assignment, Holder, LeafName};
use nautilus_types::PartitionId;

use super::{Load, Placement};
use crate::plan::reason::Reason;

impl Placement<'_> {
    /// Rule 6, its second half.
    pub(in crate::plan) fn even_out(&mut self) {
        while self.moves < self.wanted.moves_max {
            let Some((partition, from, to)) = self.best_balancing_move() else { return };
            // Where there is no next epoch the partition stays, and would be chosen again.
            if !self.change_owner(partition, to, Some(from), Reason::Balance) {
                return;
            }
        }
    }

    /// A partition, its owner and its new leaf: from the fullest to the emptiest leaf for which it is allowed,
    /// while they differ by more than one. Pinned partitions stay, and count only where more would come: a leaf
    /// may have one more for each.
    fn best_balancing_move(&self) -> Option<(PartitionId, Holder, LeafName)> {
        let open = || self.loads.iter().filter(|(leaf, _)| self.observed.is_open(leaf));
        let mut movable: BTreeMap<&LeafName, Vec<PartitionId>> = BTreeMap::new();
        let mut pinned: BTreeMap<&LeafName, usize> = BTreeMap::new();
        for (partition, Assignment { owner, retiring, is_pinned, .. }) in &self.assignments {
            let is_settled = retiring.is_none() && !self.changed.contains(partition);
            if *is_pinned {
                *pinned.entry(&owner.leaf).or_default() += 1;
            } else if is_settled && self.observed.is_serving(*partition, owner) {
                movable.entry(&owner.leaf).or_default().push(*partition);
            }
        }
        let unpinned = |leaf: &LeafName, load: &Load| {
            load.owned.saturating_sub(pinned.get(leaf).copied().unwrap_or(0))
        };
        let mut from: Vec<_> =
            open().map(|(leaf, load)| (unpinned(leaf, load), load.retiring, *leaf)).collect();
        from.sort_unstable();
        let are_kept = self.idle_are_spares();
        let mut to: Vec<_> = open()
            .filter(|(_, load)| self.has_room(load) && !(are_kept && load.is_idle()))
            .map(|(leaf, load)| (*load, *leaf))
            .collect();
        to.sort_unstable();
        for (unpinned, _, from) in from.iter().rev() {
            let Some(partitions) = movable.get(from) else { continue };
            for (_, to) in to.iter().take_while(|(it, _)| it.owned + 1 < *unpinned) {
                let mut sound = partitions.iter().filter(|it| !self.has_failed_on(**it, to));
                if let Some(partition) = sound.next() {
                    let owner = self.assignments.get(partition)?.owner.clone();
                    return Some((*partition, owner, (*to).clone()));
                }
            }
        }
        None
    }
}
