//! A disk in memory that forgets what was not synced, for crash tests.
//!
//! ```text
//! write, set_size ─► pending changes of the file ─ sync ─────► durable bytes
//! open, rename, remove ─► pending names ────────── sync_dir ─► durable names
//! power off + restart: durable state, plus whatever part of the pending the seed draws
//! ```
//!
//! The draw is at least as unkind as real disks: per file nothing, a first part cut at any byte, any
//! set of 512-byte sectors, or all; per directory any set of the pending names. Names and bytes are
//! independent, so a synced file without a synced name may be gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::inode::Inode;
use super::storage::{LogStorage, StorageLock, StoredFile};
use crate::seeded::Seeded;

mod inode;

/// A simulated disk; clones share it.
#[derive(Clone)]
pub struct SimulatedStorage {
    disk: Arc<Mutex<Disk>>,
}

type Names = BTreeMap<PathBuf, usize>;

struct Disk {
    draws: Seeded,
    /// Grows with every restart; files and locks of an earlier life no longer work.
    life: u64,
    is_on: bool,
    /// Changes left until the power goes.
    power_off_after: Option<u64>,
    /// Changes left until one fails without harm.
    fail_after: Option<u64>,
    fail_syncs: u64,
    inodes: Vec<Inode>,
    dirs: BTreeSet<PathBuf>,
    names: Names,
    durable_names: Names,
    /// Changes of names that were not synced, oldest first.
    pending_names: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
}

/// What one call did to the names of a directory; all of it or nothing survives.
struct NameChange {
    dir: PathBuf,
    removed: Option<PathBuf>,
    added: Option<(PathBuf, usize)>,
}

struct SimulatedFile {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    inode: usize,
    path: PathBuf,
}

struct SimulatedLock {
    disk: Arc<Mutex<Disk>>,
    life: u64,
    path: PathBuf,
}

fn off() -> io::Error {
    io::Error::other("the simulated disk has no power")
}

fn missing(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedStorage {
    /// An empty disk. The seed decides what survives each loss of power.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            draws: Seeded::new(seed),
            life: 0,
            is_on: true,
            power_off_after: None,
            fail_after: None,
            fail_syncs: 0,
            inodes: Vec::new(),
            dirs: BTreeSet::new(),
            names: Names::new(),
            durable_names: Names::new(),
            pending_names: Vec::new(),
            locks: BTreeSet::new(),
        };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Takes the power now: every call fails until [`restart`](Self::restart).
    pub fn power_off(&self) {
        lock(&self.disk).is_on = false;
    }

    /// Takes the power at the change (write, sync, rename, …) after `changes` more; that one may or
    /// may not be done.
    pub fn power_off_after(&self, changes: u64) {
        lock(&self.disk).power_off_after = Some(changes);
    }

    /// Whether the power is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        lock(&self.disk).is_on
    }

    /// Lets the change after `changes` more fail once, half done, with the power on.
    pub fn fail_after(&self, changes: u64) {
        lock(&self.disk).fail_after = Some(changes);
    }

    /// Lets the next `syncs` syncs of files fail, dropping what they should have made durable, as
    /// systems do that mark pages clean after a failed write-back.
    pub fn fail_syncs(&self, syncs: u64) {
        lock(&self.disk).fail_syncs = syncs;
    }

    /// Takes back the failures and the loss of power that were ordered and have not come.
    pub fn clear_faults(&self) {
        let mut disk = lock(&self.disk);
        disk.power_off_after = None;
        disk.fail_after = None;
        disk.fail_syncs = 0;
    }

    /// Gives power back after a loss of it: durable state and a drawn part of the pending remain,
    /// all of it durable. Files opened before no longer work.
    pub fn restart(&self) {
        lock(&self.disk).restart();
    }

    /// Changes one byte of a file, as bit rot does.
    pub fn damage(&self, path: &Path, at: u64, xor: u8) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let inode = disk.inode_of(path)?;
        inode.damage(at, xor)
    }

    /// Cuts a file durably behind the log's back.
    pub fn cut(&self, path: &Path, size: u64) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let inode = disk.inode_of(path)?;
        inode.set_size(size);
        inode.sync();
        Ok(())
    }

    /// All files with their sizes, by name.
    #[must_use]
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let disk = lock(&self.disk);
        disk.names.iter().map(|(path, i)| (path.clone(), disk.inodes[*i].size())).collect()
    }
}

impl fmt::Debug for SimulatedStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.files()).finish()
    }
}

impl Disk {
    fn check_on(&self, life: u64) -> io::Result<()> {
        if self.is_on && self.life == life { Ok(()) } else { Err(off()) }
    }

    /// Runs a change unless the power goes or it shall fail; then it is drawn whether it is done.
    fn change(&mut self, life: u64, change: impl FnOnce(&mut Self)) -> io::Result<()> {
        self.check_on(life)?;
        if count_down(&mut self.power_off_after) {
            if self.draws.chance(500) {
                change(self);
            }
            self.is_on = false;
            return Err(off());
        }
        if count_down(&mut self.fail_after) {
            if self.draws.chance(500) {
                change(self);
            }
            return Err(io::Error::other("injected failure"));
        }
        change(self);
        Ok(())
    }

