//! Which of two replicas that hold different content is wrong, by the same content made anew. Pure.

use nautilus_registry::layout::{DigestPoint, PartitionDigests};
use nautilus_types::Offset;

/// What a partition that was made anew says of two that differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Ours is as it must be.
    OtherIsWrong,
    /// The other group's is.
    OursIsWrong,
    /// Neither is, or what was made anew is wrong itself: nobody is taken out.
    Undecided,
}

/// Compares all three at one offset. At most one of two leaves that judge each other finds itself wrong.
pub(crate) fn judge(ours: &DigestPoint, other: &DigestPoint, remade: &DigestPoint) -> Verdict {
    match (is_same(ours, remade), is_same(other, remade)) {
        (true, false) => Verdict::OtherIsWrong,
        (false, true) => Verdict::OursIsWrong,
        (true, true) | (false, false) => Verdict::Undecided,
    }
}

/// Whether two points say the same of one offset; postings of other rules cannot be compared.
pub(crate) fn is_same(one: &DigestPoint, other: &DigestPoint) -> bool {
    one.next_offset == other.next_offset
        && one.documents == other.documents
        && (one.analyzer_version != other.analyzer_version || one.postings == other.postings)
}

/// Up to where both groups are known to have held the same before they differed at `differing`: a snapshot up to
/// there can be built on. 0 where that is not known.
pub(crate) fn agreed(ours: &[DigestPoint], other: &PartitionDigests, differing: Offset) -> Offset {
    let below = ours.iter().rev().filter(|point| point.next_offset < differing);
    let mut agreed = below.filter(|our| other.points.iter().any(|their| is_same(our, their)));
    agreed.next().map_or(Offset(0), |point| point.next_offset)
}

#[cfg(test)]
mod tests {
    use nautilus_registry::layout::{GroupName, LeafName};
    use nautilus_types::PartitionId;

    use super::*;

    fn point(offset: u64, content: u8) -> DigestPoint {
        DigestPoint {
            next_offset: Offset(offset),
            documents: [content; 16],
            postings: [content; 16],
            analyzer_version: 2,
        }
    }

    #[test]
    fn the_one_that_differs_from_what_was_made_anew_is_wrong() {
        let (right, wrong, third) = (point(9, 1), point(9, 2), point(9, 3));
        assert_eq!(judge(&right, &wrong, &right), Verdict::OtherIsWrong);
        assert_eq!(judge(&wrong, &right, &right), Verdict::OursIsWrong);
        assert_eq!(judge(&right, &wrong, &third), Verdict::Undecided);
        assert_eq!(judge(&right, &right, &right), Verdict::Undecided);
        // Of another moment: says nothing.
        assert_eq!(judge(&right, &wrong, &point(8, 1)), Verdict::Undecided);
        // Wrong postings under right documents are wrong too.
        let postings = DigestPoint { postings: [7; 16], ..right };
        assert_eq!(judge(&postings, &right, &right), Verdict::OursIsWrong);
    }

    #[test]
    fn the_last_agreement_before_a_difference_is_built_on() {
        let other = |points| PartitionDigests {
            partition: PartitionId(3),
            group: GroupName::new("b").expect("valid"),
            leaf: LeafName::new("leaf-1").expect("valid"),
            points,
        };
        let ours = [point(10, 1), point(20, 1), point(30, 1), point(40, 1)];
        let theirs = other(vec![point(10, 1), point(20, 1), point(30, 2), point(40, 1)]);
        assert_eq!(agreed(&ours, &theirs, Offset(30)), Offset(20));
        assert_eq!(agreed(&ours, &theirs, Offset(10)), Offset(0));
        assert_eq!(agreed(&ours, &other(vec![point(40, 1)]), Offset(30)), Offset(0));
    }
}
