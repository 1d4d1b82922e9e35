//! Where the folders of partitions are, and which of them may be used.
//!
//! ```text
//! p0003-e7             partition 3, made under epoch 7; a later epoch goes on with it
//! p0003-e9.downloading a snapshot on its way
//! p0003-e7.snapshot    a checkpoint on its way out
//! p0003-e7.scrub       a checkpoint that is being read to its last block
//! p0003.remade         made anew from the log, to see which of two replicas is right
//! p0003-e7.removing    being deleted: no longer there for anybody
//! p0003.damaged        set aside for a person; one is kept
//! ```
//!
//! A new folder carries the epoch it was made under, and one that goes is renamed first, so that what is being
//! made and what is being removed never meet. The database's own exchange folders (`….rebuilt`) belong to their folder.

use std::io;
use std::path::{Path, PathBuf};

use nautilus_types::{Epoch, PartitionId};

/// Suffixes of what is left of work that was cut short.
const LEFTOVERS: [&str; 5] = [".downloading", ".snapshot", ".scrub", REMADE, ".removing"];
const REMADE: &str = ".remade";

/// The folders of one partition under the leaf's.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    root: PathBuf,
    partition: PartitionId,
}

impl Folders {
    pub(crate) fn new(root: &Path, partition: PartitionId) -> Self {
        Self { root: root.to_owned(), partition }
    }

    /// The folder a life under this epoch makes.
    pub(crate) fn fresh(&self, epoch: Epoch) -> PathBuf {
        self.root.join(format!("p{:04}-e{}", self.partition.0, epoch.0))
    }

    /// Where a checkpoint is made before it is published.
    pub(crate) fn checkpoint(&self, epoch: Epoch) -> PathBuf {
        with_suffix(&self.fresh(epoch), ".snapshot")
    }

    /// Where a checkpoint is made to be read through.
    pub(crate) fn scrub(&self, epoch: Epoch) -> PathBuf {
        with_suffix(&self.fresh(epoch), ".scrub")
    }

    /// Where it is made anew, to be compared.
    pub(crate) fn remade(&self) -> PathBuf {
        self.root.join(format!("p{:04}{REMADE}", self.partition.0))
    }

    /// Puts what was made anew in the place of `folder`, which is set aside. Cut short anywhere, the database finishes it
    /// when it is opened: a half of an exchange that is whole goes before the other.
    pub(crate) fn exchange(&self, folder: &Path) -> io::Result<PathBuf> {
        std::fs::rename(self.remade(), with_suffix(folder, ".rebuilt"))?;
        self.set_aside(folder)
    }

    /// The folder to go on with: the one of the highest epoch.
    pub(crate) fn existing(&self) -> io::Result<Option<PathBuf>> {
        let mut newest = None;
        for name in names(&self.root)? {
            // A database that was being exchanged may have only its new half.
            let base = name.strip_suffix(".rebuilt").unwrap_or(&name);
            if let Some(epoch) = self.epoch_of(base) {
                newest = newest.max(Some((epoch, base.to_owned())));
            }
        }
        Ok(newest.map(|(_, name)| self.root.join(name)))
    }