    fn inode_of(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let inode = *self.names.get(path).ok_or_else(|| missing(path))?;
        Ok(&mut self.inodes[inode])
    }

    fn change_names(&mut self, removed: Option<&Path>, added: Option<(&Path, usize)>) {
        if let Some(path) = removed {
            self.names.remove(path);
        }
        if let Some((path, inode)) = added {
            self.names.insert(path.to_owned(), inode);
        }
        let either = removed.or(added.map(|(path, _)| path));
        let dir = either.and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let added = added.map(|(path, inode)| (path.to_owned(), inode));
        self.pending_names.push(NameChange { dir, removed: removed.map(Path::to_owned), added });
    }

    fn restart(&mut self) {
        for change in std::mem::take(&mut self.pending_names) {
            if self.draws.chance(500) {
                change.apply(&mut self.durable_names);
            }
        }
        self.names = self.durable_names.clone();
        for inode in &mut self.inodes {
            inode.lose_power(&mut self.draws);
        }
        self.locks.clear();
        self.life += 1;
        self.is_on = true;
        self.power_off_after = None;
        self.fail_after = None;
        self.fail_syncs = 0;
    }
}

impl NameChange {
    fn apply(self, names: &mut Names) {
        if let Some(path) = self.removed {
            names.remove(&path);
        }
        if let Some((path, inode)) = self.added {
            names.insert(path, inode);
        }
    }
}

/// Whether it is this change's turn.
fn count_down(left: &mut Option<u64>) -> bool {
    match left {
        Some(0) => {
            *left = None;
            true
        }
        Some(more) => {
            *more -= 1;
            false
        }
        None => false,
    }
}

impl LogStorage for SimulatedStorage {
    /// Durable at once: a directory lost with everything in it would only be made again.
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        disk.change(life, |disk| {
            disk.dirs.insert(dir.to_owned());
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = lock(&self.disk);
        disk.check_on(disk.life)?;
        if !disk.dirs.contains(dir) {
            return Err(missing(dir));
        }
        let names = disk.names.keys().filter(|path| path.parent() == Some(dir));
        let names = names.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn StoredFile>> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        disk.check_on(life)?;
        if !disk.names.contains_key(path) {
            if !create {
                return Err(missing(path));
            }
            disk.change(life, |disk| {
                disk.inodes.push(Inode::default());
                let inode = disk.inodes.len() - 1;
                disk.change_names(None, Some((path, inode)));
            })?;
        }
        let inode = *disk.names.get(path).ok_or_else(|| missing(path))?;
        let disk = Arc::clone(&self.disk);
        Ok(Arc::new(SimulatedFile { disk, life, inode, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        let inode = *disk.names.get(from).ok_or_else(|| missing(from))?;
        disk.change(life, |disk| disk.change_names(Some(from), Some((to, inode))))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        if !disk.names.contains_key(path) {
            return Err(missing(path));
        }
        disk.change(life, |disk| disk.change_names(Some(path), None))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        disk.change(life, |disk| {
            let pending = std::mem::take(&mut disk.pending_names);
            let (synced, others) = pending.into_iter().partition(|change| change.dir == dir);
            disk.pending_names = others;
            let synced: Vec<NameChange> = synced;
            for change in synced {
                change.apply(&mut disk.durable_names);
            }
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn StorageLock>>> {
        let mut disk = lock(&self.disk);
        let life = disk.life;
        disk.check_on(life)?;
        if !disk.locks.insert(path.to_owned()) {
            return Ok(None);
        }
        let disk = Arc::clone(&self.disk);
        Ok(Some(Box::new(SimulatedLock { disk, life, path: path.to_owned() })))
    }
}

impl StorageLock for SimulatedLock {}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        let mut disk = lock(&self.disk);
        if disk.life == self.life {
            disk.locks.remove(&self.path);
        }
    }
}

impl StoredFile for SimulatedFile {
    fn size(&self) -> io::Result<u64> {
        let disk = lock(&self.disk);
        disk.check_on(self.life)?;
        Ok(disk.inodes[self.inode].size())
    }

    fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        let disk = lock(&self.disk);
        disk.check_on(self.life)?;
        disk.inodes[self.inode].read(buffer, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        lock(&self.disk).change(self.life, |disk| disk.inodes[self.inode].write(bytes, at))
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        lock(&self.disk).change(self.life, |disk| disk.inodes[self.inode].set_size(size))
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = lock(&self.disk);
        if disk.fail_syncs > 0 {
            disk.check_on(self.life)?;
            disk.fail_syncs -= 1;
            disk.inodes[self.inode].forget_dirty();
            return Err(io::Error::other("injected failure of a sync"));
        }
        disk.change(self.life, |disk| disk.inodes[self.inode].sync())
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulated {}", self.path.display())
    }
}
