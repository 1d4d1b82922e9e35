use proptest::prelude::*;

use super::*;

fn group(number: usize) -> GroupName {
    GroupName::new(["a", "b", "c"][number % 3]).expect("valid")
}

fn standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Serving),
        Just(Standing::Draining),
        Just(Standing::GroupDrained),
        Just(Standing::Outdated),
        Just(Standing::NotReady),
    ]
}

proptest! {
    #[test]
    fn a_share_is_drawn_as_often_as_it_says(
        share in 0..=SHARE_ALL,
        other in 0..=SHARE_ALL,
        random in any::<u64>(),
    ) {
        prop_assert!(!is_drawn(0, random));
        prop_assert!(is_drawn(SHARE_ALL, random));
        // Of every million numbers in a row, so many as the share says.
        prop_assert_eq!(is_drawn(share, random), random % 1_000_000 < u64::from(share));
        // A larger share draws what a smaller one does, and more.
        let (less, more) = (share.min(other), share.max(other));
        prop_assert!(!is_drawn(less, random) || is_drawn(more, random));
    }

    #[test]
    fn a_target_serves_every_part(
        parts in proptest::collection::vec(
            proptest::collection::vec((0..3_usize, standing(), any::<bool>()), 0..6), 1..5),
    ) {
        let groups = [group(0), group(1), group(2)];
        let parts: Vec<Vec<BuildReplica<'_>>> = parts.iter().map(|part| part.iter().map(|it| {
            let build = if it.2 { "new" } else { "" };
            BuildReplica { group: &groups[it.0], standing: it.1, build }
        }).collect()).collect();
        let serves_all = |group: &GroupName| parts.iter().all(|part| part.iter().any(|it| {
            it.group == group && it.build == "new"
                && matches!(it.standing, Standing::Serving | Standing::GroupDrained)
        }));
        match target(&parts, "new") {
            Some(group) => prop_assert!(serves_all(group)),
            None => prop_assert!(!groups.iter().any(serves_all)),
        }
        let gone = target(&parts, "gone");
        prop_assert_eq!(gone, None);
    }
}

#[test]
fn drained_groups_come_first() {
    let (a, b) = (group(0), group(1));
    let of = |group, standing| BuildReplica { group, standing, build: "new" };
    let part = |b_is| vec![of(&a, Standing::Serving), of(&b, b_is)];
    let drained = vec![part(Standing::GroupDrained), part(Standing::GroupDrained)];
    assert_eq!(target(&drained, "new"), Some(&b));
    let active = vec![part(Standing::Serving), part(Standing::Serving)];
    assert_eq!(target(&active, "new"), Some(&a));
    let half = vec![part(Standing::GroupDrained), part(Standing::NotReady)];
    assert_eq!(target(&half, "new"), Some(&a), "the other does not serve all of it");
}
