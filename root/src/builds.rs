//! Which build a search is asked of: one, for all its partitions. Pure.
//!
//! Scores and statistics of different builds do not go together, so where groups run different ones a search is asked of
//! the replicas of one of them alone.

use std::collections::BTreeMap;

use crate::routing::Standing;

/// The builds that serve most of a request's partitions, best first: by how many they serve, then by the worst standing
/// that a partition must be asked at, then in an order that `random` begins. `parts` are the replicas of each partition.
#[must_use]
pub fn ranked<'b>(parts: &[Vec<(Standing, &'b str)>], random: u64) -> Vec<&'b str> {
    let mut served: BTreeMap<&str, Vec<Standing>> = BTreeMap::new();
    for part in parts {
        let mut best: BTreeMap<&str, Standing> = BTreeMap::new();
        for (standing, build) in part {
            let known = best.entry(build).or_insert(*standing);
            *known = (*known).min(*standing);
        }
        for (build, standing) in best {
            served.entry(build).or_default().push(standing);
        }
    }
    let most = served.values().map(Vec::len).max().unwrap_or(0);
    let mut builds: Vec<(Option<Standing>, &str)> = served
        .into_iter()
        .filter(|(_, standings)| standings.len() == most)
        .map(|(build, standings)| (standings.into_iter().max(), build))
        .collect();
    let count = u64::try_from(builds.len()).unwrap_or(u64::MAX).max(1);
    builds.rotate_left(usize::try_from(random % count).unwrap_or(0));
    // Stable: among equals the rotation decides.
    builds.sort_by_key(|(standing, _)| *standing);
    builds.into_iter().map(|(_, build)| build).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVING: Standing = Standing::Serving;
    const DRAINED: Standing = Standing::GroupDrained;

    #[test]
    fn what_serves_all_comes_first_then_what_nobody_drained() {
        let one = vec![vec![(SERVING, "")], vec![(SERVING, ""), (DRAINED, "")]];
        assert_eq!(ranked(&one, 7), [""]);
        let half = vec![vec![(SERVING, "a"), (DRAINED, "b")], vec![(DRAINED, "b")]];
        assert_eq!(ranked(&half, 0), ["b"]);
        let drained = vec![vec![(DRAINED, "a"), (SERVING, "b")]; 2];
        assert_eq!((ranked(&drained, 0), ranked(&drained, 1)), (vec!["b", "a"], vec!["b", "a"]));
        // A draining replica of one partition makes the whole search worse there.
        let mixed = vec![
            vec![(SERVING, "a"), (SERVING, "b")],
            vec![(Standing::Draining, "a"), (SERVING, "b"), (SERVING, "b")],
        ];
        assert_eq!(ranked(&mixed, 0), ["b", "a"]);
        let equal = vec![vec![(SERVING, "a"), (SERVING, "b")]];
        assert_eq!((ranked(&equal, 2)[0], ranked(&equal, 3)[0]), ("a", "b"));
        assert!(ranked(&[vec![], vec![]], 5).is_empty());
    }
}
