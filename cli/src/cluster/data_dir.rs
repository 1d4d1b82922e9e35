//! The folder of one `nautilus dev`: who holds it, and where in it things are.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nautilus_types::Class;

use crate::exit::Failure;
use crate::location;

/// A data directory, held until it is dropped. The lock goes with the process, however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Takes the folder, making it where there is none. Fails where another process holds it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        // It holds what people wrote, and the keys to all of it: for its owner only.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("make the data directory {}", path.display()))?;
        let file = path.join("lock");
        let mut lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&file)
            .with_context(|| format!("open {}", file.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(path, &mut lock).into()),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("lock {}", file.display()));
            }
        }
        let note = note_holder(&mut lock);
        note.with_context(|| format!("write {}", file.display()))?;
        let data_dir = Self { path: path.to_owned(), _lock: lock };
        // Left by a process that was killed: nobody answers there.
        data_dir.forget_endpoint()?;
        Ok(data_dir)
    }

    /// Itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Of the mutation log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// Of the catalog.
    pub(crate) fn catalog(&self) -> PathBuf {
        self.path.join("catalog.sqlite")
    }

    /// Of the partitions of a leaf.
    pub(crate) fn leaf(&self, name: &str) -> PathBuf {
        self.path.join("leaves").join(name)
    }

    /// Of the registry.
    pub(crate) fn registry(&self) -> PathBuf {
        self.path.join("registry.sqlite")
    }

    /// Of the index repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.path.join("repository")
    }

    /// Of the key that signs users' tokens.
    pub(crate) fn identity(&self) -> PathBuf {
        location::identity_dir(&self.path)
    }

    /// Of the keys between roles.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Writes down where this process listens. A reader sees all of it or nothing.
    pub(crate) fn announce(&self, address: SocketAddr) -> anyhow::Result<()> {
        let file = location::endpoint_file(&self.path);
        let aside = file.with_extension("new");
        fs::write(&aside, format!("{address}\n"))
            .and_then(|()| fs::rename(&aside, &file))
            .with_context(|| format!("write {}", file.display()))
    }

    /// Takes the address away: nobody answers there any more.
    pub(crate) fn forget_endpoint(&self) -> anyhow::Result<()> {
        let file = location::endpoint_file(&self.path);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("remove {}", file.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn note_holder(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn held(path: &Path, lock: &mut File) -> Failure {
    let mut holder = String::new();
    // Only to say more: without it the message is still true.
    let _ = lock.read_to_string(&mut holder);
    let process = match holder.trim() {
        "" => String::new(),
        id => format!(" (process {id})"),
    };
    let at = fs::read_to_string(location::endpoint_file(path)).unwrap_or_default();
    let at = match at.trim() {
        "" => String::new(),
        address => format!(" and serves on {address}"),
    };
    Failure::new(
        Class::Precondition,
        format!(
            "another `nautilus dev`{process} uses {}{at}\nStop it, or choose another folder with \
             --data-dir.",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("data");
        let first = DataDir::open(&path).expect("free");
        let mode = fs::metadata(&path).expect("made").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        first.announce("127.0.0.1:4711".parse().expect("address")).expect("written");
        let refused = DataDir::open(&path).expect_err("held").to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("127.0.0.1:4711"), "{refused}");
        drop(first);
        let second = DataDir::open(&path).expect("free again");
        assert!(!location::endpoint_file(&path).exists(), "a dead process serves nowhere");
        second.forget_endpoint().expect("forgetting twice is fine");
    }
}
