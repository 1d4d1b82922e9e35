//! Reads what the shim recorded. The lines are described in `power-cut/shim.c`.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Smaller tables are counted among the other files.
const TABLE_BYTES_MIN: u64 = 1 << 20;

/// Name of a kept content or listing.
pub(super) type CopyName = String;

/// One recorded call. Paths are relative to the data folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A file was synced.
    File { inode: u64, size: u64, copy: Option<CopyName>, path: PathBuf },
    /// A file was cut or extended and not synced.
    Size { inode: u64, size: u64 },
    /// A folder was synced.
    Folder { copy: CopyName, path: PathBuf },
}

/// How many syncs there were, by what was synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SyncCounts {
    /// Segments of the mutation log.
    pub segments: u64,
    /// RocksDB's tables of at least 1 MiB: written documents, not the few rows of a new partition.
    pub tables: u64,
    /// RocksDB's manifests.
    pub manifests: u64,
    /// SQLite's database and journal files.
    pub sqlite: u64,
    /// Other files.
    pub others: u64,
    /// Folders.
    pub folders: u64,
}

/// The recorded calls, in order. A line that was not written to its end is no call: whoever made it
/// was killed in it. No file, no calls: the process was killed before it ran.
pub(super) fn read(journal: &Path, data_dir: &Path) -> anyhow::Result<Vec<Event>> {
    let bytes = match fs::read(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.with_context(|| format!("read {}", journal.display()))?,
    };
    let text = String::from_utf8_lossy(&bytes);
    let whole = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    Ok(whole.filter_map(|line| event(line, data_dir)).collect())
}

fn event(line: &str, data_dir: &Path) -> Option<Event> {
    let (kind, rest) = line.split_once(' ')?;
    let relative = |path: &str| Path::new(path).strip_prefix(data_dir).ok().map(Path::to_owned);
    let mut fields = rest.splitn(if kind == "F" { 4 } else { 3 }, ' ');
    let inode = fields.next()?.parse().ok()?;
    match kind {
        "F" => Some(Event::File {
            inode,
            size: fields.next()?.parse().ok()?,
            copy: fields.next().map(str::to_owned).filter(|copy| copy != "-"),
            path: relative(fields.next()?)?,
        }),
        "T" => Some(Event::Size { inode, size: fields.next()?.parse().ok()? }),
        "D" => {
            Some(Event::Folder { copy: fields.next()?.to_owned(), path: relative(fields.next()?)? })
        }
        _ => None,
    }
}

impl SyncCounts {
    pub(super) fn of(events: &[Event]) -> Self {
        let mut counts = Self::default();
        for event in events {
            match event {
                Event::Folder { .. } => counts.folders += 1,
                Event::Size { .. } => {}
                Event::File { path, size, .. } => *counts.of_file(path, *size) += 1,
            }
        }
        counts
    }

    fn of_file(&mut self, path: &Path, size: u64) -> &mut u64 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".segment") {
            &mut self.segments
        } else if name.ends_with(".sst") && size >= TABLE_BYTES_MIN {
            &mut self.tables
        } else if name.starts_with("MANIFEST-") {
            &mut self.manifests
        } else if name.contains(".sqlite") {
            &mut self.sqlite
        } else {
            &mut self.others
        }
    }

    /// Adds those of another life.
    pub fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.tables += other.tables;
        self.manifests += other.manifests;
        self.sqlite += other.sqlite;
        self.others += other.others;
        self.folders += other.folders;
    }
}

impl fmt::Display for SyncCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segments, tables, manifests, sqlite, others, folders } = self;
        write!(
            f,
            "{segments} syncs of log segments, {tables} of large tables, {manifests} of manifests, \
             {sqlite} of SQLite's files, {others} of other files, {folders} of folders"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_within_the_folder_are_events() {
        let data = Path::new("/d");
        let synced = Event::File {
            inode: 7,
            size: 9,
            copy: Some("1-2".to_owned()),
            path: PathBuf::from("log/a b.segment"),
        };
        assert_eq!(event("F 7 9 1-2 /d/log/a b.segment", data), Some(synced.clone()));
        let folder = Event::Folder { copy: "1-3".to_owned(), path: PathBuf::new() };
        assert_eq!(event("D 4 1-3 /d", data), Some(folder));
        assert_eq!(event("T 7 5", data), Some(Event::Size { inode: 7, size: 5 }));
        for other in ["", "F 7 9 1-2 /elsewhere/a", "F 7 9", "D 4", "F 7 F 7 9 - /d/a"] {
            assert_eq!(event(other, data), None, "{other}");
        }
        assert_eq!(SyncCounts::of(&[synced]).segments, 1);
    }
}
