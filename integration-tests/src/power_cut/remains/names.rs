//! Which names a folder may have after the cut.

use std::collections::BTreeSet;

use super::CutStyle;
use crate::power_cut::durable::Names;
use crate::rng::Rng;

/// Between the names of the folder's last sync and the current ones: each new file and each removed
/// one on its own, all renames together, since a renamed file is never without a name.
pub(super) fn choose(synced: &Names, current: &Names, style: CutStyle, rng: &mut Rng) -> Names {
    if style == CutStyle::SyncedOnly {
        return synced.clone();
    }
    let inodes = |names: &Names| names.values().copied().collect::<BTreeSet<u64>>();
    let (synced_inodes, current_inodes) = (inodes(synced), inodes(current));
    let renames_are_kept = rng.coin();
    let mut chosen = Names::new();
    for name in synced.keys().chain(current.keys()).collect::<BTreeSet<_>>() {
        let inode = match (synced.get(name), current.get(name)) {
            (Some(was), None) if !current_inodes.contains(was) => Some(*was).filter(|_| rng.coin()),
            (None, Some(is)) if !synced_inodes.contains(is) => Some(*is).filter(|_| rng.coin()),
            (was, is) => if renames_are_kept { is } else { was }.copied(),
        };
        if let Some(inode) = inode {
            chosen.insert(name.clone(), inode);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pairs: &[(&str, u64)]) -> Names {
        pairs.iter().map(|(name, inode)| ((*name).into(), *inode)).collect()
    }

    #[test]
    fn a_rename_happens_or_not_and_the_rest_is_drawn() {
        let synced = names(&[("CURRENT", 1), ("tmp", 2), ("removed", 3), ("kept", 4)]);
        let current = names(&[("CURRENT", 2), ("new", 5), ("kept", 4)]);
        let mut rng = Rng::new(1);
        let mut seen = BTreeSet::new();
        for _ in 0..200 {
            let mut chosen = choose(&synced, &current, CutStyle::Drawn, &mut rng);
            assert_eq!(chosen.remove("kept".as_ref() as &std::ffi::OsStr), Some(4));
            let renamed = !chosen.contains_key("tmp".as_ref() as &std::ffi::OsStr);
            let now = chosen["CURRENT".as_ref() as &std::ffi::OsStr];
            assert_eq!(now, if renamed { 2 } else { 1 });
            seen.insert(chosen);
        }
        assert_eq!(seen.len(), 8, "renames, the new file, the removed file: each both ways");
        assert_eq!(choose(&synced, &current, CutStyle::SyncedOnly, &mut rng), synced);
    }
}
