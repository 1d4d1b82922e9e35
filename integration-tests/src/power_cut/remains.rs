//! What a disk may hold after a power cut: what it must, and a drawn part of what came later.

mod content;
mod names;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::durable::{self, Durable, Names};
use crate::rng::Rng;

/// How much of what was not synced is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutStyle {
    /// Nothing: the disk holds what was synced.
    SyncedOnly,
    /// A drawn part.
    Drawn,
}

/// What a power cut did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CutReport {
    /// Names of files that are gone.
    pub names_lost: u64,
    /// Names of removed files that are there again.
    pub names_back: u64,
    /// Files whose content changed.
    pub files_changed: u64,
    /// Bytes that files became shorter by.
    pub bytes_lost: u64,
}

impl fmt::Display for CutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names_lost, names_back, files_changed, bytes_lost } = self;
        write!(
            f,
            "{files_changed} files changed, {bytes_lost} bytes and {names_lost} names lost, \
             {names_back} names back"
        )
    }
}

/// Makes the data folder what it may be after the cut. It is built anew beside itself and takes its
/// own place at the end.
pub(super) fn leave(
    data_dir: &Path,
    graves: &Path,
    durable: &Durable,
    style: CutStyle,
    rng: &mut Rng,
) -> anyhow::Result<CutReport> {
    let (before, after) = (data_dir.with_extension("before"), data_dir.with_extension("after"));
    let current = durable::folders(data_dir)?;
    let mut cut = Cut {
        durable,
        style,
        rng,
        places: places(data_dir, &current, graves)?,
        report: CutReport::default(),
    };
    for (folder, names) in &current {
        let to = after.join(folder);
        let parent_stays = folder.as_os_str().is_empty() || to.parent().is_some_and(Path::is_dir);
        if !parent_stays || !cut.folder_stays(folder) {
            cut.report.names_lost += u64::try_from(names.len())?;
            continue;
        }
        fs::create_dir(&to).with_context(|| format!("make {}", to.display()))?;
        let mode = fs::metadata(data_dir.join(folder))?.permissions();
        fs::set_permissions(&to, mode).context("set a folder's mode")?;
        cut.leave_files(&data_dir.join(folder), folder, names, &to)?;
    }
    fs::rename(data_dir, &before).context("put the data folder aside")?;
    fs::rename(&after, data_dir).context("put what the cut left in place")?;
    fs::remove_dir_all(&before).context("remove the data folder of before the cut")?;
    Ok(cut.report)
}

/// Where the content of each inode is.
fn places(
    data_dir: &Path,
    current: &BTreeMap<PathBuf, Names>,
    graves: &Path,
) -> anyhow::Result<HashMap<u64, PathBuf>> {
    let mut places = HashMap::new();
    for entry in fs::read_dir(graves).context("list the graves")? {
        let entry = entry?;
        places.insert(entry.metadata()?.ino(), entry.path());
    }
    for (folder, names) in current {
        for (name, inode) in names {
            places.insert(*inode, data_dir.join(folder).join(name));
        }
    }
    Ok(places)
}

struct Cut<'a> {
    durable: &'a Durable,
    style: CutStyle,
    rng: &'a mut Rng,
    places: HashMap<u64, PathBuf>,
    report: CutReport,
}

impl Cut<'_> {
    /// A folder stays where something in it was synced, or its name was.
    fn folder_stays(&mut self, folder: &Path) -> bool {
        let holds_something = self.durable.folders.keys().any(|known| known.starts_with(folder));
        let is_named = || {
            let above = self.durable.folders.get(folder.parent()?)?;
            above.get(folder.file_name()?)
        };
        holds_something
            || is_named().is_some()
            || (self.style == CutStyle::Drawn && self.rng.coin())
    }

    fn leave_files(
        &mut self,
        from: &Path,
        folder: &Path,
        current: &Names,
        to: &Path,
    ) -> anyhow::Result<()> {
        let nothing = Names::new();
        let synced = self.durable.folders.get(folder).unwrap_or(&nothing);
        let chosen = names::choose(synced, current, self.style, self.rng);
        let lost = current.keys().filter(|name| !chosen.contains_key(*name)).count();
        self.report.names_lost += u64::try_from(lost)?;
        for (name, inode) in &chosen {
            // Folders are in listings too, and follow by themselves.
            if from.join(name).is_dir() {
                continue;
            }
            // What was removed without the shim seeing it has no content to come back with.
            let Some(place) = self.places.get(inode) else { continue };
            if !current.contains_key(name) {
                self.report.names_back += 1;
            }
            self.leave_file(place.clone(), *inode, &to.join(name))?;
        }
        Ok(())
    }

    fn leave_file(&mut self, from: PathBuf, inode: u64, to: &Path) -> anyhow::Result<()> {
        let shown = || format!("leave {}", to.display());
        let synced = self.durable.files.get(&inode);
        let size = fs::metadata(&from).with_context(shown)?.len();
        let is_whole = synced.is_some_and(|one| one.copy.is_none() && one.size >= size);
        if is_whole {
            return fs::hard_link(&from, to).with_context(shown);
        }
        let current = fs::read(&from).with_context(shown)?;
        let left = match synced.map(|one| (one.size, &one.copy)) {
            Some((_, Some(copy))) => {
                let old = fs::read(copy).with_context(shown)?;
                content::overwritten(&old, &current, to, self.style, self.rng)
            }
            Some((size, None)) => {
                let size = usize::try_from(size)?.min(current.len());
                content::appended(size, &current, to, self.style, self.rng)
            }
            None => content::appended(0, &current, to, self.style, self.rng),
        };
        if left == current {
            return fs::hard_link(&from, to).with_context(shown);
        }
        self.report.files_changed += 1;
        self.report.bytes_lost += u64::try_from(current.len().saturating_sub(left.len()))?;
        // Copied first for its mode: private keys stay private.
        fs::copy(&from, to).and_then(|_| fs::write(to, &left)).with_context(shown)
    }
}
