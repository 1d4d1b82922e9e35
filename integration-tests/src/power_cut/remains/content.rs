//! Which bytes a file may have after the cut.

use std::path::Path;

use super::CutStyle;
use crate::rng::Rng;

/// What the system writes back at once.
const PAGE_BYTES: usize = 4_096;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

/// A file whose first `synced` bytes are safe and which only grew.
pub(super) fn appended(
    synced: usize,
    current: &[u8],
    path: &Path,
    style: CutStyle,
    rng: &mut Rng,
) -> Vec<u8> {
    let length = match style {
        CutStyle::SyncedOnly => synced,
        CutStyle::Drawn => length_between(synced, current.len(), rng),
    };
    let mut left = current[..length].to_vec();
    damage(&mut left[synced..], synced, path, rng);
    left
}

/// A file that held `old` at its last sync and may have been written anywhere since.
pub(super) fn overwritten(
    old: &[u8],
    current: &[u8],
    path: &Path,
    style: CutStyle,
    rng: &mut Rng,
) -> Vec<u8> {
    if style == CutStyle::SyncedOnly || old == current {
        return old.to_vec();
    }
    let common = old.len().min(current.len());
    let longer = if current.len() > old.len() { current } else { old };
    let mut left = longer[..length_between(common, longer.len(), rng)].to_vec();
    for start in (0..common).step_by(PAGE_BYTES) {
        // Pages are mostly written back whole; a torn one has old and new sectors.
        let is_torn = rng.below(8) == 0;
        let is_new = rng.coin();
        for start in (start..common.min(start + PAGE_BYTES)).step_by(SECTOR_BYTES) {
            let sector = start..common.min(start + SECTOR_BYTES);
            let is_new = if is_torn { rng.coin() } else { is_new };
            left[sector.clone()].copy_from_slice(if is_new {
                &current[sector]
            } else {
                &old[sector]
            });
        }
    }
    if current.len() > old.len() {
        damage(&mut left[common..], common, path, rng);
    }
    left
}

/// One of the ends, or anything between.
fn length_between(shortest: usize, longest: usize, rng: &mut Rng) -> usize {
    match rng.below(4) {
        0 => shortest,
        1 => longest,
        _ => shortest + rng.index(longest - shortest + 1),
    }
}

/// Zeros or garbage in pages of a tail that was not synced, in files whose readers promise to notice.
/// RocksDB promises that for the ends of its files only where they are cut off, which is what ext4
/// and XFS make of them.
fn damage(tail: &mut [u8], position: usize, path: &Path, rng: &mut Rng) {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_checked = name.ends_with(".segment") || name.ends_with("-wal");
    if !is_checked || rng.coin() {
        return;
    }
    let mut start = 0;
    while start < tail.len() {
        let end = tail.len().min(start + PAGE_BYTES - (position + start) % PAGE_BYTES);
        match rng.below(6) {
            0 => tail[start..end].fill(0),
            1 => tail[start..end].fill_with(|| rng.draw().to_le_bytes()[0]),
            _ => {}
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_whatever_is_drawn() {
        let current: Vec<u8> = (0..20_000_usize).map(|at| at.to_le_bytes()[0] | 1).collect();
        let path = Path::new("0.segment");
        let mut rng = Rng::new(3);
        let mut lengths = std::collections::BTreeSet::new();
        let mut damaged = 0;
        for _ in 0..200 {
            let left = appended(5_000, &current, path, CutStyle::Drawn, &mut rng);
            assert_eq!(left[..5_000], current[..5_000]);
            damaged += u32::from(left[..] != current[..left.len()]);
            lengths.insert(left.len());
        }
        assert!(lengths.contains(&5_000) && lengths.contains(&20_000) && lengths.len() > 50);
        assert!((50..150).contains(&damaged), "{damaged}");
        let left = appended(5_000, &current, path, CutStyle::SyncedOnly, &mut rng);
        assert_eq!(left, current[..5_000]);
    }

    #[test]
    fn overwritten_sectors_are_old_or_new() {
        let (old, new) = (vec![1_u8; 9_000], vec![2_u8; 12_000]);
        let mut rng = Rng::new(4);
        let mut is_mixed = false;
        for _ in 0..100 {
            let left = overwritten(&old, &new, Path::new("CURRENT"), CutStyle::Drawn, &mut rng);
            assert!((9_000..=12_000).contains(&left.len()));
            for sector in left[..8_704].chunks(SECTOR_BYTES) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "sectors are whole");
            }
            assert!(left[9_000..].iter().all(|byte| *byte == 2));
            is_mixed |= left[0] != left[4_096];
        }
        assert!(is_mixed);
        let left = overwritten(&old, &new, Path::new("x"), CutStyle::SyncedOnly, &mut rng);
        assert_eq!(left, old);
    }
}