    /// Removes `folder`: at once for whoever looks, file by file for the disk.
    pub(crate) fn remove(folder: &Path) -> io::Result<()> {
        let removing = with_suffix(folder, ".removing");
        remove_if_there(&removing)?;
        match std::fs::rename(folder, &removing) {
            Ok(()) => std::fs::remove_dir_all(removing),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Renames `folder` so that nothing uses it and a person can look; the one set aside before goes.
    pub(crate) fn set_aside(&self, folder: &Path) -> io::Result<PathBuf> {
        let aside = self.root.join(format!("p{:04}.damaged", self.partition.0));
        remove_if_there(&aside)?;
        std::fs::rename(folder, &aside)?;
        Ok(aside)
    }

    /// The epoch in the name of a folder of this partition.
    fn epoch_of(&self, name: &str) -> Option<Epoch> {
        let (partition, epoch) = parse(name)?;
        (partition == self.partition).then_some(epoch)
    }
}

/// Removes what work that was cut short left under a leaf's folder. Nothing may be under way there.
pub(crate) fn remove_leftovers(root: &Path) -> io::Result<()> {
    for name in names(root)? {
        let base = LEFTOVERS.iter().find_map(|suffix| name.strip_suffix(suffix));
        // A snapshot may have been on its way to what was being made anew.
        let base = base.map(|base| base.strip_suffix(REMADE).unwrap_or(base));
        if base.and_then(parse).is_some() {
            std::fs::remove_dir_all(root.join(name))?;
        }
    }
    Ok(())
}

/// Removes a folder that may not be there.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Partition and epoch in a folder's name; the epoch is 0 in names made before there were epochs.
fn parse(name: &str) -> Option<(PartitionId, Epoch)> {
    let (partition, epoch) = match name.split_once("-e") {
        Some((partition, epoch)) => (partition, epoch.parse().ok()?),
        None => (name, 0),
    };
    let number = PartitionId(partition.strip_prefix('p')?.parse().ok()?);
    (partition == format!("p{:04}", number.0)).then_some((number, Epoch(epoch)))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Names under a folder that may not exist yet; those that are not text are not ours.
fn names(root: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_sound_folder_is_used_and_leftovers_go() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folders = Folders::new(root.path(), PartitionId(3));
        assert_eq!(folders.existing().expect("readable"), None);
        let make = |name: &str| std::fs::create_dir(root.path().join(name)).expect("made");
        for name in ["p0003", "p0003.damaged", "p0003-e12.downloading", "p0003-e13.removing"] {
            make(name);
        }
        for name in ["p0003.remade", "p0003.remade.downloading"] {
            make(name);
        }
        for name in ["p0004-e99", "p00035-e99", "p0003-e77.rebuild", "lost+found", "p0003-ex"] {
            make(name);
        }
        let existing = || folders.existing().expect("readable").expect("there");
        assert_eq!(existing(), root.path().join("p0003"));
        make("p0003-e9");
        make("p0003-e10");
        assert_eq!(existing(), folders.fresh(Epoch(10)));
        make("p0003-e11.rebuilt");
        assert_eq!(existing(), folders.fresh(Epoch(11)));

        remove_leftovers(root.path()).expect("removed");
        let cut_short = ["p0003-e12.downloading", "p0003-e13.removing"];
        for name in cut_short.into_iter().chain(["p0003.remade", "p0003.remade.downloading"]) {
            assert!(!root.path().join(name).exists(), "{name}");
        }
        for name in ["p0003", "p0003-e10", "p0004-e99", "lost+found", "p0003.damaged"] {
            assert!(root.path().join(name).exists(), "{name}");
        }
    }

    #[test]
    fn an_exchange_leaves_the_new_half_and_the_old_aside() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folders = Folders::new(root.path(), PartitionId(3));
        let folder = folders.fresh(Epoch(4));
        std::fs::create_dir(&folder).expect("made");
        assert!(folders.exchange(&folder).is_err(), "nothing was made anew");
        assert!(folder.exists());
        std::fs::create_dir(folders.remade()).expect("made");
        let aside = folders.exchange(&folder).expect("exchanged");
        assert!(aside.exists() && !folder.exists() && !folders.remade().exists());
        assert_eq!(folders.existing().expect("readable"), Some(folder));
    }

    #[test]
    fn one_damaged_folder_is_kept() {
        let root = tempfile::tempdir().expect("temporary folder");
        let folders = Folders::new(root.path(), PartitionId(3));
        for epoch in [4, 5] {
            let folder = folders.fresh(Epoch(epoch));
            std::fs::create_dir(&folder).expect("made");
            std::fs::write(folder.join("note"), epoch.to_string()).expect("written");
            let aside = folders.set_aside(&folder).expect("set aside");
            assert_eq!(
                std::fs::read(aside.join("note")).expect("kept"),
                epoch.to_string().as_bytes()
            );
            assert!(!folder.exists());
        }
        let fresh = folders.fresh(Epoch(6));
        std::fs::create_dir(&fresh).expect("made");
        Folders::remove(&fresh).expect("removed");
        Folders::remove(&fresh).expect("removing what is gone is no error");
        assert_eq!(std::fs::read_dir(root.path()).expect("readable").count(), 1);
    }
}
