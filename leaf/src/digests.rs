//! When replicas are compared, and what a comparison says. Pure.

use nautilus_registry::layout::{DIGEST_POINTS_MAX, DigestPoint, GroupName, PartitionDigests};
use nautilus_types::{Offset, PartitionId};

use crate::verdict::agreed;

/// Partitions take their turns within an interval.
const PHASES: u32 = 64;

/// Which records of a log begin a new interval of its time: the same ones for every replica, which none has to tell
/// the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Points {
    /// 0 = never.
    interval_ms: u64,
    phase_ms: u64,
    last_ms: Option<u64>,
}

impl Points {
    pub(crate) fn new(interval_ms: u64, partition: PartitionId) -> Self {
        let phase_ms = interval_ms / u64::from(PHASES) * u64::from(partition.0 % PHASES);
        Self { interval_ms, phase_ms, last_ms: None }
    }

    /// Whether the record that came then begins an interval; asked once more about the same record it says no.
    pub(crate) fn begins(&mut self, appended_ms: u64) -> bool {
        let interval = |ms: u64| ms.saturating_add(self.phase_ms) / self.interval_ms.max(1);
        let begins = self.last_ms.is_some_and(|last| interval(last) < interval(appended_ms));
        self.last_ms = Some(appended_ms);
        begins && self.interval_ms > 0
    }
}

/// Adds a point; the oldest make room.
pub(crate) fn add(points: &mut Vec<DigestPoint>, point: DigestPoint) {
    // A replica that was made anew may come by an offset again.
    points.retain(|old| old.next_offset < point.next_offset);
    points.push(point);
    let excess = points.len().saturating_sub(DIGEST_POINTS_MAX);
    points.drain(..excess);
}

/// What two groups say of the newest offset at which both have looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) other: GroupName,
    pub(crate) offset: Offset,
    pub(crate) ours: DigestPoint,
    pub(crate) theirs: DigestPoint,
    /// Where both held the same before; 0 = nowhere that is known.
    pub(crate) agreed: Offset,
    /// What they disagree about: documents, postings, or both; empty = they agree.
    pub(crate) differing: Vec<&'static str>,
}

/// Compares with every other group, as far as there is an offset in common.
pub(crate) fn compare(ours: &PartitionDigests, all: &[PartitionDigests]) -> Vec<Comparison> {
    let others = all.iter().filter(|other| other.group != ours.group);
    others.filter_map(|other| compare_with(ours, other)).collect()
}

fn compare_with(ours: &PartitionDigests, other: &PartitionDigests) -> Option<Comparison> {
    let at = |offset| other.points.iter().find(|point| point.next_offset == offset);
    let common = ours.points.iter().rev().find_map(|our| Some((our, at(our.next_offset)?)));
    let (ours_there, theirs) = common?;
    let mut differing = Vec::new();
    if ours_there.documents != theirs.documents {
        differing.push("documents");
    }
    let is_comparable = ours_there.analyzer_version == theirs.analyzer_version;
    if is_comparable && ours_there.postings != theirs.postings {
        differing.push("postings");
    }
    let offset = ours_there.next_offset;
    Some(Comparison {
        other: other.group.clone(),
        offset,
        ours: *ours_there,
        theirs: *theirs,
        agreed: agreed(&ours.points, other, offset),
        differing,
    })
}

#[cfg(test)]
mod tests {
    use nautilus_registry::layout::LeafName;

    use super::*;

    fn point(offset: u64, documents: u8) -> DigestPoint {
        DigestPoint {
            next_offset: Offset(offset),
            documents: [documents; 16],
            postings: [1; 16],
            analyzer_version: 2,
        }
    }

    fn digests(group: &str, points: Vec<DigestPoint>) -> PartitionDigests {
        PartitionDigests {
            partition: PartitionId(3),
            group: GroupName::new(group).expect("valid"),
            leaf: LeafName::new("leaf-1").expect("valid"),
            points,
        }
    }

    #[test]
    fn the_first_record_of_an_interval_is_a_point_once() {
        let mut points = Points::new(1_000, PartitionId(0));
        // What came before is not known.
        assert!(!points.begins(5_500));
        assert!(!points.begins(5_999));
        assert!(points.begins(6_000));
        assert!(!points.begins(6_000));
        // A clock that goes back begins nothing twice by itself.
        assert!(!points.begins(5_990));
        assert!(points.begins(9_000));
        let mut never = Points::new(0, PartitionId(9));
        assert!(!never.begins(1) && !never.begins(u64::MAX));
    }

    #[test]
    fn the_newest_common_offset_decides() {
        let ours = digests("a", vec![point(10, 1), point(20, 1), point(30, 1)]);
        let other = digests("b", vec![point(10, 9), point(20, 1), point(40, 9)]);
        let found = compare(&ours, &[ours.clone(), other.clone()]);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].offset, found[0].differing.is_empty()), (Offset(20), true));
        let other = digests("b", vec![point(20, 2)]);
        assert_eq!(compare(&ours, &[other])[0].differing, ["documents"]);
        assert!(compare(&ours, &[digests("b", vec![point(15, 1)])]).is_empty());
        let newer = DigestPoint { postings: [7; 16], analyzer_version: 3, ..point(30, 1) };
        assert!(compare(&ours, &[digests("b", vec![newer])])[0].differing.is_empty());
    }

    #[test]
    fn old_points_make_room_and_none_stands_twice() {
        let mut points = Vec::new();
        (0..20).for_each(|n| add(&mut points, point(n, 1)));
        assert_eq!(points.len(), DIGEST_POINTS_MAX);
        add(&mut points, point(15, 2));
        assert_eq!(points.last(), Some(&point(15, 2)));
        assert!(points.is_sorted_by_key(|point| point.next_offset));
    }
}
