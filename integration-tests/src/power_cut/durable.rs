//! What the disk must hold: names and contents as of their last sync.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::journal::Event;

/// Files up to this size, and SQLite's, are kept whole: they may be overwritten in place. The same
/// as in the shim.
const SMALL_BYTES_MAX: u64 = 64 * 1024;

/// Inode by name.
pub(super) type Names = BTreeMap<OsString, u64>;

/// A file's content at its last sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Synced {
    /// In bytes.
    pub(super) size: u64,
    /// A copy of it, for files that may be overwritten; of others the first `size` bytes still stand.
    pub(super) copy: Option<PathBuf>,
}

/// Names of files by folder, and contents by inode.
#[derive(Debug, Clone, Default)]
pub(super) struct Durable {
    /// Folders relative to the data folder.
    pub(super) folders: BTreeMap<PathBuf, Names>,
    pub(super) files: HashMap<u64, Synced>,
}

impl Durable {
    /// Everything that is in the folder now. Copies go to `copies`.
    pub(super) fn of_folder(data_dir: &Path, copies: &Path) -> anyhow::Result<Self> {
        let mut durable = Self { folders: folders(data_dir)?, files: HashMap::new() };
        for (folder, names) in &durable.folders {
            for (name, inode) in names {
                let path = data_dir.join(folder).join(name);
                let size = fs::metadata(&path).context("look at a file")?.len();
                let mut copy = None;
                if size <= SMALL_BYTES_MAX || name.to_string_lossy().contains(".sqlite") {
                    let kept = copies.join(inode.to_string());
                    fs::copy(&path, &kept).with_context(|| format!("copy {}", path.display()))?;
                    copy = Some(kept);
                }
                durable.files.insert(*inode, Synced { size, copy });
            }
        }
        Ok(durable)
    }

    /// Takes in one recorded call.
    pub(super) fn apply(&mut self, event: &Event, copies: &Path) -> anyhow::Result<()> {
        match event {
            Event::File { inode, size, copy, path } => {
                let copy = copy.as_ref().map(|name| copies.join(name));
                self.files.insert(*inode, Synced { size: *size, copy });
                let folder = path.parent().unwrap_or(Path::new(""));
                let names = self.folders.entry(folder.to_owned()).or_default();
                // The journal of the file system commits a new name with the file behind it.
                names.retain(|_, of| of != inode);
                names.insert(path.file_name().unwrap_or_default().to_owned(), *inode);
            }
            Event::Size { inode, size } => {
                if let Some(synced) = self.files.get_mut(inode).filter(|one| one.copy.is_none()) {
                    synced.size = synced.size.min(*size);
                }
            }
            Event::Folder { copy, path } => {
                let listing = copies.join(copy);
                let text = fs::read_to_string(&listing)
                    .with_context(|| format!("read {}", listing.display()))?;
                let names = text.lines().filter_map(|line| {
                    let (inode, name) = line.split_once(' ')?;
                    Some((OsString::from(name), inode.parse().ok()?))
                });
                self.folders.insert(path.clone(), names.collect());
            }
        }
        Ok(())
    }
}

/// Names of the regular files in the folder and all below it. Folders without files are there too.
pub(super) fn folders(data_dir: &Path) -> anyhow::Result<BTreeMap<PathBuf, Names>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let mut names = Names::new();
        let path = data_dir.join(&folder);
        for entry in fs::read_dir(&path).with_context(|| format!("list {}", path.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(folder.join(entry.file_name()));
            } else if kind.is_file() {
                names.insert(entry.file_name(), entry.metadata()?.ino());
            }
        }
        found.insert(folder, names);
    }
    Ok(found)
}
