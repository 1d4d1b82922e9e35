//! What an assignment means for this leaf. Pure.

use nautilus_registry::Revision;
use nautilus_registry::layout::{Assignment, Holder, LeafName};
use nautilus_types::Epoch;

/// One partition's assignment, as far as it concerns one leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The epoch under which the leaf serves it, as owner or until the owner does; none = it does not.
    pub(crate) held: Option<Epoch>,
    /// The newest epoch there is.
    pub(crate) newest: Epoch,
    /// When the assignment was written: what announcements are guarded by.
    pub(crate) revision: Revision,
}

impl Claim {
    /// What `assignment`, written at `revision`, means for `leaf`.
    pub(crate) fn of(assignment: &Assignment, revision: Revision, leaf: &LeafName) -> Self {
        let epoch = |holder: &Holder| (holder.leaf == *leaf).then_some(holder.epoch);
        let held =
            epoch(&assignment.owner).or_else(|| assignment.retiring.as_ref().and_then(epoch));
        Self { held, newest: assignment.owner.epoch, revision }
    }

    /// Whether it is older than what the leaf has seen: a registry that lost its last changes must not take a
    /// partition away.
    pub(crate) fn is_stale(&self, seen: Epoch) -> bool {
        self.newest < seen || self.held.is_some_and(|held| held < seen)
    }
}

#[cfg(test)]
mod tests {
    use nautilus_types::PartitionId;

    use super::*;

    fn holder(leaf: &str, epoch: u64) -> Holder {
        Holder { leaf: LeafName::new(leaf).expect("valid"), epoch: Epoch(epoch) }
    }

    fn claim(owner: Holder, retiring: Option<Holder>) -> Claim {
        let (partition, reason) = (PartitionId(1), "TEST".to_owned());
        let assignment = Assignment { partition, owner, retiring, reason, is_pinned: false };
        Claim::of(&assignment, Revision(3), &LeafName::new("us").expect("valid"))
    }

    #[test]
    fn owner_and_retiring_both_hold() {
        let held = |owner, retiring| claim(owner, retiring).held;
        assert_eq!(held(holder("us", 4), None), Some(Epoch(4)));
        assert_eq!(held(holder("them", 4), Some(holder("us", 3))), Some(Epoch(3)));
        assert_eq!(held(holder("us", 4), Some(holder("us", 3))), Some(Epoch(4)));
        assert_eq!(held(holder("them", 4), Some(holder("others", 3))), None);
        assert_eq!(held(holder("them", 4), None), None);
    }

    #[test]
    fn older_than_what_was_seen_is_stale() {
        assert!(claim(holder("us", 4), None).is_stale(Epoch(5)));
        assert!(!claim(holder("us", 4), None).is_stale(Epoch(4)));
        assert!(claim(holder("them", 4), None).is_stale(Epoch(5)));
        assert!(!claim(holder("them", 5), None).is_stale(Epoch(4)));
        assert!(!claim(holder("them", 5), Some(holder("us", 4))).is_stale(Epoch(4)));
        // Named again under an epoch that was already left behind.
        assert!(claim(holder("them", 6), Some(holder("us", 4))).is_stale(Epoch(5)));
    }
}
